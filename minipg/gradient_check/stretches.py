"""How far a function follows its tangent, and how it leaves it: kinks, plateaus, stairs, and hidden rounding.

Short steps see the tangent alone, and not what they leave unchanged. On a plateau their slope 0 is right. It is not if
the function moves by stairs because a part of it is rounded: to float32, say, or 1 + x² at a tiny x. The end of the
stretch over which φ follows its tangent distinguishes the two:

- past a kink or the edge of a plateau, φ changes continuously: the change just beyond is as small as one likes;
- a stair ends with a jump, whose height q is noise. Narrow stairs, of a few spacings of float32, are rounding: q is
  added to the noise. Wide stairs may be rounding or meant (`round`, `floor`, fake quantisation): the slope may differ
  from the tangent's by up to q over the width, and no difference can decide;
- a jump is no stair if φ changes smoothly behind it (a branch), or if φ is bounded and has few of them (`sign`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.differences import Derivative, Samples

_NARROW = 2.0**-21  # of the scale: 8 spacings of float32
_HIGH = 1e-4  # of the range of a bounded function: higher stairs are not rounding
_OUTPUTS = 16  # outputs whose ends are searched; each takes some 20 evaluations
Phi = Callable[[float], Array]
Edge = tuple[float, float]  # how far the stretch goes to one side, and the height of the change just beyond


class Stretch(NamedTuple):
    """The stretch around 0 over which φ follows its tangent; (M,).

    `flat`: φ is constant there. `width`: the stretch is ± this. `doubt`: the slope may differ from the tangent's by
    this much. `noise`: the height of narrow stairs. `wide`: the end of the stretch is explained neither by rounding of
    φ's value nor by narrow stairs, so that longer steps must not be believed.
    """

    flat: Array
    width: Array
    doubt: Array
    noise: Array
    wide: Array


class Tangent:
    """The tangent φ(0) + slope·t of a derivative that was found, and φ's distance from it.

    `epsilon` (M,): the spacing of φ's floats, relative to its size. `noise` (M,): the rounding of φ(0).
    """

    def __init__(self, phi: Phi, samples: Samples, found: Derivative, epsilon: Array, noise: Array) -> None:
        self.phi, self.samples, self.epsilon, self.noise = phi, samples, epsilon, noise
        still = (samples.right == samples.centre) & (samples.left == samples.centre)
        self.flat = np.asarray(still[:2].all(axis=0))
        self.slope, self.error = np.where(self.flat, 0, found.value), np.where(self.flat, 0, found.error)
        self.rough = np.where(self.flat, 0, np.maximum(noise, found.noise))
        t = samples.steps[:, None]
        self.residuals = self._residual(t, samples.right), self._residual(-t, samples.left)

    def _residual(self, t: Array | float, values: Array) -> Array:
        """φ(t) − φ(0) − slope·t, where φ(t) = `values`; 0 up to rounding."""
        residual = values - self.samples.centre - self.slope * t
        epsilon = np.where(self.flat, 0, self.epsilon)
        tolerance = 8 * (self.rough + epsilon * np.abs(values)) + 2 * self.error * np.abs(t)
        return np.where(np.abs(residual) <= tolerance, 0, residual)

    def at(self, t: float) -> Array:
        """The residual at t (M,)."""
        return self._residual(t, self.phi(t))

    def change(self, m: int, t: float) -> float:
        """The residual of output m at t."""
        return float(self.at(t)[m])

    @property
    def beyond(self) -> float:
        """A step far beyond the samples."""
        return max(16 * float(self.samples.steps[-1]), 4.0)

    def smooth(self) -> Array:
        """True for outputs that leave the tangent as a smooth curve does, faster than in proportion to t."""
        off = np.maximum(*map(np.abs, self.residuals))
        first = np.argmax(~(off == 0), axis=0)
        step, next_step = first[None], np.minimum(first + 1, len(off) - 1)[None]
        near, far = (np.take_along_axis(off, k, axis=0)[0] for k in (step, next_step))
        ratio = self.samples.steps[next_step[0]] / self.samples.steps[first]
        return np.asarray((near > 0) & (far > near * ratio**1.5) & (first < len(off) - 1))

    def straight(self) -> Array:
        """True for outputs that follow the tangent at all samples, and far beyond."""
        straight = (self.residuals[0] == 0).all(axis=0) & (self.residuals[1] == 0).all(axis=0)
        if straight.any():
            for t in (self.beyond, -self.beyond):
                residual = self.at(t)
                straight &= (residual == 0) | ~np.isfinite(residual)
        return straight


def stretch(tangent: Tangent, scale: float, skip: Array) -> Stretch:
    """The stretch of each output, apart from those to `skip` (M,).   `scale` as in `derivative`."""
    steps, residuals = tangent.samples.steps, tangent.residuals
    found = Stretch(tangent.flat, *(np.zeros(skip.shape) for _ in range(3)), np.zeros(skip.shape, bool))
    outputs = np.flatnonzero((tangent.flat | ~tangent.smooth()) & ~skip)
    counts = [np.logical_and.accumulate(residual == 0, axis=0).sum(axis=0) for residual in residuals]
    outputs = outputs[np.minimum(*counts)[outputs] >= 2]
    if not outputs.size:
        return found
    farther = np.append(steps, tangent.beyond)
    never = (np.maximum(*counts)[outputs] == len(steps)).any()
    ends = [tangent.at(sign * tangent.beyond) if never else residuals[0][-1] for sign in (1, -1)]
    sides = [np.concatenate([residual, end[None]]) for residual, end in zip(residuals, ends, strict=True)]
    for number, m in enumerate(outputs):
        enough = 8 * float(tangent.noise[m]) if number < _OUTPUTS else np.inf
        change = functools.partial(tangent.change, int(m))
        right, left = (
            _edge(change, sign, farther[k[m] - 1], farther[k[m]], abs(side[k[m], m]), enough)
            for sign, side, k in zip((1, -1), sides, counts, strict=True)
        )
        found.width[m] = min(right[0], left[0])
        found.doubt[m], found.noise[m], found.wide[m] = _judge(change, (right, left), scale, float(tangent.noise[m]))
    return found


def _judge(
    change: Callable[[float], float], edges: tuple[Edge, Edge], scale: float, noise: float
) -> tuple[float, float, bool]:
    """doubt, noise and wide of one output.   `change`: the residual. Height 0: φ never leaves the tangent there."""
    widths, heights = zip(*edges, strict=True)
    height, width = min((h for h in heights if h > 0), default=0.0), min(widths)
    if height <= 8 * noise:
        return (3 * noise + height) / width, 0.0, False
    if max(widths) < _NARROW * scale:
        return height / width, height, False
    stairs = _may_be_stairs(change, edges, height, noise)
    return (height if stairs else 3 * noise) / width, 0.0, True


def _may_be_stairs(change: Callable[[float], float], edges: tuple[Edge, Edge], height: float, noise: float) -> bool:
    """False if φ changes smoothly behind an edge, or if it is bounded and there are fewer than four stairs."""
    for sign, (width, jump) in zip((1, -1), edges, strict=True):
        behind = abs(abs(change(sign * width * (1 + 2**-6))) - jump) if jump else 0.0
        if max(8 * noise, height / 256) < behind < height / 8:
            return False
    reach = 16 * max(width for width, _ in edges)
    right, left = change(reach), change(-reach)
    if (min(abs(right), abs(left)) >= 4 * height and right * left < 0) or np.isnan(right * left):
        return True
    return any(not abs(change(sign * reach * 16**k)) <= height / _HIGH for k in range(8) for sign in (1, -1))


def _edge(change: Callable[[float], float], sign: int, low: float, high: float, height: float, enough: float) -> Edge:
    """The end of the stretch between ± `low`, where the change is 0, and ± `high`, where it is ± `height`.

    Bisection, or a step close to the place at which the line through the last two points reaches 0. Ends as soon as the
    height is `enough`, or keeps its size: then φ jumps. The height is 0 if φ does not change at `high` either.
    """
    unchanged, last = 0, (high, height)
    while enough < height and unchanged < 12 and high - low > 2.0**-50 * high:
        t = float(np.sqrt(low * high)) if high > 16 * low else (low + high) / 2
        if last[1] > height:
            zero = high - height * (last[0] - high) / (last[1] - height)
            near = zero + (high - zero) / 2**10
            t = near if low < near < high else t
        found = abs(change(sign * t))
        unchanged = 0 if 0 < found < 0.9 * height else unchanged + 1
        if found == 0:
            low, last = t, (high, height)
        else:
            last, high, height = (high, height), t, found
    return low, height
