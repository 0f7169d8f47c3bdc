"""`reference/moments.py` with the statistics on the device (moments.cu)."""

import cupy
from minipg.kernels.gpu._arrays import sum_columns, sum_squared_deviations
from minipg.kernels.gpu._cuda import Source

_run = Source("moments.cu")


def merge(x, count, mean, square):
    """Fold the rows of x (B, O) into count (1,), mean (O,), square (O,); without rows they stay as they are."""
    rows, columns = x.shape
    if rows == 0:
        return
    x_mean, x_square = cupy.empty(columns), cupy.empty(columns)
    sum_columns(x, x_mean, 1 / rows)
    sum_squared_deviations(x, x_mean, x_square)
    _run("merge", columns, rows, x_mean, x_square, count, mean, square)
    count += rows


def standardize(x, count, mean, square, limit, out):
    """(x − mean)/σ clipped to ±limit; a component that never varied is only centred.   x, out (B, O)."""
    _run("standardize", x.size, x.shape[1], limit, x, count, mean, square, out)
