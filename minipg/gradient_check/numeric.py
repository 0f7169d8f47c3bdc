"""Numeric derivatives that know how wrong they may be.

A difference quotient has two errors: truncation, which shrinks with the step h, and the noise of the function's own
arithmetic, which grows as 1/h. Both are measured, not assumed. Quotients are taken over steps h₀ < 4h₀ < 16h₀ < …:

- between neighbouring steps the quotients differ by noise/h while h is small and by truncation once it is large, so
  the differences times h stay flat and then climb; the height of the flat part is the noise;
- each quotient is extrapolated with its neighbour (Richardson), and the step with the least truncation + noise is
  taken, but only among steps whose result lies in the noise interval of every smaller step (Lepski): a long step
  that happens to look calm, as on a periodic function, contradicts the short ones and is refused;
- the flat part is read off twice, over the shortest steps alone and over all. Where the two end in different
  derivatives, either the long steps reach over a kink (then the short ones are right), or the short ones do not see
  the noise (then nobody can tell, and the error says so);
- where the slopes to the left and right stay apart by the same amount however short the step, there is a kink.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minipg.checks import Array

_RATIO = 4.0
_SHORTEST = 2.0**-46  # of the scale, in float64: 64 units in the last place
_LONGEST = 1.0
_SHORT = 6  # steps, from the shortest that changes the function


class Derivative(NamedTuple):
    """d/dt φ(0): the value, a bound on its error, the noise of one evaluation (all (M,)), and where φ has a kink."""

    value: Array
    error: Array
    noise: Array
    kink: Array


def derivative(phi: Callable[[float], Array], scale: float, epsilon_in: float, epsilon_out: float) -> Derivative:
    """The derivative at 0 of φ: t ↦ (M,) float64.

    `scale` is the |t| at which the arguments have moved by their own size; `epsilon_in` the spacing of the arguments'
    floats and `epsilon_out` that of the function's, relative to their size.
    """
    shortest = scale * _SHORTEST * epsilon_in / np.finfo(np.float64).eps
    count = int(np.ceil(np.log(max(scale, _LONGEST) / shortest) / np.log(_RATIO))) + 1
    steps = shortest * _RATIO ** np.arange(count)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        centre = phi(0.0)
        right, left = (np.stack([phi(sign * h) for h in steps]) for sign in (1.0, -1.0))
        tiny = float(np.finfo(np.float32 if epsilon_out > 1e-10 else np.float64).tiny)
        return _assess(centre, right, left, steps[:, None], epsilon_out, tiny)


def _assess(centre: Array, right: Array, left: Array, h: Array, epsilon: float, tiny: float) -> Derivative:
    """`right`, `left` (K, M) the values at ±h (K, 1), shortest first."""
    # once a step leaves the domain, longer ones are not to be trusted either
    usable = np.logical_and.accumulate(np.isfinite(right) & np.isfinite(left), axis=0)
    # steps too short to change the function at all say nothing, unless nothing ever changes it
    moved = np.logical_or.accumulate(usable & ((right != centre) | (left != centre)), axis=0)
    told = usable & (moved | ~moved[-1])

    size = np.maximum.accumulate(np.where(usable, np.maximum(np.abs(right), np.abs(left)), 0), axis=0)
    rounding = epsilon * np.maximum(np.abs(centre), size) + tiny  # (K, M): the least that noise can be
    quotient = np.where(usable, (right - left) / (2 * h), np.nan)
    bend = np.where(usable, np.abs(right - 2 * centre + left) / h, 0)  # → 0 with h where φ is smooth

    first = np.cumsum(told, axis=0)
    short = _noise(quotient, h, told & (first <= _SHORT), rounding)
    value, error, _ = _best(quotient, h, told, np.maximum(short, rounding))
    noise = _noise(quotient, h, told, rounding)
    other, other_error, step = _best(quotient, h, told, np.maximum(noise, rounding))

    apart = np.abs(value - other)
    agree = apart <= 2 * (error + other_error)
    over_kink = ~agree & (np.take_along_axis(bend, step[None], axis=0)[0] > 0.5 * apart)
    kink = _kinks(bend, h, np.where(over_kink, short, np.minimum(short, noise)), rounding, told)
    value = np.where(agree & (other_error < error), other, value)
    error = np.where(agree, np.minimum(error, other_error), np.where(over_kink, error, apart + error + other_error))
    return Derivative(np.where(np.isfinite(value), value, 0), error, np.where(over_kink, short, noise), kink)


def _noise(quotient: Array, h: Array, told: Array, rounding: Array) -> Array:
    """The height of the flat beginning of |Δ quotient|·h: its greatest value before it climbs three times in a row."""
    jump = np.abs(np.diff(quotient, axis=0)) * h[:-1]
    jump[~(told[:-1] & told[1:])] = 0
    height, climbing = rounding[0].copy(), np.zeros(jump.shape[1], bool)
    for k in range(len(jump)):
        if k + 2 < len(jump):
            base = np.maximum(height, rounding[k])
            climbing |= (jump[k] > 8 * base) & (jump[k + 1] > 8 * jump[k]) & (jump[k + 2] > 8 * jump[k + 1])
        height = np.where(climbing, height, np.maximum(height, jump[k]))
    return height


def _best(quotient: Array, h: Array, told: Array, noise: Array) -> tuple[Array, Array, Array]:
    """The extrapolated quotient with the least error that contradicts none of a shorter step: value, error, index."""
    square = _RATIO**2
    extrapolated = np.full_like(quotient, np.nan)
    extrapolated[:-1] = (square * quotient[:-1] - quotient[1:]) / (square - 1)
    error = np.full_like(quotient, np.inf)
    error[:-2] = np.abs(np.diff(extrapolated[:-1], axis=0)) + 3 * noise[:-2] / h[:-2]
    # extrapolation looks two steps ahead
    error[:-2][~(told[:-2] & told[1:-1] & told[2:])] = np.inf
    error[~np.isfinite(error)] = np.inf
    for j in range(len(h) - 1):
        apart = np.abs(extrapolated[j + 1 :] - quotient[j])
        contradicted = (apart > 6 * noise[j] / h[j] + 6 * noise[j + 1 :] / h[j + 1 :]) & told[j]
        error[j + 1 :][contradicted] = np.inf
    best = np.argmin(error, axis=0)
    take = lambda array: np.take_along_axis(array, best[None], axis=0)[0]
    return take(extrapolated), take(error), best


def _kinks(bend: Array, h: Array, noise: Array, rounding: Array, told: Array) -> Array:
    """Where the one-sided slopes stay apart by the same amount at four steps in a row and at every shorter one."""
    kink, seen = np.zeros(noise.shape, bool), np.zeros(noise.shape, bool)
    with np.errstate(all="ignore"):
        ratio = bend[1:] / bend[:-1]
    steady = (ratio > 0.6) & (ratio < 1.7)
    for k in range(len(h) - 3):
        new = ~seen & told[k] & told[k + 3] & steady[k] & steady[k + 1] & steady[k + 2] & (bend[k] * h[k] > 16 * noise)
        if new.any():
            seen |= new
            resolved = (bend[k] * h[:k] > 16 * rounding[:k]) & told[:k]
            kink |= new & ((bend[:k] > 0.4 * bend[k]) | ~resolved).all(axis=0)
    return kink


def complex_step(phi: Callable[[complex], Array], scale: float) -> Array | None:
    """Im φ(i h)/h with h far below rounding: exact for analytic functions, None where φ takes no complex numbers."""
    h = scale * 1e-30
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
    error = np.abs(np.diff(extrapolated)) + 8 * noise / steps[2:] ** 2
    error[~np.isfinite(error)] = np.inf
    best = int(np.argmin(error))
    return float(extrapolated[best + 1]), float(error[best])
