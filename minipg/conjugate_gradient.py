"""Solve A x = b for a symmetric positive definite A that is known only through its products  (TR-10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minipg.checks import Array


class CGResult(NamedTuple):
    """x, the residual norm ‖b − A x‖, xᵀA x, the iterations made, and why it stopped.

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

    product: v (P,) → A v (P,);   b (P,).
    """
    x, r = np.zeros_like(b), b.copy()
    p, rr = r, float(r @ r)
    target = tol * tol * rr
    done, status = 0, "iterations"
    for done in range(iterations + 1):
        if rr <= target or rr == 0:
            status = "converged"
            break
        if done == iterations:
            break
        Ap = product(p)
        pAp = float(p @ Ap)
        if not np.isfinite(pAp) or not np.isfinite(rr):
            status = "not finite"
            break
        if pAp <= 0:
            status = "curvature"
            break
        alpha = rr / pAp
        x = x + x.dtype.type(alpha) * p
        r = r - r.dtype.type(alpha) * Ap
        rr_next = float(r @ r)
        p = r + r.dtype.type(rr_next / rr) * p
        rr = rr_next
    # A x = b − r, so no further product is needed for the length of the step
    return CGResult(x, rr**0.5, float(x @ (b - r)), done, status)
