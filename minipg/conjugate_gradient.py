"""Solve A x = b for a symmetric positive definite A that is known only through its products  (TR-10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minipg.checks import Array, as_flat


class CGResult(NamedTuple):
    """x, the norm of the residual b − A x (as the recurrence has it), xᵀA x, the products taken, and why it stopped.

    `status` is `converged`, `iterations` (the limit was reached, the usual end inside TRPO), `curvature` (a direction
    with pᵀA p ≤ 0: x is the best before it) or `not finite` (x is the last finite one).
    """

    x: Array
    residual: float
    curvature: float
    iterations: int
    status: str


def conjugate_gradient(
    product: Callable[[Array], Array], b: Array, iterations: int = 10, tol: float = 1e-10
) -> CGResult:
    """Hestenes & Stiefel (1952), from x = 0, until ‖r‖ ≤ tol·‖b‖ or `iterations` products have been taken.

    product: v (P,) → A v (P,);   b (P,) float32 or float64.
    """
    b = as_flat("b", b, np.size(b))
    x, r, p = np.zeros_like(b), b.copy(), b
    rr = _dot(r, r)
    target = tol * tol * rr
    done, status = 0, "iterations"
    if not np.isfinite(rr):
        status, iterations = "not finite", 0
    while rr > target and done < iterations:
        Ap = product(p)
        pAp = _dot(p, Ap)
        done += 1
        if not np.isfinite(pAp):
            status = "not finite"
            break
        if pAp <= 0:
            status = "curvature"
            break
        alpha = b.dtype.type(rr / pAp)
        x_next, r_next = x + alpha * p, r - alpha * Ap
        rr_next = _dot(r_next, r_next)
        if not np.isfinite(rr_next) or not np.isfinite(x_next).all():
            status = "not finite"
            break
        p = r_next + b.dtype.type(rr_next / rr) * p
        x, r, rr = x_next, r_next, rr_next
    if status == "iterations" and rr <= target:
        status = "converged"
    # A x = b − r, so no further product is needed for the length of the step
    return CGResult(x, rr**0.5, _dot(x, b - r), done, status)


def _dot(a: Array, b: Array) -> float:
    """aᵀb in float64: a square of float32 numbers may be too large or too small for them."""
    return float(np.dot(a.astype(np.float64), b.astype(np.float64)))
