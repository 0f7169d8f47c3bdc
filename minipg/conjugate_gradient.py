"""Solve A x = b for a symmetric positive definite A, given only its products A v  (TR-10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minipg.checks import Array, as_flat, namespace
from minipg.runtime.backend import fetch


class CGResult(NamedTuple):
    """x, the norm of the residual b − A x (from the recurrence), xᵀA x, the products computed, and why it stopped.

    The field `curvature` is xᵀA x of the solution. `status` is one of

    - `converged`,
    - `iterations`: the limit was reached, as usual in TRPO,
    - `curvature`: a search direction p had pᵀA p ≤ 0, so A is not positive definite; x is the iterate before it,
    - `not finite`: x is the last finite iterate.
    """

    x: Array
    residual: float
    curvature: float
    iterations: int
    status: str


def conjugate_gradient(
    product: Callable[[Array], Array], b: Array, iterations: int = 10, tol: float = 1e-10
) -> CGResult:
    """Hestenes & Stiefel (1952), from x = 0, until ‖r‖ ≤ tol·‖b‖ or `iterations` products have been computed.

    product: v (P,) → A v (P,);   b (P,) float32 or float64.
    """
    if namespace(b) is not np:
        return masked_conjugate_gradient(product, b, iterations, tol)
    b = as_flat("b", b, np.size(b))
    x, r, p = np.zeros_like(b), b.copy(), b
    rr = float(_dot(r, r))
    target = tol * tol * rr
    done, status = 0, "iterations"
    if not np.isfinite(rr):
        status, iterations = "not finite", 0
    while rr > target and done < iterations:
        Ap = product(p)
        pAp = float(_dot(p, Ap))
        done += 1
        if not np.isfinite(pAp):
            status = "not finite"
            break
        if pAp <= 0:
            status = "curvature"
            break
        alpha = b.dtype.type(rr / pAp)
        x_next, r_next = x + alpha * p, r - alpha * Ap
        rr_next = float(_dot(r_next, r_next))
        if not np.isfinite(rr_next) or not np.isfinite(x_next).all():
            status = "not finite"
            break
        p = r_next + b.dtype.type(rr_next / rr) * p
        x, r, rr = x_next, r_next, rr_next
    if status == "iterations" and rr <= target:
        status = "converged"
    # A x = b − r, so xᵀA x needs no further product
    return CGResult(x, rr**0.5, float(_dot(x, b - r)), done, status)


def masked_conjugate_gradient(product: Callable[[Array], Array], b: Array, iterations: int, tol: float) -> CGResult:
    """`conjugate_gradient` for a device: no number is read before the end, because reading waits for the device.

    All `iterations` products are computed. After the step where the loop above would stop, `running` is False and
    nothing changes.
    """
    xp = namespace(b)
    b = as_flat("b", b, b.size, xp)
    x, r, p = xp.zeros_like(b), b.copy(), b
    rr = _dot(r, r)
    target = tol * tol * rr
    finite = xp.isfinite(rr)  # all numbers are finite so far
    positive = xp.ones_like(finite)  # all pᵀA p are > 0 so far
    done = xp.zeros_like(rr)
    for _ in range(iterations):
        running = finite & positive & (rr > target)
        Ap = product(p)
        pAp = _dot(p, Ap)
        done = done + running
        finite = finite & (xp.isfinite(pAp) | ~running)
        positive = positive & ((pAp > 0) | ~(running & finite))
        running = running & finite & positive
        alpha = (rr / xp.where(running, pAp, 1)).astype(b.dtype)
        x_next, r_next = x + alpha * p, r - alpha * Ap
        rr_next = _dot(r_next, r_next)
        finite = finite & ((xp.isfinite(rr_next) & xp.isfinite(x_next).all()) | ~running)
        running = running & finite
        p = xp.where(running, r_next + (rr_next / xp.where(running, rr, 1)).astype(b.dtype) * p, p)
        x, r, rr = xp.where(running, x_next, x), xp.where(running, r_next, r), xp.where(running, rr_next, rr)
    # A x = b − r, so xᵀA x needs no further product
    numbers = fetch(rr, _dot(x, b - r), done, finite, positive, rr <= target)
    rr, curvature, done, finite, positive, converged = (float(number) for number in numbers)
    status = "not finite" if not finite else "curvature" if not positive else "converged" if converged else "iterations"
    return CGResult(x, rr**0.5, curvature, int(done), status)


def _dot(a: Array, b: Array) -> Any:
    """aᵀb in float64: squares of float32 numbers may overflow or underflow."""
    return a.astype(np.float64).dot(b.astype(np.float64))
