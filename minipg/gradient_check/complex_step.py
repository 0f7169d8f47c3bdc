"""The derivative of an analytic function from one complex step, confirmed by a few differences."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.differences import Derivative

_IMAGINARY = 1e-30  # the complex step, as a fraction of the scale: far below any rounding
_REAL = 2.0 ** np.array([-44, -35, -26, -17])  # the steps of the differences


def complex_derivative(
    phi: Callable[[Any], Array], centre: Array, scale: float, epsilon: float, floor: Array | float
) -> Derivative | None:
    """Im φ(ih)/h, for φ: t ↦ (M,) with φ(0) = `centre`; None if φ takes no complex t or the differences disagree.

    Differences over four steps have to agree with it up to rounding, and the slopes to the left and right with each
    other: abs and comparisons accept complex numbers, too, and are not analytic. `scale`, `epsilon` and `floor` as in
    `derivative`. Raises what φ raises.
    """
    tip = scale * _IMAGINARY
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = phi(1j * tip)
    if not np.iscomplexobj(value) or value.shape != centre.shape:
        raise TypeError("the function does not compute with complex numbers")
    exact, steps = value.imag / tip, scale * _REAL
    right, left = (np.stack([phi(sign * float(step)) for step in steps]) for sign in (1.0, -1.0))
    h = steps[:, None]
    quotient, bend = (right - left) / (2 * h), np.abs(right - 2 * centre + left) / h
    tiny = float(np.finfo(np.float64).tiny)
    rounding = epsilon * np.maximum(np.abs(centre), np.maximum(np.abs(right), np.abs(left)).max(axis=0)) + tiny + floor
    apart = np.abs(quotient - exact)
    agree = (apart <= 16 * rounding / h + 1e-7 * np.abs(exact)).all(axis=0)
    # a bend that shrinks with the step is curvature; one that does not is a kink
    agree &= (bend[:-1] <= 16 * rounding / h[:-1] + 4 * bend[-1] * h[:-1] / h[-1]).all(axis=0)
    agree &= (apart[-1] <= 1e-4 * np.abs(exact)) & (np.abs(value.real - centre) <= 16 * rounding)
    if not (agree & np.isfinite(exact)).all():
        return None
    noise = np.maximum(rounding, (apart * h).max(axis=0))
    error = apart[-1] + noise / h[-1] + 1e4 * epsilon * np.abs(exact)
    nowhere = np.zeros(exact.shape, bool)
    step = np.full(exact.shape, float(h[-1, 0]))
    return Derivative(exact, error + tiny / tip, noise, step, nowhere, nowhere, nowhere)
