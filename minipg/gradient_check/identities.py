"""What a derivative must be whatever the function: the two modes adjoint, a Fisher matrix symmetric and so on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.arguments import Structure, copies, flat, like, name_of
from minipg.gradient_check.check import EVERY_COORDINATE, Report
from minipg.gradient_check.errors import CheckInputError, GradientError
from minipg.gradient_check.numeric import second_derivative
from minipg.gradient_check.problem import Problem
from minipg.gradient_check.rounding import linear_rounding, rounding


def check_adjoint(
    jvp: Callable[..., Any], vjp: Callable[..., Any], x: Any, *, seed: int = 0, rounds: int = 4
) -> Report:
    """⟨u, J v⟩ = ⟨Jᵀ u, v⟩ for random u and v, up to rounding: the two modes belong to one Jacobian.

    A J of at most 64 rows and columns is compared entry by entry, too. Raises GradientError, CheckInputError.
    """
    problem = Problem(lambda *_: np.zeros(()), x, "the adjoint")
    structure, leaves, count = problem.structure, problem.leaves, len(problem.leaves)
    there, outputs = Structure.of(structure.call(jvp, copies(leaves), structure.build(copies(leaves))))
    columns, rows = _Mode(leaves, leaves), _Mode(leaves, outputs)
    forward = lambda both: flat(
        like(there, outputs, structure.call(jvp, both[:count], structure.build(both[count:])), name_of(jvp))
    )
    backward = lambda both: flat(
        like(structure, leaves, structure.call(vjp, both[:count], there.build(both[count:])), name_of(vjp))
    )
    rng, worst, resolution = np.random.default_rng(seed), 0.0, 0.0
    tries = [(rows.random(rng, rounds, None), columns.random(rng, rounds, leaves))]
    if min(rows.size, columns.size) > 0 and max(rows.size, columns.size) <= EVERY_COORDINATE:
        tries.append((np.eye(rows.size), np.eye(columns.size)))
    for u, v in tries:
        (u, pulled, backward_noise), (v, pushed, forward_noise) = rows.sent(backward, u), columns.sent(forward, v)
        left, right = u @ pushed.T, pulled @ v.T
        size = np.abs(u) @ np.abs(pushed).T + np.abs(pulled) @ np.abs(v).T
        allowed = 64 * problem.epsilon_in * np.sqrt(rows.size + columns.size) * size
        allowed += np.abs(u) @ forward_noise.T + backward_noise @ np.abs(v).T
        allowed += 64 * float(np.finfo(np.float32 if problem.epsilon_in > 1e-10 else np.float64).tiny)
        excess = np.abs(left - right) / allowed
        worst, resolution = max(worst, float(excess.max(initial=0))), _resolution(u, v, pushed, allowed)
        if worst > 1:
            i, j = np.unravel_index(int(excess.argmax()), excess.shape)
            analytic, numeric = float(right[i, j]), float(left[i, j])
            raise GradientError(
                f"⟨u, {name_of(jvp)} v⟩ = ⟨{name_of(vjp)} u, v⟩", analytic=analytic, numeric=numeric,
                error=float(allowed[i, j]), guess=_ratio_guess(analytic, numeric), x=x,
            )  # fmt: skip
    return Report("passed", sum(u.shape[0] * v.shape[0] for u, v in tries), worst, resolution, (), ())


class _Mode:
    """One of the two modes: a linear map of arrays like `parts`, at the point `leaves`."""

    def __init__(self, leaves: list[Array], parts: list[Array]) -> None:
        self.leaves, self.parts, self.size = leaves, parts, sum(part.size for part in parts)

    def random(self, rng: np.random.Generator, count: int, point: list[Array] | None) -> Array:
        """Vectors (count, size) without small entries, by turns all alike and as large as `point`."""
        v = rng.choice([-1, 1], (count, self.size)) * rng.uniform(0.5, 1.5, (count, self.size))
        if point is not None:
            own = np.abs(flat(point))
            v[1::2] *= np.where(own > 0, own, own.max(initial=0) or 1)
        return v

    def sent(self, g: Callable[[list[Array]], Array], vectors: Array) -> tuple[Array, Array, Array]:
        """The vectors in the parts' dtypes, their images, and the images' rounding errors, one a row."""
        cuts = np.cumsum([part.size for part in self.parts])[:-1]
        found: list[tuple[Array, Array, Array]] = []
        for vector in vectors:
            pieces = zip(np.split(vector, cuts), self.parts, strict=True)
            v = [np.asarray(piece.reshape(part.shape), part.dtype) for piece, part in pieces]
            image = g([*copies(self.leaves), *copies(v)])
            at_x = lambda v: g([*copies(self.leaves), *v])
            noise = np.maximum(rounding(g, [*self.leaves, *v], image), linear_rounding(at_x, v, image))
            found.append((flat(v), image, noise))
        taken, images, noises = (np.array(column) for column in zip(*found, strict=True))
        return taken, images, noises


def _resolution(u: Array, v: Array, pushed: Array, allowed: Array) -> float:
    """The mistake in one entry of J that surely shows in some pair, as a fraction of J's largest entry."""
    unit = np.array_equal(u, np.eye(len(u))) and np.array_equal(v, np.eye(len(v)))
    largest = float((np.abs(pushed).max(axis=1) / np.abs(v).sum(axis=1)).max()) if pushed.size and v.size else 0.0
    weakest = 1.0 if unit else np.outer(np.abs(u).min(axis=1, initial=1), np.abs(v).min(axis=1, initial=1))
    seen = allowed / weakest
    smallest = float(seen.max(initial=0) if unit else seen.min(initial=np.inf))
    return smallest / largest if largest else 0.0


