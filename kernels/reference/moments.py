"""Running mean and variance of a stream, one batch at a time (Chan, Golub & LeVeque 1979).

The state is `count` (1,), `mean` (O,) and `square` (O,), the sum of squared deviations from the mean; all float64.
"""

from minipg.kernels.reference._namespace import namespace


def merge(x, count, mean, square):
    """Fold the rows of x (B, O) into the state; without rows it stays as it is."""
    rows = len(x)
    if rows == 0:
        return
    total = count[0] + rows
    x_mean = x.mean(axis=0, dtype=mean.dtype)
    d = x_mean - mean
    square += ((x - x_mean) ** 2).sum(axis=0) + d * d * (count[0] * rows / total)
    mean += d * (rows / total)
    count[0] = total


def standardize(x, count, mean, square, limit, out):
    """(x − mean)/σ clipped to ±limit; a component that never varied is only centred.   x, out (B, O)."""
    xp = namespace(x)
    variance = square / xp.maximum(count, 1)
    scale = 1 / xp.sqrt(xp.where(variance > 0, variance, 1))
    out[...] = xp.clip((x - mean) * scale, -limit, limit)
