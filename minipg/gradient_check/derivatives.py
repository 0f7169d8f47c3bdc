"""Checks of an analytic derivative against differences: gradient, jvp, vjp, Hessian product."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.arguments import flat, name_of, split_like
from minipg.gradient_check.comparison import Comparison, Entry, Report
from minipg.gradient_check.errors import CheckInputError, quiet
from minipg.gradient_check.function import Direction, FunctionAtPoint
from minipg.gradient_check.identities import adjoint_report
from minipg.gradient_check.reproduction import snippet
from minipg.gradient_check.rounding import evaluate_repeatedly, rounding_error


@quiet
def check_gradient(f: Callable[..., Any], gradient: Callable[..., Any], x: Any, *, seed: int = 0) -> Report:
    """Check that gradient(x), which has x's structure and shapes, is the gradient of the number f(x).

    Up to 64 numbers are checked one by one. More are checked along random directions; if one of them is wrong, it is
    halved until the wrong entry is found. Raises GradientError, CheckInputError.
    """
    function = FunctionAtPoint(f, x)
    if function.value.size != 1:
        shape = function.outputs[0].shape if len(function.outputs) == 1 else function.value.shape
        raise CheckInputError(f"{function.name} returns shape {shape}: a gradient is that of one number; use check_vjp")
    reproduction = functools.partial(snippet, f, gradient, function.structure, function.leaves)
    return _compare_gradient(function, gradient, "gradient", name_of(gradient, "gradient"), seed, reproduction)


@quiet
def check_jvp(f: Callable[..., Any], jvp: Callable[..., Any], x: Any, *, seed: int = 0) -> Report:
    """Check that jvp(x, v), which has the structure and shapes of f(x), is the derivative of f along v.

    v has x's structure and runs over all unit directions of a small x, over random ones of a large x. Raises
    GradientError, CheckInputError.
    """
    return _jvp_report(f, jvp, x, seed)


@quiet
def check_vjp(f: Callable[..., Any], vjp: Callable[..., Any], x: Any, *, seed: int = 0) -> Report:
    """Check that vjp(x, u), which has x's structure and shapes, is the gradient of ⟨u, f(x)⟩.

    u has the structure of f(x) and runs over all unit vectors if f returns at most 8 numbers, else over 3 random ones.
    Raises GradientError, CheckInputError.
    """
    function = FunctionAtPoint(f, x)
    rng, count = np.random.default_rng(seed), function.value.size
    reports = []
    for u in np.eye(count) if count <= 8 else rng.standard_normal((3, count)):
        parts = [p.astype(out.dtype) for p, out in zip(split_like(u, function.outputs), function.outputs, strict=True)]
        at_u = lambda *x, parts=parts: vjp(*x, function.out.build([part.copy() for part in parts]))
        reports.append(_compare_gradient(function.contracted(flat(parts)), at_u, "vjp", name_of(vjp, "vjp"), seed))
    return Report(
        min((report.status for report in reports), default="passed"),  # alphabetical: "not continuous" comes first
        sum(report.directions for report in reports),
        max((report.worst for report in reports), default=0.0),
        max((report.resolution for report in reports), default=0.0),
        tuple(dict.fromkeys(place for report in reports for place in report.kinks)),
        tuple(dict.fromkeys(note for report in reports for note in report.notes)),
    )


@quiet
def check_hessian_product(
    gradient: Callable[..., Any], product: Callable[..., Any], x: Any, *, seed: int = 0
) -> Report:
    """Check that product(x, v) is the derivative of `gradient` along v, and that ⟨u, H v⟩ = ⟨H u, v⟩.

    v and the results of both functions have x's structure. Raises GradientError, CheckInputError.
    """
    report = _jvp_report(gradient, product, x, seed)
    adjoint_report(product, product, x, seed, symmetric=True)
    return report


def _jvp_report(f: Callable[..., Any], jvp: Callable[..., Any], x: Any, seed: int) -> Report:
    function, name, count = FunctionAtPoint(f, x), name_of(jvp, "jvp"), 0

    def product(both: list[Array]) -> Array:
        x, v = both[: len(both) // 2], both[len(both) // 2 :]
        value = function.structure.call(jvp, x, function.structure.build(v))
        return flat(function.out.leaves_of(value, function.outputs, name))

    def analytic(direction: Direction) -> tuple[Array, Array]:
        nonlocal count
        count += 1
        parts = zip(split_like(direction, function.leaves), function.leaves, strict=True)
        v = [np.asarray(part, leaf.dtype) for part, leaf in parts]
        both = [*function.leaves, *v]
        value = evaluate_repeatedly(product, both, name) if count == 1 else product(both)
        return value, rounding_error(product, both, value)

    return Comparison(function, analytic, f"jvp of {function.name}", seed).run()


def _compare_gradient(
    function: FunctionAtPoint,
    gradient: Callable[..., Any],
    kind: str,
    name: str,
    seed: int,
    reproduction: Callable[[Entry, float], str] | None = None,
) -> Report:
    """Compare a gradient, evaluated at x alone, with differences of a function with one output."""
    notes: dict[str, float] = {}

    def at(leaves: list[Array]) -> Array:
        arrays = function.structure.leaves_of(function.structure.call(gradient, leaves), function.leaves, name)
        for part, leaf in zip(arrays, function.leaves, strict=True):
            if part.dtype.kind == "f" and np.finfo(part.dtype).eps > np.finfo(leaf.dtype).eps:
                notes[f"{name} returns {part.dtype} for {leaf.dtype} arguments"] = float(np.finfo(part.dtype).eps)
        return flat(arrays)

    value = evaluate_repeatedly(at, function.leaves, name)
    noise = rounding_error(at, function.leaves, value, max(notes.values(), default=0.0))

    def analytic(direction: Direction) -> tuple[Array, Array]:
        return np.array([value @ direction]), np.array([noise @ np.abs(direction)])

    return Comparison(function, analytic, f"{kind} of {function.name}", seed, reproduction, tuple(notes)).run(value)
