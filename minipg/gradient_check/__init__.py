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
from minipg.gradient_check.arguments import copies, flat, inner, like, name_of, outputs_of
from minipg.gradient_check.check import Comparison, Report, suspects
from minipg.gradient_check.errors import CheckInputError, GradientError, NotDifferentiableWarning
from minipg.gradient_check.identities import check_adjoint, check_fisher
from minipg.gradient_check.problem import Problem
from minipg.gradient_check.rounding import repeatable, rounding
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
    problem = Problem(f, x, f"the gradient of {name_of(f)}")
    if problem.value.size != 1:
        raise CheckInputError(
            f"{name_of(f)} returns shape {problem.shape}: a gradient is that of one number; use check_vjp"
        )
    return _against_slope(problem, gradient, name_of(gradient), seed)


def check_jvp(f: Callable[..., Any], jvp: Callable[..., Any], x: Any, *, seed: int = 0) -> Report:
    """Hold `jvp(x, v)`, of f(x)'s shape, against differences of f along v; v has x's structure.

    Along every unit direction of a small x, along random ones of a large x. Raises GradientError, CheckInputError.
    """
    problem = Problem(f, x, f"the jvp of {name_of(f)}")

    def product(both: list[Array]) -> Array:
        x, v = both[: len(both) // 2], both[len(both) // 2 :]
        return outputs_of(problem.structure.call(jvp, x, problem.structure.build(v)))

    def analytic(direction: list[Array]) -> tuple[Array, Array]:
        v = [np.asarray(d, leaf.dtype) for d, leaf in zip(direction, problem.leaves, strict=True)]
        value = repeatable(product, [*problem.leaves, *v], name_of(jvp))
        return value, rounding(product, [*problem.leaves, *v], value)

    return Comparison(problem, analytic, name_of(jvp), seed).run(lambda: suspects(problem.leaves, seed))


def check_vjp(f: Callable[..., Any], vjp: Callable[..., Any], x: Any, *, seed: int = 0) -> Report:
    """Hold `vjp(x, u)`, of x's structure, against the gradient of ⟨u, f(x)⟩; u has f(x)'s shape.

    For every unit u where f returns at most 8 numbers, else for 3 random ones. Raises GradientError, CheckInputError.
    """
    problem = Problem(f, x, f"the vjp of {name_of(f)}")
    rng, count = np.random.default_rng(seed), problem.value.size
    units = np.eye(count) if count <= 8 else rng.standard_normal((3, count))
    output = np.asarray(problem.structure.call(f, copies(problem.leaves)))

    def pulled_back(u: Array) -> Report:
        covector = u.reshape(output.shape).astype(output.dtype)
        along = Problem(_contracted(f, covector), x, f"the vjp of {name_of(f)}")
        return _against_slope(along, lambda *args: vjp(*args, covector.copy()), name_of(vjp), seed)

    return _together([pulled_back(u) for u in units])


def check_hessian_product(
    gradient: Callable[..., Any], product: Callable[..., Any], x: Any, *, seed: int = 0
) -> Report:
    """Hold `product(x, v)` against differences of `gradient` along v, and ⟨u, H v⟩ against ⟨H u, v⟩."""
    report = check_jvp(gradient, product, x, seed=seed)
    check_adjoint(product, product, x, seed=seed)
    return report


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
    named.__name__ = name_of(f)
    return named


def _unflattened(gradient: Callable[..., Any], layout: Layout, x: Array) -> Callable[..., Any]:
    """The same for a gradient: its value is named too."""
    named = lambda arrays: layout.views(np.asarray(gradient(layout.flatten(arrays, np.asarray(x).dtype.type))))
    named.__name__ = name_of(gradient)
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
