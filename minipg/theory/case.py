"""What a law is given, and how it says by how much it is missed.

A law is a function of a `Case` that draws what it speaks of and returns the worst error as a fraction of the error that
is allowed: rounding in the case's dtype, and for derivatives also what differences can tell (`gradient_check.numeric`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.numeric import derivative
from minipg.runtime.backend import Backend

ROUNDING = 32.0  # units in the last place of the terms' size: 7e-15 in float64, 4e-6 in float32
_DOUBLE = float(np.finfo(np.float64).eps)
_SAFETY = 4.0  # beyond the difference quotient's own estimate


@dataclass(frozen=True)
class Case:
    """Which twin computes, in which dtype, from which random numbers; nothing is longer than `size`."""

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
        """The same case for what is float64 whatever the dtype."""
        return replace(self, dtype=np.float64)

    def count(self, most: int) -> int:
        """A length from 1 to `most`."""
        return int(self.rng.integers(1, min(most, self.size) + 1))

    def one_of(self, *choices: Any) -> Any:
        """One of the choices."""
        return choices[self.rng.integers(len(choices))]

    def normal(self, *shape: int, scale: float = 1.0) -> Array:
        """Normal numbers of the case's dtype."""
        return (scale * self.rng.normal(size=shape)).astype(self.dtype)


Law: TypeAlias = Callable[[Case], float]


def apart(case: Case, got: Any, expected: Any, terms: Any = 1.0) -> float:
    """The worst |got − expected| as a fraction of what rounding does to sums whose terms have the size `terms`."""
    return _worst(np.asarray(got, float) - expected, ROUNDING * case.epsilon * np.asarray(terms, float))


def apart_from_slope(case: Case, got: Any, f: Callable[[Array], Any], x: Array, v: Array, terms: Any = 1.0) -> float:
    """The worst |got − d/dt f(x + t v)| at 0, differences being taken in float64, as a fraction of what is allowed.

    Where f has a kink, or differences tell nothing, nothing is missed.
    """
    x, v = x.astype(np.float64), v.astype(np.float64)
    found = derivative(lambda t: np.asarray(f(x + t * v), float).ravel(), 1.0, _DOUBLE, _DOUBLE)
    allowed = _SAFETY * found.error + ROUNDING * case.epsilon * np.broadcast_to(terms, np.shape(got)).ravel()
    return _worst(np.where(found.kink, 0, np.asarray(got, float).ravel() - found.value), allowed)


def _worst(difference: Array, allowed: Array) -> float:
    """NaN anywhere is infinitely wrong."""
    with np.errstate(all="ignore"):
        share = np.abs(difference) / np.maximum(allowed, np.finfo(float).tiny)
    return float(np.where(np.isnan(share), np.inf, share).max(initial=0.0))
