"""The input of a law, and the error that it returns.

A law is a function of a `Case`. It draws random numbers from the case, computes both sides of an equation, and returns
the largest error as a fraction of the allowed error. Allowed is rounding in the case's dtype; for derivatives, also the
error of the difference quotient (`gradient_check.numeric`). A law holds if the fraction is at most 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.numeric import derivative
from minipg.runtime.backend import Backend

ROUNDING = 32.0  # allowed units in the last place of the largest term: 7e-15 of it in float64, 4e-6 in float32
_DOUBLE = float(np.finfo(np.float64).eps)
_SAFETY = 4.0  # times the error that the difference quotient estimates for itself


@dataclass(frozen=True)
class Case:
    """The twin that computes, its dtype, a generator of random numbers, and the largest `size` of anything drawn."""

    backend: Backend
    dtype: Any
    rng: np.random.Generator
    size: int

    @property
    def epsilon(self) -> float:
        """The spacing of the dtype's floats at 1."""
        return float(np.finfo(self.dtype).eps)

    @property
    def in_double(self) -> Case:
        """The same case in float64, for results that are float64 in every dtype."""
        return replace(self, dtype=np.float64)

    def count(self, most: int) -> int:
        """A random length from 1 to `most`, and no larger than the case's size."""
        return int(self.rng.integers(1, min(most, self.size) + 1))

    def one_of(self, *choices: Any) -> Any:
        """One of the choices, at random."""
        return choices[self.rng.integers(len(choices))]

    def normal(self, *shape: int, scale: float = 1.0) -> Array:
        """Normal random numbers of this shape, in the case's dtype."""
        return (scale * self.rng.normal(size=shape)).astype(self.dtype)


Law: TypeAlias = Callable[[Case], float]


def error_ratio(case: Case, got: Any, expected: Any, terms: Any = 1.0) -> float:
    """The largest |got − expected| over the rounding allowed in sums of terms of size `terms` (arrays broadcast)."""
    return _worst(np.asarray(got, float) - expected, ROUNDING * case.epsilon * np.asarray(terms, float))


def slope_error_ratio(case: Case, got: Any, f: Callable[[Array], Any], x: Array, v: Array, terms: Any = 1.0) -> float:
    """The largest |got − d/dt f(x + t v)| at t = 0 over the allowed error, with differences taken in float64.

    0 where f has a kink.
    """
    x, v = x.astype(np.float64), v.astype(np.float64)
    found = derivative(lambda t: np.asarray(f(x + t * v), float).ravel(), 1.0, _DOUBLE, _DOUBLE)
    allowed = _SAFETY * found.error + ROUNDING * case.epsilon * np.broadcast_to(terms, np.shape(got)).ravel()
    return _worst(np.where(found.kink, 0, np.asarray(got, float).ravel() - found.value), allowed)


def _worst(difference: Array, allowed: Array) -> float:
    """The largest |difference| / allowed; infinite if any is NaN."""
    with np.errstate(all="ignore"):
        share = np.abs(difference) / np.maximum(allowed, np.finfo(float).tiny)
    return float(np.where(np.isnan(share), np.inf, share).max(initial=0.0))
