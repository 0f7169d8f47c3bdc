"""Hypothesis strategies for arrays, and derivative checks as property tests  (extra `check`).

Arrays are drawn entry by entry from short numbers, so a failing example shrinks to small shapes and round entries.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minipg.checks import Array
from minipg.gradient_check import check_gradient, check_jvp, check_vjp

Strategy = st.SearchStrategy[Any]


def arrays(shape: Any, size: float = 3.0, dtype: Any = np.float64) -> Strategy:
    """Float arrays of a shape (or of shapes from a strategy) with entries in ±size, many of them short numbers."""
    short = st.integers(-8, 8).map(lambda k: k * size / 8)
    return hnp.arrays(dtype, shape, elements=short | st.floats(-size, size, width=32))


@st.composite
def spd_matrices(draw: Any, dims: int = 6) -> Array:
    """Symmetric positive definite matrices of condition up to about 10⁴: L Lᵀ + I/100."""
    n = draw(st.integers(1, dims))
    factor = draw(arrays((n, n), 3.0))
    return factor @ factor.T / n + 0.01 * np.eye(n)


def gradient_property(
    f: Callable[..., Any], gradient: Callable[..., Any], x: Strategy, **options: Any
) -> Callable[[], None]:
    """A test for pytest that runs `check_gradient` on 100 drawn points.

    `test_mine = gradient_property(f, gradient, arrays((3, 2)))`. `x` is a strategy for the arguments, `options` are
    Hypothesis settings, e.g. max_examples=20.
    """
    return _property(lambda point: check_gradient(f, gradient, point), x, **options)


def jvp_property(f: Callable[..., Any], jvp: Callable[..., Any], x: Strategy, **options: Any) -> Callable[[], None]:
    """A test for pytest that runs `check_jvp` on 100 drawn points; see `gradient_property`."""
    return _property(lambda point: check_jvp(f, jvp, point), x, **options)


def vjp_property(f: Callable[..., Any], vjp: Callable[..., Any], x: Strategy, **options: Any) -> Callable[[], None]:
    """A test for pytest that runs `check_vjp` on 100 drawn points; see `gradient_property`."""
    return _property(lambda point: check_vjp(f, vjp, point), x, **options)


def _property(check: Callable[[Any], Any], x: Strategy, **options: Any) -> Callable[[], None]:
    chosen = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], **options}

    @settings(**chosen)
    @given(x)
    def holds(point: Any) -> None:
        check(point)

    caller = inspect.stack()[2].frame.f_globals.get("__name__", __name__)
    holds.__module__ = caller
    return holds
