"""Twin of `reference/frames.py`."""

import numpy as np
from minipg.kernels.cpu._jit import jit


@jit
def larger_by_area(first, second, row, row_weight, column, column_weight, line, out):
    """The larger of two screens (H, W) at every pixel, made smaller by area → out (h, w).   line (W,) int32: work."""
    total = row_weight[0].sum() * column_weight[0].sum()
    for i in range(out.shape[0]):
        line[:] = 0
        for k in range(row_weight.shape[1]):
            y, weight = row[i] + k, row_weight[i, k]
            for x in range(line.shape[0]):
                line[x] += weight * max(first[y, x], second[y, x])
        for j in range(out.shape[1]):
            both = np.int32(0)
            for k in range(column_weight.shape[1]):
                both += column_weight[j, k] * line[column[j] + k]
            whole = both // total
            rest = 2 * (both - whole * total)
            out[i, j] = whole + (rest > total or (rest == total and whole % 2 == 1))


@jit
def interleave(frames, out):
    """Four images one after the other, as four channels of each pixel.   frames (N, 4, P) → out (N, 4·P) uint8."""
    for n in range(frames.shape[0]):
        first, second, third, fourth = frames[n, 0], frames[n, 1], frames[n, 2], frames[n, 3]
        row = out[n]
        for p in range(frames.shape[2]):
            row[4 * p] = first[p]
            row[4 * p + 1] = second[p]
            row[4 * p + 2] = third[p]
            row[4 * p + 3] = fourth[p]


@jit
def difference(frames, top, background, other, out):
    """What moved between two screens, without the two grey values of a background.   out (N, h·w) int8 in {−1, 0, 1}.

    frames (N, 2, H, W), the older one first: every second pixel of every second row, h rows from `top` on.
    """
    wide = frames.shape[3] // 2
    for n in range(out.shape[0]):
        for i in range(out.shape[1] // wide):
            older, newer, row = frames[n, 0, top + 2 * i], frames[n, 1, top + 2 * i], out[n, i * wide : (i + 1) * wide]
            for j in range(wide):
                a, b = newer[2 * j], older[2 * j]
                shown, was = (a != background) & (a != other), (b != background) & (b != other)
                row[j] = np.int8(shown) - np.int8(was)
