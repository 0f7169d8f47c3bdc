"""Check a derivative written by hand, of any function over arrays, and get a diagnosis if it is wrong.

    check_gradient(f, gradient, x)                  f: x → a number
    check_jvp(f, jvp, x)                            jvp(x, v) = J v
    check_vjp(f, vjp, x)                            vjp(x, u) = Jᵀ u
    check_adjoint(jvp, vjp, x)                      ⟨u, J v⟩ = ⟨Jᵀ u, v⟩
    check_hessian_product(gradient, product, x)     product(x, v) = H v, symmetric
    check_fisher(product, theta, ...)               symmetric, PSD, covariance of the score, Hessian of the KL

x is an array, a dict or NamedTuple of arrays, or a tuple of positional arguments; float32 or float64. A wrong
derivative raises GradientError, whose message is the diagnosis and whose attributes are its parts. Otherwise the result
is a Report. There is no tolerance to tune: the numeric derivative has an error bound of its own (`numeric.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.arguments import Structure, copies, flat, inner, leaves_like, name_of, split_like
from minipg.gradient_check.comparison import Comparison, Report, notable_entries
from minipg.gradient_check.errors import CheckInputError, GradientError, NotDifferentiableWarning
from minipg.gradient_check.function import FunctionAtPoint
from minipg.gradient_check.identities import check_adjoint, check_fisher
from minipg.gradient_check.rounding import evaluate_twice, rounding_error
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
    """Check that gradient(x), which has x's structure and shapes, is the gradient of the number f(x).

    Up to 64 numbers are checked one by one. More are checked along random directions; if one of them is wrong, it is
    halved until the wrong entry is found. With a `layout`, x is one flat vector, and messages name the arrays inside
    it, e.g. W1[2, 0]. Raises GradientError, CheckInputError.
    """
    if layout is not None:
        return check_gradient(
            _of_arrays(f, layout, x), _arrays_of(gradient, layout, x), layout.views(np.array(x)), seed=seed
        )
    function = FunctionAtPoint(f, x, f"the gradient of {name_of(f)}")
    if function.value.size != 1:
        raise CheckInputError(
            f"{name_of(f)} returns shape {function.shape}: a gradient is that of one number; use check_vjp"
        )
    return _compare_gradient(function, gradient, name_of(gradient), seed)


def check_jvp(f: Callable[..., Any], jvp: Callable[..., Any], x: Any, *, seed: int = 0) -> Report:
    """Check that jvp(x, v), which has f(x)'s shape, is the derivative of f along v; v has x's structure.

    v runs over all unit directions of a small x, over random ones of a large x. Raises GradientError, CheckInputError.
    """
    function = FunctionAtPoint(f, x, f"the jvp of {name_of(f)}")

    def product(both: list[Array]) -> Array:
        x, v = both[: len(both) // 2], both[len(both) // 2 :]
        return flat(Structure.of(function.structure.call(jvp, x, function.structure.build(v)))[1])

    def analytic(direction: list[Array]) -> tuple[Array, Array]:
        v = [np.asarray(d, leaf.dtype) for d, leaf in zip(direction, function.leaves, strict=True)]
        value = evaluate_twice(product, [*function.leaves, *v], name_of(jvp))
        return value, rounding_error(product, [*function.leaves, *v], value)

    return Comparison(function, analytic, name_of(jvp), seed).run(lambda: notable_entries(function.leaves, seed))


def check_vjp(f: Callable[..., Any], vjp: Callable[..., Any], x: Any, *, seed: int = 0) -> Report:
    """Check that vjp(x, u), which has x's structure, is the gradient of ⟨u, f(x)⟩; u has f(x)'s shape.

    u runs over all unit vectors if f returns at most 8 numbers, else over 3 random ones. Raises GradientError,
    CheckInputError.
    """
    function = FunctionAtPoint(f, x, f"the vjp of {name_of(f)}")
    rng, count = np.random.default_rng(seed), function.value.size
    output = np.asarray(function.structure.call(f, copies(function.leaves)))

    def report(u: Array) -> Report:
        covector = u.reshape(output.shape).astype(output.dtype)
        contracted = FunctionAtPoint(_contracted(f, covector), x, f"the vjp of {name_of(f)}")
        return _compare_gradient(contracted, lambda *args: vjp(*args, covector.copy()), name_of(vjp), seed)

    return _merged([report(u) for u in (np.eye(count) if count <= 8 else rng.standard_normal((3, count)))])


def check_hessian_product(
    gradient: Callable[..., Any], product: Callable[..., Any], x: Any, *, seed: int = 0
) -> Report:
    """Check that product(x, v) is the derivative of `gradient` along v, and that ⟨u, H v⟩ = ⟨H u, v⟩."""
    report = check_jvp(gradient, product, x, seed=seed)
    check_adjoint(product, product, x, seed=seed)
    return report


def _compare_gradient(function: FunctionAtPoint, gradient: Callable[..., Any], name: str, seed: int) -> Report:
    """Compare a gradient, evaluated once, with differences of a function with one output."""
    slope, noise = _gradient_and_rounding(function, gradient, name)

    def analytic(direction: list[Array]) -> tuple[Array, Array]:
        return np.array([inner(slope, direction)]), np.array([inner(noise, [np.abs(d) for d in direction])])

    return Comparison(function, analytic, name, seed).run(lambda: notable_entries(slope, seed))


def _gradient_and_rounding(
    function: FunctionAtPoint, gradient: Callable[..., Any], name: str
) -> tuple[list[Array], list[Array]]:
    """The analytic gradient at x, and the rounding error of each of its entries."""

    def at(leaves: list[Array]) -> Array:
        given = copies(leaves)
        slope = leaves_like(function.structure, leaves, function.structure.call(gradient, given), name)
        if any(not np.array_equal(a, b) for a, b in zip(given, leaves, strict=True)):
            raise CheckInputError(f"{name} changes its arguments in place")
        return flat(slope)

    value = evaluate_twice(at, function.leaves, name)
    noise = rounding_error(at, function.leaves, value)
    return split_like(value, function.leaves), split_like(noise, function.leaves)


def _of_arrays(f: Callable[..., Any], layout: Layout, x: Array) -> Callable[..., Any]:
    """f as a function of the layout's named arrays."""
    named = lambda arrays: f(layout.flatten(arrays, np.asarray(x).dtype.type))
    named.__name__ = name_of(f)
    return named


def _arrays_of(gradient: Callable[..., Any], layout: Layout, x: Array) -> Callable[..., Any]:
    """The gradient as a function of the layout's named arrays that returns named arrays."""
    named = lambda arrays: layout.views(np.asarray(gradient(layout.flatten(arrays, np.asarray(x).dtype.type))))
    named.__name__ = name_of(gradient)
    return named


def _contracted(f: Callable[..., Any], u: Array) -> Callable[..., Any]:
    @functools.wraps(f)
    def contracted(*args: Any) -> Any:
        return (u * f(*args)).sum()

    return contracted


def _merged(reports: list[Report]) -> Report:
    """One report of several checks: the worst of each field."""
    return Report(
        min((report.status for report in reports), default="passed"),  # alphabetical: "not continuous" comes first
        sum(report.directions for report in reports),
        max((report.worst for report in reports), default=0.0),
        max((report.resolution for report in reports), default=0.0),
        tuple(dict.fromkeys(place for report in reports for place in report.kinks)),
        tuple(dict.fromkeys(note for report in reports for note in report.notes)),
    )
