"""Sums down columns in a fixed order, the rows of a minibatch, and bounds (arrays.cu)."""

import math

import cupy
from minipg.kernels.gpu._cuda import Source

_run = Source("arrays.cu")
_LANES = 2**18  # threads that a pass over an array is spread over, about


def lanes(rows, columns):
    """How many threads stride through an array (rows, columns): a multiple of its columns."""
    return columns * max(1, min(rows, -(-_LANES // max(columns, 1))))


def sum_columns(x, out, scale=1.0, add=False, fold="fold"):
    """out_j = scale · Σ_r x_rj, added to what is there if `add`: √R rows of √R each, then those.

    x (R, …) with as many numbers a row as `out` (C,) has, which may be float64 among float32.
    """
    rows, columns = len(x), out.size
    if columns == 0:
        return
    parts = max(1, math.isqrt(rows))
    partial = cupy.empty(parts * columns, "float64")
    _run(fold, parts * columns, x.size, x, partial)
    finish_columns(partial, parts, out, scale, add)


def finish_columns(partial, parts, out, scale=1.0, add=False):
    """The last of it: partial (parts · C,) float64 → out (C,)."""
    finish = "finish_double" if out.dtype == "float64" else "finish"
    _run(finish, out.size, parts, scale, add, partial, out)


def sum_deviations(x, mean, out):
    """out_j = Σ_r (x_rj − mean_j)².   x (R, C), mean, out (C,) float64."""
    rows, columns = x.shape
    parts = max(1, math.isqrt(rows))
    partial = cupy.empty(parts * columns, "float64")
    _run("fold_deviations", parts * columns, x.size, columns, x, mean, partial)
    finish_columns(partial, parts, out)


def gather(picked, x, out):
    """out_i = x_{picked_i}.   picked (B,) int64, x (N, …), out (B, …)."""
    columns = math.prod(x.shape[1:])
    _run("gather", len(picked) * columns, columns, picked, x, out)


def hold(x, low, high):
    """x (P,) ← the nearest numbers within the bounds."""
    _run("hold", x.size, low, high, x)
