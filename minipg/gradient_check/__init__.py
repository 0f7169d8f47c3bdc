"""Check a derivative that somebody wrote by hand, of any function over arrays, and say what is wrong with it.

    check_gradient(f, gradient, x)                  f: x → a number
    check_jvp(f, jvp, x)                            jvp(x, v) = J v
    check_vjp(f, vjp, x)                            vjp(x, u) = Jᵀ u
    check_adjoint(jvp, vjp, x)                      ⟨u, J v⟩ = ⟨Jᵀ u, v⟩
    check_hessian_product(gradient, product, x)     product(x, v) = H v, symmetric
    check_fisher(product, theta, ...)               symmetric, PSD, covariance of the score, Hessian of the KL

x is an array, a dict or NamedTuple of arrays, or a tuple of positional arguments; float32 or float64. A wrong
derivative raises GradientError, whose message is a diagnosis and whose fields are its parts. What was right returns a
Report. No tolerance needs tuning: the numeric derivative knows its own error (`numeric.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.arguments import Structure, like
from minipg.gradient_check.check import (
    Comparison,
    Problem,
    Report,
    copies,
    flat,
    inner,
    outputs_of,
    repeatable,
    rounding,
    suspects,
)
from minipg.gradient_check.errors import CheckInputError, GradientError, NotDifferentiableWarning
from minipg.gradient_check.numeric import second_derivative
from minipg.parameters import Layout

__all__ = [
    "CheckInputError",
    "GradientError",
    "NotDifferentiableWarning",
    "Report",
    "check_adjoint",
    "check_fisher",
    "check_gradient",
    "check_hessian_product",
    "check_jvp",
    "check_vjp",
]


def check_gradient(
    f: Callable[..., Any], gradient: Callable[..., Any], x: Any, *, layout: Layout | None = None, seed: int = 0
) -> Report:
    """Hold `gradient(x)`, of x's structure and shapes, against differences of the number f(x).

    Up to 64 numbers are checked one by one. More are checked along random directions, which see a mistake in a single
    entry, and halving the direction finds the entry. With a `layout`, x is one flat vector and the diagnosis speaks
    of the arrays inside it, e.g. W1[2, 0]. Raises GradientError, CheckInputError.
    """
    if layout is not None:
        return check_gradient(
            _flattened(f, layout, x), _unflattened(gradient, layout, x), layout.views(np.array(x)), seed=seed
        )
    problem = Problem(f, x, f"the gradient of {_name(f)}")
    if problem.value.size != 1:
        raise CheckInputError(
            f"{_name(f)} returns shape {problem.shape}: a gradient is that of one number; use check_vjp"
        )
    return _against_slope(problem, gradient, _name(gradient), seed)


def check_jvp(f: Callable[..., Any], jvp: Callable[..., Any], x: Any, *, seed: int = 0) -> Report:
    """Hold `jvp(x, v)`, of f(x)'s shape, against differences of f along v; v has x's structure.

    Along every unit direction of a small x, along random ones of a large x. Raises GradientError, CheckInputError.
    """
    problem = Problem(f, x, f"the jvp of {_name(f)}")

    def product(both: list[Array]) -> Array:
        x, v = both[: len(both) // 2], both[len(both) // 2 :]
        return outputs_of(problem.structure.call(jvp, x, problem.structure.build(v)))

    def analytic(direction: list[Array]) -> tuple[Array, Array]:
        v = [np.asarray(d, leaf.dtype) for d, leaf in zip(direction, problem.leaves, strict=True)]
        value = repeatable(product, [*problem.leaves, *v], _name(jvp))
        return value, rounding(product, [*problem.leaves, *v], value)

    return Comparison(problem, analytic, _name(jvp), seed).run(lambda: suspects(problem.leaves, seed))


def check_vjp(f: Callable[..., Any], vjp: Callable[..., Any], x: Any, *, seed: int = 0) -> Report:
    """Hold `vjp(x, u)`, of x's structure, against the gradient of ⟨u, f(x)⟩; u has f(x)'s shape.

    For every unit u where f returns at most 8 numbers, else for 3 random ones. Raises GradientError, CheckInputError.
    """
    problem = Problem(f, x, f"the vjp of {_name(f)}")
    rng, count = np.random.default_rng(seed), problem.value.size
    units = np.eye(count) if count <= 8 else rng.standard_normal((3, count))
    output = np.asarray(problem.structure.call(f, copies(problem.leaves)))

    def pulled_back(u: Array) -> Report:
        covector = u.reshape(output.shape).astype(output.dtype)
        along = Problem(_contracted(f, covector), x, f"the vjp of {_name(f)}")
        return _against_slope(along, lambda *args: vjp(*args, covector.copy()), _name(vjp), seed)

    return _together([pulled_back(u) for u in units])


def check_adjoint(
    jvp: Callable[..., Any], vjp: Callable[..., Any], x: Any, *, seed: int = 0, rounds: int = 4
) -> Report:
    """⟨u, J v⟩ = ⟨Jᵀ u, v⟩ for random u and v, up to rounding: the two modes belong to one Jacobian."""
    problem = Problem(lambda *_: np.zeros(()), x, "the adjoint")
    structure, leaves = problem.structure, problem.leaves
    rng, worst, count = np.random.default_rng(seed), 0.0, len(leaves)
    tiny = float(np.finfo(np.float32 if problem.epsilon_in > 1e-10 else np.float64).tiny)
    resolution = 0.0
    for number, v in enumerate(problem.random_directions(rng, rounds)):
        if number % 2:  # all entries alike, whatever the units: the products are linear in v
            v = [rng.standard_normal(leaf.shape) for leaf in leaves]
        v = [np.asarray(d, leaf.dtype) for d, leaf in zip(v, leaves, strict=True)]
        there, Jv = Structure.of(structure.call(jvp, copies(leaves), structure.build(v)))
        u = [rng.standard_normal(part.shape).astype(part.dtype) for part in Jv]
        forward = lambda both: outputs_of(structure.call(jvp, both[:count], structure.build(both[count:])))
        backward = lambda both, there=there: flat(
            like(structure, leaves, structure.call(vjp, both[:count], there.build(both[count:])), _name(vjp))
        )
        pushed, pulled = flat(Jv), backward(copies([*leaves, *u]))
        noise = rounding(forward, [*leaves, *v], pushed), rounding(backward, [*leaves, *u], pulled)
        along_u, along_v = flat(u), flat(v)
        left, right = float(along_u @ pushed), float(pulled @ along_v)
        size = float(np.abs(along_u * pushed).sum() + np.abs(pulled * along_v).sum())
        allowed = 64 * problem.epsilon_in * size * np.sqrt(len(along_u) + len(along_v))
        allowed += float(np.abs(along_u) @ noise[0] + np.abs(along_v) @ noise[1]) + 64 * tiny
        worst = max(worst, abs(left - right) / max(allowed, 1e-300))
        resolution = max(resolution, allowed / size if size else 0.0)
        if abs(left - right) > allowed:
            raise GradientError(
                f"⟨u, {_name(jvp)} v⟩ = ⟨{_name(vjp)} u, v⟩",
                analytic=right, numeric=left, error=allowed, guess=_ratio_guess(right, left), x=x,
            )  # fmt: skip
    return Report("passed", rounds, worst, resolution, (), ())


def check_hessian_product(
    gradient: Callable[..., Any], product: Callable[..., Any], x: Any, *, seed: int = 0
) -> Report:
    """Hold `product(x, v)` against differences of `gradient` along v, and ⟨u, H v⟩ against ⟨H u, v⟩."""
    report = check_jvp(gradient, product, x, seed=seed)
    check_adjoint(product, product, x, seed=seed)
    return report


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
            raise CheckInputError(f"{_name(product)}: expected shape {theta.shape}, got {Fv.shape}")
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


def _against_slope(problem: Problem, gradient: Callable[..., Any], name: str, seed: int) -> Report:
    """Hold a gradient, evaluated once, against differences of a function of one number."""
    slope, noise = _evaluated(problem, gradient, name)

    def analytic(direction: list[Array]) -> tuple[Array, Array]:
        return np.array([inner(slope, direction)]), np.array([inner(noise, [np.abs(d) for d in direction])])

    return Comparison(problem, analytic, name, seed).run(lambda: suspects(slope, seed))


def _evaluated(problem: Problem, gradient: Callable[..., Any], name: str) -> tuple[list[Array], list[Array]]:
    """The analytic gradient's leaves and the rounding error of each entry."""

    def at(leaves: list[Array]) -> Array:
        given = copies(leaves)
        slope = like(problem.structure, leaves, problem.structure.call(gradient, given), name)
        if any(not np.array_equal(a, b) for a, b in zip(given, leaves, strict=True)):
            raise CheckInputError(f"{name} changes its arguments in place")
        return flat(slope)

    value = repeatable(at, problem.leaves, name)
    noise = rounding(at, problem.leaves, value)
    cuts = np.cumsum([leaf.size for leaf in problem.leaves])[:-1]
    shaped = lambda flat: [
        part.reshape(leaf.shape) for part, leaf in zip(np.split(flat, cuts), problem.leaves, strict=True)
    ]
    return shaped(value), shaped(noise)


