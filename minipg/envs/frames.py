"""The frames of Atari games, by name: what an agent sees of the screens of an emulator.

    difference-80x80  Pong's screen from row 35 to 195, every second pixel of every second row; the two greys of the
                      background are 0, all else is 1; the difference to the frame before (Karpathy 2016, "Deep
                      Reinforcement Learning: Pong from Pixels")
    stack-84x84x4     the last four screens in grey, 84 × 84 (Mnih et al. 2015, "Human-level control through deep
                      reinforcement learning", doi:10.1038/nature14236)
    trpo-52x40x4      the last four screens in grey, 52 × 40 (Schulman et al. 2015, "Trust Region Policy Optimization",
                      arXiv:1502.05477)

A screen is the larger of the last two that the emulator drew, at every pixel: some games draw things in turns. Screens
are made smaller by area. At the beginning of a game the first screen takes the place of those before it.
"""

from __future__ import annotations

from math import gcd
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from minipg.checks import Array
from minipg.kernels.cpu import frames as kernels

# Pong's greys: of the field, and of the field while the game begins (red 144 and 109 of its colours)
_PONG = np.uint8(87), np.uint8(107)
_TOP = 35  # the row below the score


class Frames(NamedTuple):
    """One kind of frames: screens of height × width, of which the last `stack` are seen."""

    height: int
    width: int
    stack: int
    difference: bool = False
    """The difference of two screens of Pong, in place of the screens."""

    @property
    def space(self) -> spaces.Box:
        """Of what an agent sees."""
        low, high = (-1, 1) if self.difference else (0, 255)
        return spaces.Box(low, high, self.shape, self.dtype)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of what an agent sees."""
        return (80, 80, 1) if self.difference else (self.height, self.width, self.stack)

    @property
    def dtype(self) -> Any:
        """Of what an agent sees."""
        return np.int8 if self.difference else np.uint8

    def seen(self, screens: Array) -> Array:
        """The last `stack` screens of N environments, the oldest first → observations (N, height, width, channels).

        screens (N, stack, height, width) uint8.
        """
        n = len(screens)
        out = np.empty((n, *self.shape), self.dtype)
        rows = out.reshape(n, -1)
        if self.difference:
            kernels.difference(screens, _TOP, *_PONG, rows)
        else:
            kernels.interleave(screens.reshape(n, self.stack, -1), rows)
        return out


FRAMES = {
    "difference-80x80": Frames(210, 160, 2, difference=True),
    "stack-84x84x4": Frames(84, 84, 4),
    "trpo-52x40x4": Frames(52, 40, 4),
}


class Shrink:
    """Makes the larger of two screens of `source` (height, width) smaller by area, to `target`."""

    def __init__(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        self._same = source == target
        self._overlaps = (*overlaps(source[0], target[0]), *overlaps(source[1], target[1]))
        self._line = np.empty(source[1], np.int32)

    def __call__(self, screens: Array, out: Array) -> None:
        """screens (2, H, W) uint8 → out (h, w)."""
        first, second = screens
        if self._same:
            np.maximum(first, second, out=out)
        else:
            kernels.larger_by_area(first, second, *self._overlaps, self._line, out)


def overlaps(source: int, target: int) -> tuple[Array, Array]:
    """How `target` ≤ `source` pixels of a line cover it: the first pixel under each (target,), and weights (target, K).

    The weights are integers with the same sum for every pixel.
    """
    unit, span = target // gcd(source, target), source // gcd(source, target)  # parts of a pixel, and parts under each
    k = min(-(-span // unit) + 1, source)
    begin = span * np.arange(target)[:, None]
    first = np.minimum(begin // unit, source - k)
    left = unit * (first + np.arange(k))
    weight = np.minimum(begin + span, left + unit) - np.maximum(begin, left)
    return first[:, 0], np.maximum(weight, 0).astype(np.int32)
