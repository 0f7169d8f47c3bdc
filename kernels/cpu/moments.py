"""Twin of `reference/moments.py`."""

import math

from minipg.kernels.cpu._jit import jit


@jit
def merge(x, count, mean, square):
    """Fold the rows of x (B, O) into count (1,), mean (O,), square (O,); without rows they stay as they are."""
    rows = x.shape[0]
    if rows == 0:
        return
    total = count[0] + rows
    for j in range(x.shape[1]):
        x_mean, x_square = 0.0, 0.0
        for i in range(rows):
            x_mean += x[i, j]
        x_mean /= rows
        for i in range(rows):
            x_square += (x[i, j] - x_mean) ** 2
        d = x_mean - mean[j]
        square[j] += x_square + d * d * (count[0] * rows / total)
        mean[j] += d * (rows / total)
    count[0] = total


@jit
def standardize(x, count, mean, square, limit, out):
    """(x − mean)/σ clipped to ±limit; a component that never varied is only centred.   x, out (B, O)."""
    for j in range(x.shape[1]):
        variance = square[j] / max(count[0], 1)
        scale = 1 / math.sqrt(variance) if variance > 0 else 1.0
        for i in range(x.shape[0]):
            z = (x[i, j] - mean[j]) * scale
            out[i, j] = limit if z > limit else (-limit if z < -limit else z)
