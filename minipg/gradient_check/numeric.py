"""Numeric derivatives that know how wrong they may be.

A difference quotient has two errors: truncation, which shrinks with the step h, and the noise of the function's own
arithmetic, which grows as 1/h. Both are measured, not assumed. Quotients are taken over steps h₀, ≈4h₀, ≈16h₀, …:

- between neighbouring steps the quotients differ by noise/h while h is small and by truncation once it is large, so
  the differences times h stay flat and then climb; the height of the flat part is the noise;
- each quotient is extrapolated with its neighbour (Richardson), and the step with the least truncation + noise is
  taken, but only among steps whose result lies in the noise interval of every smaller step (Lepski) and which agree
  with the next smaller one: long steps that agree by chance, as on a periodic function, are refused;
- to steps h > d, a kink at the distance d is a wrong slope with an error that falls as d/h, as that of noise does;
  only steps h < d can tell. So no step is used beyond the first of four over which the one-sided slopes stay apart by
  the same amount, and the noise is read off twice, over the four shortest steps and over all. Where the two end in
  different derivatives, either the long steps reach over a kink (then the short ones are right), or the short ones
  do not see the noise (then nobody can tell, and the error says so). A kink whose height times d is but a few
  roundings of the value goes unseen;
- steps too short to change the function say that its slope is 0, unless it moves by stairs: unless small moves about
  longer steps do not change it either;
- where the slopes to the left and right stay apart by the same amount however short the step, and each of them
  settles, there is a kink; where the values stay apart, a jump.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minipg.checks import Array

IMAGINARY = 1e-30  # of the scale: the complex step
_RATIO = 4.0
_SHORTEST = 2.0**-46  # of the scale, in float64: 64 units in the last place
_FEW = 4  # of the shortest steps: their scatter is noise alone, or at least half of it
_SAME = 6  # changes by the same amount, at as many of the shortest steps, are a jump


class Derivative(NamedTuple):
    """d/dt φ(0): the value, a bound on its error, the noise of one evaluation, where φ has a kink or jumps; (M,)."""

    value: Array
    error: Array
    noise: Array
    kink: Array
    jump: Array


def derivative(
    phi: Callable[[float], Array],
    scale: float,
    epsilon_in: float,
    epsilon_out: float,
    longest: float = 1.0,
    floor: Array | float = 0.0,
) -> Derivative:
    """The derivative at 0 of φ: t ↦ (M,) float64.

    `scale` is the |t| at which the arguments have moved by their own size; `epsilon_in` the spacing of the arguments'
    floats and `epsilon_out` that of the function's, relative to their size. No step is longer than `longest` or scale.
    `floor` (M,) is noise that is known beforehand.
    """
    shortest = scale * _SHORTEST * epsilon_in / np.finfo(np.float64).eps
    count = int(np.ceil(np.log(max(scale, longest) / shortest) / np.log(_RATIO))) + 1
    number = np.arange(count)
    # powers of 4 alone would repeat every rounding; four more bits still leave x + h exact for short x
    steps = shortest * _RATIO**number * (1 + 5 * number % 8 / 16)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        centre = phi(0.0)
        right, left = (np.stack([phi(sign * h) for h in steps]) for sign in (1.0, -1.0))
        tiny = float(np.finfo(np.float32 if epsilon_out > 1e-10 else np.float64).tiny)
        stairs = _stairs(phi, centre, right, left, steps)
        found, curvature = _assess(centre, right, left, steps[:, None], epsilon_out, tiny + floor, stairs)
        # arguments rounded inside φ have the slope of a place beside this one
        return found._replace(error=found.error + 2 * epsilon_in * scale * curvature)


def _stairs(phi: Callable[[float], Array], centre: Array, right: Array, left: Array, steps: Array) -> Array:
    """Where φ, which the shortest steps leave as it is, moves by stairs: it is flat around longer steps, too; (M,).

    A stair is at least as wide as what is flat around 0, so a quarter of that rarely leaves one: 6 moves never do.
    """
    still = np.logical_and.accumulate((right == centre) & (left == centre), axis=0)
    flat = still.sum(axis=0)
    stairs = np.zeros(centre.shape, bool)
    for count in set(flat[(flat >= 2) & (flat < len(steps))].tolist()):
        aside = steps[count - 1] / 4
        for sign, values in ((1.0, right), (-1.0, left)):
            for h, value in zip(steps[count : count + 3], values[count : count + 3], strict=True):
                stays = [phi(sign * (h + side)) == value for side in (-aside, aside)]
                stairs |= (flat == count) & (value != centre) & (stays[0] | stays[1])
    return stairs


def _assess(
    centre: Array, right: Array, left: Array, h: Array, epsilon: float, tiny: Array | float, stairs: Array
) -> tuple[Derivative, Array]:
    """The derivative and |φ″|.   `right`, `left` (K, M) are the values at ±h (K, 1), shortest first."""
    # once a step leaves the domain, longer ones are not to be trusted either
    usable = np.logical_and.accumulate(np.isfinite(right) & np.isfinite(left), axis=0)
    # steps too short to change the function at all say nothing where it moves by stairs
    moved = np.logical_or.accumulate(usable & ((right != centre) | (left != centre)), axis=0)
    told = usable & (moved | ~stairs)

    size = np.maximum.accumulate(np.where(usable, np.maximum(np.abs(right), np.abs(left)), 0), axis=0)
    rounding = epsilon * np.maximum(np.abs(centre), size) + tiny  # (K, M): the least that noise can be
    # what the short steps leave as it is may be larger terms that cancel, of the size that shows once it moves
    still = (usable & ~moved).sum(axis=0)
    shows = np.take_along_axis(rounding, np.minimum(still + 2, len(h) - 1)[None], axis=0)
    rounding = np.where(~stairs & (still >= 2), np.maximum(rounding, shows), rounding)
    quotient = np.where(usable, (right - left) / (2 * h), np.nan)
    bend = np.where(usable, np.abs(right - 2 * centre + left) / h, 0)  # → 0 with h where φ is smooth

    flat = (usable & ~told).sum(axis=0)
    last = np.maximum(flat - 1, 0)[None]
    longest_flat = np.where(flat > 0, np.take_along_axis(np.broadcast_to(h, told.shape), last, axis=0)[0], 0)

    # `least` of all that noise may be, and `most`, which may be a kink
    least = _scattered(quotient, h, told, rounding)
    # beyond a kink nearby, or the scale of a bend that looks like one, steps see another slope
    everywhere, index = told, np.arange(len(h))[:, None]
    onset, apart = _apart(bend, h, least, told)
    before = told & (index < onset)
    told = np.where(apart & (before.sum(axis=0) >= 3), before, told)
    unseen = np.where(apart & (before.sum(axis=0) < 3), np.take_along_axis(bend, onset[None], axis=0)[0], 0)
    most = np.maximum(_noise(quotient, h, told, rounding), least)
    value, error, _ = _best(quotient, h, told, 2 * least)
    other, other_error, step = _best(quotient, h, told, most)
    # a slope that did not move the function over a flat step is below its stairs, whose height is noise
    height = np.where(np.isfinite(value), np.abs(value), 0) * longest_flat
    if (height > least[0]).any():
        least, most = np.maximum(least, height), np.maximum(most, height)
        value, error, _ = _best(quotient, h, told, 2 * least)
        other, other_error, step = _best(quotient, h, told, most)

    apart = np.abs(value - other)
    agree = apart <= 2 * (error + other_error)
    one_sided = np.take_along_axis(bend, step[None], axis=0)[0]
    over_kink = ~agree & (one_sided > 0.5 * apart)
    kink = _kinks(bend, quotient, h, least, everywhere)
    # noise that the short steps do not see may be a kink
    doubtful = np.take_along_axis(most > 8 * least, step[None], axis=0)[0]
    other_error = other_error + np.where(doubtful, apart, 0)
    value = np.where(agree & (other_error < error), other, value)
    error = np.where(agree, np.minimum(error, other_error), np.where(over_kink, error, apart + error + other_error))
    error = error + unseen
    coarse = np.maximum(1e-4 * size[-1], 8 * rounding[-1])  # smaller stairs are rounding
    jump = _jumps(np.maximum(np.abs(right - centre), np.abs(left - centre)), coarse, usable)
    noise = np.where(over_kink, least, most)[0]
    found = Derivative(np.where(np.isfinite(value), value, 0), error, noise, kink & ~jump, jump)
    return found, one_sided / np.take_along_axis(np.broadcast_to(h, bend.shape), step[None], axis=0)[0]


def _scattered(quotient: Array, h: Array, told: Array, rounding: Array) -> Array:
    """The rounding, or more where the shortest steps scatter more: terms cancel; it grows with the value, too."""
    few = told & (np.cumsum(told, axis=0) <= _FEW)
    scatter = np.where(few[:-1] & few[1:], np.abs(np.diff(quotient, axis=0)) * h[:-1] / rounding[1:], 0)
    return np.asarray(rounding * np.maximum(1, scatter.max(axis=0)))


def _noise(quotient: Array, h: Array, told: Array, rounding: Array) -> Array:
    """The height of the flat beginning of |Δ quotient|·h: its greatest value before it climbs three times in a row."""
    jump = np.abs(np.diff(quotient, axis=0)) * h[:-1]
    jump[~(told[:-1] & told[1:])] = 0
    before = np.maximum.accumulate(np.concatenate([rounding[:1], jump[:-1]]), axis=0)
    climbs = jump > 8 * np.maximum(before, rounding[:-1])
    climbs[-2:] = False
    climbs[:-2] &= (jump[1:-1] > 8 * jump[:-2]) & (jump[2:] > 8 * jump[1:-1])
    flat = ~np.logical_or.accumulate(climbs, axis=0)
    return np.maximum(rounding[0], np.where(flat, jump, 0).max(axis=0))


def _best(quotient: Array, h: Array, told: Array, noise: Array) -> tuple[Array, Array, Array]:
    """The extrapolated quotient with the least error that contradicts none of a shorter step: value, error, index."""
    square = (h[1:] / h[:-1]) ** 2
    extrapolated = np.full_like(quotient, np.nan)
    extrapolated[:-1] = (square * quotient[:-1] - quotient[1:]) / (square - 1)
    error = np.full_like(quotient, np.inf)
    change = np.abs(np.diff(extrapolated[:-1], axis=0))
    error[:-2] = change + 3 * noise[:-2] / h[:-2]
    # two long steps may agree by chance: the next shorter one must agree too, as far as its noise allows
    behind = np.where(told[:-3], change[:-1] - 2 * noise[:-3] / h[:-3], 0)
    error[1:-2] = np.maximum(error[1:-2], behind + 3 * noise[1:-2] / h[1:-2])
    # extrapolation looks two steps ahead
    error[:-2][~(told[:-2] & told[1:-1] & told[2:])] = np.inf
    error[~np.isfinite(error)] = np.inf
    width = 6 * noise / h
    lowest = np.maximum.accumulate(np.where(told, quotient - width, -np.inf), axis=0)
    highest = np.minimum.accumulate(np.where(told, quotient + width, np.inf), axis=0)
    contradicted = (extrapolated + width)[1:] < lowest[:-1]
    contradicted |= (extrapolated - width)[1:] > highest[:-1]
    error[1:][contradicted] = np.inf
    best = np.argmin(error, axis=0)
    take = lambda array: np.take_along_axis(array, best[None], axis=0)[0]
    return take(extrapolated), take(error), best


def _apart(bend: Array, h: Array, noise: Array, told: Array) -> tuple[Array, Array]:
    """The first step at which one-sided slopes stay apart, four times in a row; whether there is one."""
    with np.errstate(all="ignore"):
        ratio = bend[1:] / bend[:-1]
    clear = told & (bend * h > 16 * noise)
    steady = (ratio > 0.6) & (ratio < 1.7)
    steady = steady[:-2] & steady[1:-1] & steady[2:] & clear[:-3] & clear[1:-2] & clear[2:-1] & clear[3:]
    return np.argmax(steady, axis=0), np.asarray(steady.any(axis=0))


def _kinks(bend: Array, quotient: Array, h: Array, noise: Array, told: Array) -> Array:
    """Where the one-sided slopes stay apart by the same amount at four steps in a row and at every shorter one."""
    first, apart = _apart(bend, h, noise, told)
    height = np.take_along_axis(bend, first[None], axis=0)
    # while the slope itself still changes by more, it is a curve through a flat point, perhaps
    apart &= (np.abs(np.take_along_axis(np.diff(quotient, axis=0), first[None], axis=0)) < height)[0]
    resolved = told & (height * h > 16 * noise) & (np.arange(len(h))[:, None] < first)
    return apart & ((bend > 0.4 * height) | ~resolved).all(axis=0)


def _jumps(change: Array, coarse: Array, usable: Array) -> Array:
    """Where φ changes by the same amount however short the step; steps of rounding are far below `coarse`."""
    short = change[:_SAME]
    same = (short > 0.9 * short[0]) & (short < 1.1 * short[0]) & usable[:_SAME]
    return same.all(axis=0) & (short[0] > coarse)


def complex_step(phi: Callable[[complex], Array], scale: float) -> Array | None:
    """Im φ(i h)/h with h far below rounding: exact for analytic functions, None where φ takes no complex numbers."""
    h = scale * IMAGINARY
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("error")
            value: Any = phi(1j * h)
    except Exception:  # a function that was not made for complex numbers may raise anything
        return None
    return value.imag / h if np.iscomplexobj(value) and np.isfinite(value).all() else None


def second_derivative(phi: Callable[[float], float], scale: float = 1.0) -> tuple[float, float]:
    """d²/dt² φ(0) and a bound on its error, for a smooth φ in float64: extrapolated second differences."""
    steps = scale * 2.0 ** -np.arange(2, 24)
    centre = phi(0.0)
    right, left = (np.array([phi(sign * h) for h in steps]) for sign in (1.0, -1.0))
    quotient = (right - 2 * centre + left) / steps**2
    extrapolated = (4 * quotient[1:] - quotient[:-1]) / 3
    # at the shortest steps the quotients differ by noise/h² alone
    noise = float((np.abs(np.diff(quotient)) * steps[1:] ** 2)[-8:].max()) + np.finfo(float).eps * float(
        np.abs(right).max()
    )
    apart = np.abs(np.diff(extrapolated))
    # a shorter step gains no more: two that agree may do so by chance
    apart[1:] = np.maximum(apart[1:], apart[:-1] / 16)
    error = apart + 8 * noise / steps[2:] ** 2
    error[~np.isfinite(error)] = np.inf
    best = int(np.argmin(error))
    return float(extrapolated[best + 1]), float(error[best])
