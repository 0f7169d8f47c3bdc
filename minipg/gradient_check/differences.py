"""From difference quotients over many steps to a derivative and a bound on its error.

- Between neighbouring steps the quotients differ by noise/h while h is small, and by truncation once it is large. So
  the differences times h stay level and then climb; the level is the noise.
- Each quotient is extrapolated with its neighbour (Richardson). The step with the least truncation + noise is taken
  among those whose result lies in the noise interval of every shorter step (Lepski) and agrees with the next shorter
  one. That refuses long steps that agree by chance, as on a periodic function.
- A kink at the distance d changes the quotients of steps h > d, with an error that falls as d/h, just as noise does.
  Only steps h < d can distinguish the two. So no step is used beyond the first of four over which the one-sided slopes
  differ by the same amount, and the noise is measured twice, over the four shortest steps and over all. If the two
  lead to different derivatives, either the long steps reach beyond a kink (then the short ones are right), or the short
  ones do not show the noise (then the error covers both). A kink whose height times d is a few roundings of the value
  is not seen.
- If the one-sided slopes differ by the same amount however short the step, there is a kink at 0; if the values do, a
  jump.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minipg.checks import Array

_FEW = 4  # the scatter over this many of the shortest steps is noise alone, or at least half of it
_SAME = 6  # changes by the same amount over this many of the shortest steps are a jump


class Samples(NamedTuple):
    """φ at 0 and around: `steps` (K,), shortest first; `centre` (M,) = φ(0); `right`, `left` (K, M) = φ(±steps)."""

    steps: Array
    centre: Array
    right: Array
    left: Array


class Derivative(NamedTuple):
    """d/dt φ(0); (M,).

    `value` ± `error`; `noise` of one evaluation; `step`: the step of a difference that shows it; `kink`, `jump`: φ is
    not differentiable, or not continuous; `single`: all values of φ are float32 numbers.
    """

    value: Array
    error: Array
    noise: Array
    step: Array
    kink: Array
    jump: Array
    single: Array


def assess(samples: Samples, epsilon: Array, floor: Array | float, shift: float) -> Derivative:
    """The derivative of φ at 0, from samples.

    `epsilon` (M,): the spacing of φ's floats, relative to its size. `floor` (M,): noise that is known beforehand.
    `shift`: the rounding of the arguments, as a step.
    """
    steps, centre, right, left = samples
    h, index = steps[:, None], np.arange(len(steps))[:, None]
    # once a step leaves the domain, longer ones are not used either
    usable = np.logical_and.accumulate(np.isfinite(right) & np.isfinite(left), axis=0)
    size = np.maximum.accumulate(np.where(usable, np.maximum(np.abs(right), np.abs(left)), 0), axis=0)
    rounding = epsilon * np.maximum(np.abs(centre), size) + tiny(epsilon) + floor  # (K, M): the least possible noise
    quotient = np.where(usable, (right - left) / (2 * h), np.nan)
    bend = np.where(usable, np.abs(right - 2 * centre + left) / h, 0)  # → 0 with h where φ is smooth

    # `least` of all that noise may be, and `most`, which may be a kink
    least = _scatter(quotient, h, usable, rounding)
    onset, apart = _steady_bend(bend, h, least, usable)
    before = usable & (index < onset)
    enough = before.sum(axis=0) >= 3
    trusted = np.where(apart & enough, before, usable) & _within_scale(bend, h, least, usable)
    unseen = np.where(apart & ~enough, _at(bend, onset), 0)
    most = np.maximum(_level(quotient, h, trusted, rounding), least)
    value, error, _ = _best(quotient, h, trusted, 2 * least)
    other, other_error, step = _best(quotient, h, trusted, most)

    difference = np.abs(value - other)
    agree = difference <= 2 * (error + other_error)
    one_sided = _at(bend, step)
    kinked = one_sided > 0.5 * difference
    apart = ~kinked & (difference > other_error / 4)
    # noise that the short steps do not show may be a kink
    other_error = other_error + np.where(_at(most > 8 * least, step), difference, 0)
    longer = agree & (other_error < error)
    value = np.where(longer, other, value)
    error = np.where(
        agree,
        np.minimum(np.where(apart, np.maximum(error, difference), error), other_error),
        np.where(kinked, error, difference + error + other_error),
    )
    # arguments rounded inside φ have the slope of a neighbouring place
    error = error + unseen + shift * one_sided / steps[step]
    coarse = np.maximum(1e-4 * size[-1], 8 * rounding[-1])  # smaller jumps are rounding
    jump = _jump(np.maximum(np.abs(right - centre), np.abs(left - centre)), coarse, usable)
    kink = _kink(bend, quotient, h, least, usable) & ~jump
    # the noise for which the error was estimated: `stretches` looks for more
    noise = np.where(np.where(agree, ~longer, kinked), least, most)[0]
    return Derivative(
        np.where(np.isfinite(value), value, 0), error, noise, steps[step], kink, jump, np.zeros(kink.shape, bool)
    )


def tiny(epsilon: Array) -> Array:
    """The smallest normal float of a spacing: smaller numbers have fewer digits."""
    return np.where(epsilon > 1e-10, float(np.finfo(np.float32).tiny), float(np.finfo(np.float64).tiny))


def _at(values: Array, index: Array) -> Array:
    """values (K, M) at one step (M,) for each output."""
    return np.asarray(np.take_along_axis(values, index[None], axis=0)[0])


def _scatter(quotient: Array, h: Array, usable: Array, rounding: Array) -> Array:
    """The noise that the shortest steps show, and the rounding at least; it grows with the value, too."""
    few = usable & (np.cumsum(usable, axis=0) <= _FEW)
    scatter = np.where(few[:-1] & few[1:], np.abs(np.diff(quotient, axis=0)) * h[:-1] / rounding[1:], 0)
    return np.asarray(rounding * np.maximum(1, scatter.max(axis=0)))


def _level(quotient: Array, h: Array, trusted: Array, rounding: Array) -> Array:
    """The level of |Δ quotient|·h: its greatest value before it climbs three times in a row."""
    change = np.abs(np.diff(quotient, axis=0)) * h[:-1]
    change[~(trusted[:-1] & trusted[1:])] = 0
    before = np.maximum.accumulate(np.concatenate([rounding[:1], change[:-1]]), axis=0)
    climbs = change > 8 * np.maximum(before, rounding[:-1])
    climbs[-2:] = False
    climbs[:-2] &= (change[1:-1] > 8 * change[:-2]) & (change[2:] > 8 * change[1:-1])
    level = ~np.logical_or.accumulate(climbs, axis=0)
    return np.maximum(rounding[0], np.where(level, change, 0).max(axis=0))


def _best(quotient: Array, h: Array, trusted: Array, noise: Array) -> tuple[Array, Array, Array]:
    """The extrapolated quotient with the least error that contradicts no shorter step: value, error, step."""
    square = (h[1:] / h[:-1]) ** 2
    extrapolated = np.full_like(quotient, np.nan)
    extrapolated[:-1] = (square * quotient[:-1] - quotient[1:]) / (square - 1)
    error = np.full_like(quotient, np.inf)
    change = np.abs(np.diff(extrapolated[:-1], axis=0))
    error[:-2] = change + 3 * noise[:-2] / h[:-2]
    # two long steps may agree by chance: the next shorter one must agree too, as far as its noise allows
    behind = np.where(trusted[:-3], change[:-1] - 2 * noise[:-3] / h[:-3], 0)
    error[1:-2] = np.maximum(error[1:-2], behind + 3 * noise[1:-2] / h[1:-2])
    # extrapolation looks two steps ahead
    error[:-2][~(trusted[:-2] & trusted[1:-1] & trusted[2:])] = np.inf
    error[~np.isfinite(error)] = np.inf
    width = 6 * noise / h
    lowest = np.maximum.accumulate(np.where(trusted, quotient - width, -np.inf), axis=0)
    highest = np.minimum.accumulate(np.where(trusted, quotient + width, np.inf), axis=0)
    contradicted = (extrapolated + width)[1:] < lowest[:-1]
    contradicted |= (extrapolated - width)[1:] > highest[:-1]
    error[1:][contradicted] = np.inf
    best = np.argmin(error, axis=0)
    return _at(extrapolated, best), _at(error, best), best


def _steady_bend(bend: Array, h: Array, noise: Array, usable: Array) -> tuple[Array, Array]:
    """The first of four steps over which the one-sided slopes differ by the same amount; whether there is one."""
    ratio = bend[1:] / bend[:-1]
    clear = usable & (bend * h > 16 * noise)
    steady = (ratio > 0.6) & (ratio < 1.7)
    steady = steady[:-2] & steady[1:-1] & steady[2:] & clear[:-3] & clear[1:-2] & clear[2:-1] & clear[3:]
    return np.argmax(steady, axis=0), np.asarray(steady.any(axis=0))


def _within_scale(bend: Array, h: Array, noise: Array, usable: Array) -> Array:
    """False for steps past one at which the bend shrinks again: φ varies on a shorter scale, and quotients average it.

    Of an even function their average is 0, however long the step.
    """
    shrinks = usable[:-1] & (bend[:-1] * h[:-1] > 16 * noise[:-1]) & (bend[1:] < 0.5 * bend[:-1])
    return np.concatenate([np.ones((1, *bend.shape[1:]), bool), ~np.logical_or.accumulate(shrinks, axis=0)])


def _kink(bend: Array, quotient: Array, h: Array, noise: Array, usable: Array) -> Array:
    """True where the one-sided slopes differ by the same amount at four steps in a row and at every shorter one."""
    first, apart = _steady_bend(bend, h, noise, usable)
    height = _at(bend, first)
    # if the slope itself still changes by more, it may be a curve through a flat point
    apart &= _at(np.abs(np.diff(quotient, axis=0)), first) < height
    resolved = usable & (height * h > 16 * noise) & (np.arange(len(h))[:, None] < first)
    return apart & ((bend > 0.4 * height) | ~resolved).all(axis=0)


def _jump(change: Array, coarse: Array, usable: Array) -> Array:
    """True where φ changes by the same amount however short the step, and by more than `coarse`."""
    short = change[:_SAME]
    same = (short > 0.9 * short[0]) & (short < 1.1 * short[0]) & usable[:_SAME]
    return same.all(axis=0) & (short[0] > coarse)
