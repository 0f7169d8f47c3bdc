"""Sums over rows in a fixed order (arrays.cu)."""

import math

import cupy
from minipg.kernels.gpu._cuda import Source

_run = Source("arrays.cu")
_THREADS = 2**18  # about as many stride through an array


def threads_for(rows, columns):
    """The number of threads that stride through an array (rows, columns): a multiple of its columns."""
    return columns * max(1, min(rows, -(-_THREADS // max(columns, 1))))


def sum_columns(x, out, scale=1.0, add=False):
    """out_j = scale · Σ_r x_rj, added to what is in `out` if `add`.   x (R, …) → out (C,), with C entries in a row."""
    _sum_rows("partial_sums", len(x), x.size, (x,), out, scale, add)


def sum_squares(x, out):
    """Σ x².   x (P,) → out (1,) float64."""
    _sum_rows("partial_sums_of_squares", len(x), x.size, (x,), out)


def sum_squared_deviations(x, mean, out):
    """out_j = Σ_r (x_rj − mean_j)².   x (R, C), mean (C,) float64 → out (C,) float64."""
    _sum_rows("partial_sums_of_deviations", len(x), x.size, (x.shape[1], x, mean), out)


def _sum_rows(kernel, rows, entries, arguments, out, scale=1.0, add=False):
    """√R partial sums of √R rows each, then the sum of those: the same order on every device."""
    columns, parts = out.size, max(1, math.isqrt(rows))
    if columns == 0:
        return
    partial = cupy.empty(parts * columns, "float64")
    _run(kernel, parts * columns, entries, *arguments, partial)
    _run("finish", columns, parts, scale, add, partial, out)
