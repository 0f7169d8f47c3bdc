"""How far a function follows its tangent, and how it leaves it: kinks, plateaus, stairs, and hidden rounding.

Short steps see the tangent alone. On a plateau their slope 0 is right. It is not if the function moves by stairs
because a part of it is rounded: to float32, say, or 1 + x² at a tiny x. The end of the stretch over which φ follows its
tangent distinguishes the two:

- past a kink or the edge of a plateau, φ changes continuously: the change just beyond is as small as one likes;
- a stair ends with a jump, whose height q is noise. Narrow stairs, of a few spacings of float32, are rounding: q is
  added to the noise. Wide stairs may be rounding or meant (`round`, `floor`, fake quantisation): the slope may differ
  from the tangent's by up to q over the width, and no difference can decide;
- a jump is no stair if φ changes smoothly behind it (a branch), or if φ is bounded and has few of them (`sign`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.differences import Derivative, Samples

_NARROW = 2.0**-21  # of the scale: 8 spacings of float32
_HIGH = 1e-4  # of the range of a bounded function: higher stairs are not rounding
_OUTPUTS = 16  # outputs whose ends are searched; each takes some 20 evaluations
Change = Callable[[float], float]
Edge = tuple[float, float]  # how far the stretch goes to one side, and the height of the change just beyond


class Stretch(NamedTuple):
    """The stretch around 0 over which φ follows its tangent; (M,).

    `width`: the stretch is ± this. `doubt`: the slope may differ from the tangent's by this much. `noise`: the height
    of narrow stairs. `wide`: the end of the stretch is explained neither by rounding of φ's value nor by narrow stairs,
    so that longer steps must not be believed.
    """

    width: Array
    doubt: Array
    noise: Array
    wide: Array


class Tangent:
    """The tangent φ(0) + slope·t of a derivative that was found, and φ's distance from it at the samples.

    `epsilon` (M,): the spacing of φ's floats, relative to its size. `noise` (M,): the rounding of φ(0). `flat` (M,): φ
    is constant at the shortest steps, even where the slope would show, so that the tangent is level.
    """

    def __init__(
        self, phi: Callable[[float], Array], samples: Samples, found: Derivative, epsilon: Array, noise: Array
    ) -> None:
        self.phi, self.samples, self.noise = phi, samples, noise
        still = (samples.right == samples.centre) & (samples.left == samples.centre)
        # shorter steps may leave φ unchanged because the slope is lost in its last digit
        visible = np.argmax(np.abs(found.value) * samples.steps[:, None] > noise, axis=0)
        self.flat = np.asarray((still | (np.arange(len(still))[:, None] > np.maximum(visible, 1))).all(axis=0))
        level = lambda values: np.where(self.flat, 0, values)
        self.slope, self._error, self._epsilon = level(found.value), level(found.error), epsilon
        self._rough = np.where(self.flat, noise, np.maximum(noise, found.noise))
        t = samples.steps[:, None]
        self.residuals = self._residual(t, samples.right), self._residual(-t, samples.left)
        self._limit = np.maximum(self._tolerance(t, samples.right), self._tolerance(t, samples.left))

    def _residual(self, t: Array | float, values: Array) -> Array:
        """φ(t) − φ(0) − slope·t, where φ(t) = `values`: 0 up to rounding, NaN outside the domain."""
        residual = values - self.samples.centre - self.slope * t
        within = np.abs(residual) <= self._tolerance(t, values)
        return np.where(np.isfinite(values), np.where(within, 0, residual), np.nan)

    def _tolerance(self, t: Array | float, values: Array) -> Array:
        """The rounding error of φ(t) − φ(0) − slope·t."""
        return 8 * (self._rough + self._epsilon * np.abs(values)) + 2 * self._error * np.abs(t)

    def change(self, output: int) -> Change:
        """t ↦ the residual of one output."""
        return lambda t: float(self._residual(t, self.phi(t))[output])

    def limit(self, output: int) -> Change:
        """t ↦ the change of one output that a curve shows just beyond its tangent."""
        return lambda t: 1.25 * float(self._tolerance(t, self.phi(t))[output])

    def smooth(self) -> Array:
        """True for outputs that leave the tangent as a smooth curve does, faster than in proportion to t."""
        off, steps = np.maximum(*map(np.abs, self.residuals)), self.samples.steps
        first = np.argmax(~(off == 0), axis=0)
        before, after = np.maximum(first - 1, 0), np.minimum(first + 1, len(off) - 1)
        near, far, limit = (
            np.take_along_axis(values, k[None], axis=0)[0]
            for values, k in ((off, first), (off, after), (self._limit, before))
        )
        power = np.log(far / near) / np.log(steps[after] / steps[first])
        # a curve would have been seen at a shorter step, a stair comes suddenly
        sudden = (first > 0) & (near * (steps[before] / steps[first]) ** power > limit / 1.5)
        return np.asarray(~self.flat & (near > 0) & (power > 1.5) & ~sudden & (first < len(off) - 1))

    def straight(self) -> Array:
        """True for outputs that follow the tangent at all samples."""
        return np.asarray((self.residuals[0] == 0).all(axis=0) & (self.residuals[1] == 0).all(axis=0))


def stretch(tangent: Tangent, scale: float, reach: float, skip: Array) -> Stretch:
    """The stretch of each output, apart from those to `skip` (M,).

    `scale` as in `derivative`. `reach`: a change as small as noise may have its slope within this distance.
    """
    steps = tangent.samples.steps
    zeros = np.zeros(skip.shape)
    found = Stretch(zeros, zeros.copy(), zeros.copy(), zeros > 0)
    follows = [np.logical_and.accumulate(residual == 0, axis=0).sum(axis=0) for residual in tangent.residuals]
    outputs = np.flatnonzero(~tangent.smooth() & ~skip & (np.minimum(*follows) >= 2))
    for number, m in enumerate(outputs):
        noise, change, limit, edges = float(tangent.noise[m]), tangent.change(int(m)), tangent.limit(int(m)), []
        for sign, residual, count in zip((1, -1), tangent.residuals, follows, strict=True):
            last, next_one = count[m] - 1, min(count[m], len(steps) - 1)
            height = abs(float(residual[next_one, m]))  # 0 if φ never leaves the tangent, NaN if it ends there
            edge = float(steps[last]), height
            edges.append(_edge(change, sign, *edge, steps[next_one], limit) if number < _OUTPUTS else edge)
        found.width[m] = min(width for width, _ in edges)
        found.doubt[m], found.noise[m], found.wide[m] = _judge(change, edges, scale, reach, noise)
    return found


def _edge(change: Change, sign: int, low: float, height: float, high: float, enough: Change) -> Edge:
    """The end of the stretch between ± `low`, where the change is 0, and ± `high`, where it is ± `height`.

    Bisection, or a step close to the place at which the line through the last two points reaches 0. Ends as soon as the
    height is `enough`, and counts as 0, or keeps its size: then φ jumps.
    """
    unchanged, last = 0, (high, height)
    while enough(sign * high) < height and unchanged < 12 and high - low > 2.0**-50 * high:
        t = float(np.sqrt(low) * np.sqrt(high)) if high > 16 * low else (low + high) / 2
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
    return low, 0.0 if height <= enough(sign * high) else height


def _judge(change: Change, edges: list[Edge], scale: float, reach: float, noise: float) -> tuple[float, float, bool]:
    """doubt, noise and wide of one output."""
    widths, heights = zip(*edges, strict=True)
    height, width = max((h for h in heights if h > 0), default=0.0), min(widths)  # one side may show noise alone
    if height == 0:
        return 3 * noise / min(width, reach), 0.0, False
    if max(widths) < _NARROW * scale:
        return height / width, height, False
    stairs = _may_be_stairs(change, edges, height, noise)
    return (height if stairs else 3 * noise) / width, 0.0, True


def _may_be_stairs(change: Change, edges: list[Edge], height: float, noise: float) -> bool:
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