def check_fisher(
    product: Callable[[Array], Array],
    theta: Array,
    *,
    scores: Array | None = None,
    weights: Array | None = None,
    kl: Callable[[Array], Any] | None = None,
    seed: int = 0,
    rounds: int = 4,
) -> Report:
    """Hold v ↦ F v to what a Fisher matrix is  (DI-8): symmetric, positive semidefinite, and whichever is given of

    the covariance of the score, from `scores` (K, P), the score of every outcome, and `weights` (K,), its probability;
    the Hessian at θ of `kl`: θ′ ↦ KL(π_θ‖π_θ′).   theta (P,).
    """
    theta = np.asarray(theta, float)
    rng, worst = np.random.default_rng(seed), 0.0

    def hold(what: str, got: float, expected: float, allowed: float) -> None:
        nonlocal worst
        worst = max(worst, abs(got - expected) / max(allowed, 1e-300))
        if not abs(got - expected) <= allowed:
            why = _ratio_guess(got, expected)
            raise GradientError(what, analytic=got, numeric=expected, error=allowed, guess=why, x=theta)

    for _ in range(rounds):
        u, v = rng.standard_normal((2, len(theta)))
        Fu, Fv = np.asarray(product(u), float), np.asarray(product(v), float)
        if Fv.shape != theta.shape:
            raise CheckInputError(f"{name_of(product)}: expected shape {theta.shape}, got {Fv.shape}")
        size = float(np.abs(u * Fv).sum() + np.abs(v * Fu).sum())
        slack = 1e-12 * size * np.sqrt(len(theta))
        hold("the symmetry ⟨u, F v⟩ = ⟨F u, v⟩ of the Fisher product", u @ Fv, v @ Fu, slack)
        hold("the sign of vᵀF v ≥ 0", min(float(v @ Fv), 0.0), 0.0, slack)
        if scores is not None and weights is not None:
            projected = np.asarray(scores, float) @ v
            hold(
                "F as the covariance of the score",
                v @ Fv,
                float(weights @ projected**2),
                slack + 1e-12 * float(weights @ projected**2),
            )
        if kl is not None:
            unit = v / np.linalg.norm(v)
            bend, error = second_derivative(_along(kl, theta, unit))
            hold("F as the Hessian of the KL", float(unit @ product(unit)), bend, 4 * error + slack)
    return Report("passed", rounds, worst, 0.0, (), ())


def _along(f: Callable[[Array], Any], x: Array, direction: Array) -> Callable[[float], float]:
    return lambda t: float(f(x + t * direction))


def _ratio_guess(got: float, expected: float) -> str:
    ratio = got / expected if expected else float("inf")
    known = {-1.0: "a wrong sign", 2.0: "a factor of 2", 0.5: "a factor of 1/2"}
    return next((text for value, text in known.items() if abs(ratio / value - 1) < 1e-6), "")
