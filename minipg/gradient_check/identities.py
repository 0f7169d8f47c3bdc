"""Identities that hold for any function: the jvp is adjoint to the vjp, a Fisher matrix is symmetric, and so on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.arguments import Structure, copies, flat, name_of, require_floats, split_like
from minipg.gradient_check.comparison import MAX_COORDINATES, Report
from minipg.gradient_check.diagnosis import likely_cause
from minipg.gradient_check.errors import CheckInputError, GradientError, quiet
from minipg.gradient_check.numeric import second_derivative
from minipg.gradient_check.rounding import rounding_error, rounding_error_of_linear


@quiet
def check_adjoint(
    jvp: Callable[..., Any], vjp: Callable[..., Any], x: Any, *, seed: int = 0, rounds: int = 4
) -> Report:
    """Check ⟨u, J v⟩ = ⟨Jᵀ u, v⟩ up to rounding, with J v = jvp(x, v) and Jᵀ u = vjp(x, u).

    u and v are random; if J has at most 64 rows and columns, they also run over all unit vectors. No differences are
    taken. Raises GradientError, CheckInputError.
    """
    return adjoint_report(jvp, vjp, x, seed, rounds)


def adjoint_report(
    jvp: Callable[..., Any], vjp: Callable[..., Any], x: Any, seed: int, rounds: int = 4, symmetric: bool = False
) -> Report:
    """As `check_adjoint`. `symmetric`: J is a Hessian, whose products have the structure of x."""
    structure, leaves = Structure.of(x, jvp, more=1)
    require_floats(structure, leaves)
    count, jvp_name, vjp_name = len(leaves), name_of(jvp, "jvp"), name_of(vjp, "vjp")
    out, outputs = structure, leaves
    if not symmetric:
        out, outputs = Structure.of(structure.call(jvp, copies(leaves), structure.build(copies(leaves))), name="output")
    epsilon = max((float(np.finfo(leaf.dtype).eps) for leaf in leaves if leaf.size), default=float(np.finfo(float).eps))
    columns, rows = _LinearMap(leaves, leaves), _LinearMap(leaves, outputs)
    forward = lambda both: flat(
        out.leaves_of(structure.call(jvp, both[:count], structure.build(both[count:])), outputs, jvp_name)
    )
    backward = lambda both: flat(
        structure.leaves_of(structure.call(vjp, both[:count], out.build(both[count:])), leaves, vjp_name)
    )
    rng, worst, resolution = np.random.default_rng(seed), 0.0, 0.0
    batches = [(rows.random(rng, rounds), columns.random(rng, rounds, leaves))]
    if min(rows.size, columns.size) > 0 and max(rows.size, columns.size) <= MAX_COORDINATES:
        batches.append((np.eye(rows.size), np.eye(columns.size)))
    for us, vs in batches:
        (u, pulled, backward_noise), (v, pushed, forward_noise) = rows.images(backward, us), columns.images(forward, vs)
        left, right = u @ pushed.T, pulled @ v.T
        size = np.abs(u) @ np.abs(pushed).T + np.abs(pulled) @ np.abs(v).T
        allowed = 64 * epsilon * np.sqrt(rows.size + columns.size) * size
        allowed += np.abs(u) @ forward_noise.T + backward_noise @ np.abs(v).T
        allowed += 64 * float(np.finfo(np.float32 if epsilon > 1e-10 else np.float64).tiny)
        excess = np.abs(left - right) / allowed
        worst, resolution = (
            max(worst, float(np.nan_to_num(excess, nan=np.inf).max(initial=0))),
            _resolution(u, v, pushed, allowed),
        )
        if not worst <= 1:
            i, j = np.unravel_index(int(excess.argmax()), excess.shape)
            analytic, numeric = float(right[i, j]), float(left[i, j])
            raise GradientError(
                f"⟨u, {jvp_name} v⟩ = ⟨{vjp_name} u, v⟩ does not hold", analytic=analytic, numeric=numeric,
                error=float(allowed[i, j]), guess=_cause(analytic, numeric), x=x,
            )  # fmt: skip
    return Report("passed", sum(u.shape[0] * v.shape[0] for u, v in batches), worst, resolution, (), ())


class _LinearMap:
    """A jvp or vjp at the point `leaves`: a linear map of arrays with the shapes and dtypes of `parts`."""

    def __init__(self, leaves: list[Array], parts: list[Array]) -> None:
        self.leaves, self.parts, self.size = leaves, parts, sum(part.size for part in parts)

    def random(self, rng: np.random.Generator, count: int, point: list[Array] | None = None) -> Array:
        """Vectors (count, size) with entries of ±0.5 to ±1.5; every second one is multiplied by |point|."""
        v = rng.choice([-1, 1], (count, self.size)) * rng.uniform(0.5, 1.5, (count, self.size))
        if point is not None:
            # numbers near the end of the floats' range lose digits
            least = max((float(np.finfo(part.dtype).tiny / np.finfo(part.dtype).eps) for part in point), default=0.0)
            size = np.abs(flat(point))
            v[1::2] *= np.where(size > least, size, size.max() if (size > least).any() else 1)
        return v

    def images(self, g: Callable[[list[Array]], Array], vectors: Array) -> tuple[Array, Array, Array]:
        """The vectors in the parts' dtypes, their images under g, and the images' rounding errors, one in each row."""
        rows: list[tuple[Array, Array, Array]] = []
        for vector in vectors:
            pieces = zip(split_like(vector, self.parts), self.parts, strict=True)
            v = [np.asarray(piece, part.dtype) for piece, part in pieces]
            image = g([*copies(self.leaves), *copies(v)])
            at_x = lambda v: g([*copies(self.leaves), *v])
            noise = np.maximum(rounding_error(g, [*self.leaves, *v], image), rounding_error_of_linear(at_x, v, image))
            rows.append((flat(v), image, noise))
        sent, images, noises = (np.array(column) for column in zip(*rows, strict=True))
        return sent, images, noises


def _resolution(u: Array, v: Array, pushed: Array, allowed: Array) -> float:
    """The smallest mistake in one entry of J that some pair (u, v) reveals, as a fraction of J's largest entry."""
    unit = np.array_equal(u, np.eye(len(u))) and np.array_equal(v, np.eye(len(v)))
    largest = float((np.abs(pushed).max(axis=1) / np.abs(v).sum(axis=1)).max()) if pushed.size and v.size else 0.0
    weakest = 1.0 if unit else np.outer(np.abs(u).min(axis=1, initial=1), np.abs(v).min(axis=1, initial=1))
    seen = allowed / weakest
    smallest = float(seen.max(initial=0) if unit else seen.min(initial=np.inf))
    return smallest / largest if largest else 0.0


