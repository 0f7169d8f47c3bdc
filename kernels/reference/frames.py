"""Frames of Atari games: what a network sees, from the screens of an emulator.

Screens are grey: uint8 (height, width). All numbers are integers, so the twins are equal to the bit.
"""

from minipg.kernels.reference._namespace import namespace


def larger_by_area(first, second, row, row_weight, column, column_weight, line, out):
    """The larger of two screens (H, W) at every pixel, made smaller by area → out (h, w).

    Pixel (i, j) of out is the mean of the rows row[i] + k and columns column[j] + l, weighted by row_weight[i, k] and
    column_weight[j, l], integers with the same sum for every i and j; halves go to the even one. line (W,) int32: work.
    """
    xp = namespace(out)
    screen = xp.maximum(first, second).astype(xp.int64)
    rows = (screen[row[:, None] + xp.arange(row_weight.shape[1])] * row_weight[:, :, None]).sum(axis=1)
    both = (rows[:, column[:, None] + xp.arange(column_weight.shape[1])] * column_weight).sum(axis=2)
    total = row_weight[0].sum() * column_weight[0].sum()
    whole, rest = both // total, 2 * (both % total)
    out[...] = whole + ((rest > total) | ((rest == total) & (whole % 2 == 1)))


def interleave(frames, out):
    """Four images one after the other, as four channels of each pixel.   frames (N, 4, P) → out (N, 4·P) uint8."""
    out.reshape(len(out), -1, 4)[...] = namespace(out).moveaxis(frames, 1, 2)


def difference(frames, top, background, other, out):
    """What moved between two screens, without the two grey values of a background.   out (N, h·w) int8 in {−1, 0, 1}.

    frames (N, 2, H, W), the older one first: every second pixel of every second row, h rows from `top` on.
    """
    rows = 2 * (out.shape[1] // (frames.shape[3] // 2))
    seen = frames[:, :, top : top + rows : 2, ::2]
    shown = ((seen != background) & (seen != other)).astype("int8")
    out[...] = (shown[:, 1] - shown[:, 0]).reshape(len(out), -1)