def _flattened(f: Callable[..., Any], layout: Layout, x: Array) -> Callable[..., Any]:
    """f of the named arrays of a layout instead of the flat vector."""
    named = lambda arrays: f(layout.flatten(arrays, np.asarray(x).dtype.type))
    named.__name__ = _name(f)
    return named


def _unflattened(gradient: Callable[..., Any], layout: Layout, x: Array) -> Callable[..., Any]:
    """The same for a gradient: its value is named too."""
    named = lambda arrays: layout.views(np.asarray(gradient(layout.flatten(arrays, np.asarray(x).dtype.type))))
    named.__name__ = _name(gradient)
    return named


def _contracted(f: Callable[..., Any], u: Array) -> Callable[..., Any]:
    @functools.wraps(f)
    def contracted(*args: Any) -> Any:
        return (u * f(*args)).sum()

    return contracted


def _together(reports: list[Report]) -> Report:
    kinks = tuple(dict.fromkeys(place for report in reports for place in report.kinks))
    return Report(
        min((report.status for report in reports), default="passed"),  # "not continuous" before all others
        sum(report.directions for report in reports),
        max((report.worst for report in reports), default=0.0),
        max((report.resolution for report in reports), default=0.0),
        kinks,
        tuple(dict.fromkeys(note for report in reports for note in report.notes)),
    )


def _ratio_guess(got: float, expected: float) -> str:
    ratio = got / expected if expected else float("inf")
    known = {-1.0: "a wrong sign", 2.0: "a factor of 2", 0.5: "a factor of 1/2"}
    return next((text for value, text in known.items() if abs(ratio / value - 1) < 1e-6), "")


def _name(f: Any) -> str:
    name = getattr(f, "__name__", type(f).__name__)
    return "f" if name == "<lambda>" else name