@quiet
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
    """Check that v ↦ product(v) = F v is a Fisher matrix: symmetric and positive semidefinite  (DI-8).

    With `scores` (K, P), the score of every outcome, and `weights` (K,), its probability: F is their covariance.
    With `kl`: θ′ ↦ KL(π_θ‖π_θ′): F is its Hessian at θ.   theta (P,). Raises GradientError, CheckInputError.
    """
    theta = np.asarray(theta, float)
    rng, worst = np.random.default_rng(seed), 0.0

    def require_equal(headline: str, got: float, expected: float, allowed: float) -> None:
        nonlocal worst
        worst = max(worst, abs(got - expected) / max(allowed, 1e-300))
        if not abs(got - expected) <= allowed:
            cause = _cause(got, expected)
            raise GradientError(headline, analytic=got, numeric=expected, error=allowed, guess=cause, x=theta)

    for _ in range(rounds):
        u, v = rng.standard_normal((2, len(theta)))
        Fu, Fv = np.asarray(product(u), float), np.asarray(product(v), float)
        if Fv.shape != theta.shape:
            raise CheckInputError(f"{name_of(product, 'product')}: expected shape {theta.shape}, got {Fv.shape}")
        allowed = 1e-12 * float(np.abs(u * Fv).sum() + np.abs(v * Fu).sum()) * float(np.sqrt(len(theta)))
        require_equal("the symmetry ⟨u, F v⟩ = ⟨F u, v⟩ of the Fisher product does not hold", u @ Fv, v @ Fu, allowed)
        require_equal("the sign vᵀF v ≥ 0 of the Fisher product does not hold", min(float(v @ Fv), 0.0), 0.0, allowed)
        if scores is not None and weights is not None:
            covariance = float(weights @ (np.asarray(scores, float) @ v) ** 2)
            headline = "the Fisher product is not the covariance of the score"
            require_equal(headline, v @ Fv, covariance, allowed + 1e-12 * covariance)
        if kl is not None:
            unit = v / np.linalg.norm(v)
            bend, error = second_derivative(_along(kl, theta, unit))
            headline = "the Fisher product is not the Hessian of the KL"
            require_equal(headline, float(unit @ product(unit)), bend, 4 * error + allowed)
    return Report("passed", rounds, worst, 0.0, (), ())


def _along(f: Callable[[Array], Any], x: Array, direction: Array) -> Callable[[float], float]:
    def along(t: float) -> float:
        try:
            return float(f(x + t * direction))
        except Exception:  # outside its domain, f may raise anything
            if t == 0:
                raise
            return float("nan")

    return along


def _cause(got: float, expected: float) -> str:
    return likely_cause(np.array([got]), np.array([expected]), np.zeros(1), (), whole=False)
