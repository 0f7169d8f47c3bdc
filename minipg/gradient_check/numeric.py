"""Numeric derivatives with an error bound.

A difference quotient over a step h has two errors: truncation, which shrinks with h, and the noise of the function's
arithmetic, which grows as 1/h. Both are measured. Quotients are taken over steps h₀, ≈4h₀, ≈16h₀, … (`differences.py`
turns them into a value and a bound):

- first over every second or third of the steps. A smooth function is done then: nine steps give eight digits;
- else over all steps, with a search for the ends of the stretch that looks straight (`stretches.py`).

In float32 the steps are few, and all are taken at once.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.differences import Derivative, Samples, assess, tiny
from minipg.gradient_check.stretches import Tangent, stretch

_RATIO = 4.0
_SHORTEST = 2.0**-46  # of the scale, in float64: 64 units in the last place
_FEW = 0, 4, 8, 11, 13, 15, 17, 19, 21  # of these steps, from 2⁻⁴⁶ to 2⁻⁴ of the scale
_FAR = 2.0**-30, 2.0**-14, 2.0**2, 2.0**16, 2.0**32  # φ may be straight as far as this, or end before
_SHARP = 1e-7  # a relative error this small needs no further steps
_SINGLE = float(np.finfo(np.float32).eps)


def derivative(
    phi: Callable[[float], Array],
    scale: float,
    epsilon_in: float,
    epsilon_out: float,
    longest: float = 1.0,
    floor: Array | float = 0.0,
    narrow: float | None = None,
) -> Derivative:
    """The derivative at 0 of φ: t ↦ (M,) float64, which may be NaN outside its domain.

    `scale`: the |t| at which the arguments have moved by their own size. `epsilon_in`, `epsilon_out`: the spacing of
    the floats of the arguments and of φ, relative to their size. `longest`: no step is longer than this or scale.
    `floor` (M,): noise that is known beforehand.
    `narrow`: the size beside which stairs are narrow (default: scale), 0 if the arguments are 0 and have none.
    """
    phi = functools.cache(phi)
    shortest = 2.0 ** np.round(np.log2(scale * _SHORTEST * epsilon_in / np.finfo(np.float64).eps))
    number = np.arange(int(np.ceil(np.log(max(scale, longest) / shortest) / np.log(_RATIO))) + 1)
    # powers of 4 alone would repeat every rounding; four more bits still leave x + h exact for short x
    steps = shortest * _RATIO**number * (1 + 5 * number % 8 / 16)
    # too short and too long for quotients, but not for stairs
    short, far = steps[0] / np.array([16, 8]), [t for t in (16 * steps[-1], *_FAR) if t >= 16 * steps[-1]]
    few = [k for k in _FEW if k < len(steps) - 2] if epsilon_in < 1e-10 else []
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        centre, shift = phi(0.0), 2 * epsilon_in * scale

        def at(*steps: Any) -> Samples:
            h = np.concatenate(steps)
            return Samples(h, centre, *(np.stack([phi(sign * float(t)) for t in h]) for sign in (1, -1)))

        def tangent(samples: Samples) -> Tangent:
            return Tangent(phi, samples, found, epsilon, epsilon * np.abs(centre) + floor + tiny(epsilon))

        if few:
            samples = at(steps[few])
            epsilon = np.where(_single(phi, samples, scale), _SINGLE, epsilon_out)
            found = assess(samples, epsilon, floor, shift)
            if _sharp(found, samples, scale, epsilon_out):
                line = tangent(samples)
                if line.smooth().all() or (line.smooth() | tangent(at(steps[few], far)).straight()).all():
                    return found
        samples = at(steps)
        epsilon = np.where(_single(phi, samples, scale), _SINGLE, epsilon_out)
        found = assess(samples, epsilon, floor, shift)
        noisy = epsilon_in > 1e-10 and (found.noise > 4 * epsilon * np.abs(centre)).any()
        line = tangent(at(short, steps, far) if noisy else at(steps, far))
        ends = stretch(line, scale if narrow is None else narrow, float(steps[-1]), found.kink | found.jump)
        if ends.noise.any():
            found = assess(samples, epsilon, floor + ends.noise, shift)
        flat = line.flat & (ends.width > 0) & (ends.wide | (ends.doubt < found.error))
        return found._replace(
            value=np.where(flat, 0, found.value),
            error=np.where(flat, ends.doubt, found.error + np.where(ends.wide, ends.doubt, 0)),
            noise=np.where(flat, 0, found.noise),
            step=np.where(flat, ends.width / 2, found.step),
            single=epsilon > epsilon_out,
        )


def _sharp(found: Derivative, samples: Samples, scale: float, epsilon: float) -> bool:
    """True if no output has a kink or a jump, and each error is small, or as small as rounding lets it be."""
    steps, centre, right, left = samples
    bend = np.abs(right[-1] - 2 * centre + left[-1]) / steps[-1]
    enough = np.maximum(_SHARP * np.maximum(np.abs(found.value), bend), 2**20 * epsilon * np.abs(centre) / scale)
    constant = ((right == centre) & (left == centre)).all(axis=0)
    return bool((constant | (~found.kink & ~found.jump & (found.error <= enough))).all())


def _single(phi: Callable[[float], Array], samples: Samples, scale: float) -> Array:
    """True for outputs (M,) that are float32 numbers everywhere, and not constant: φ computes in float32."""
    _, centre, right, left = samples
    short = lambda values: (values == values.astype(np.float32)) | ~np.isfinite(values)
    single = np.asarray(short(centre) & (short(right) & short(left)).all(axis=0))
    if single.any():  # a step of few bits may lead to such a number by chance
        other = phi(0.1047197551196598 * scale)
        single &= short(other) & (other != centre)
    return single


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
    # two neighbours may agree by chance: a shorter step gains a factor of 16 at most
    apart[1:] = np.maximum(apart[1:], apart[:-1] / 16)
    error = apart + 8 * noise / steps[2:] ** 2
    error[~np.isfinite(error)] = np.inf
    best = int(np.argmin(error))
    return float(extrapolated[best + 1]), float(error[best])
