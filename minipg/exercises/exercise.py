"""An exercise: a derivative to write oneself, random problems on which it is checked, and the library's solution."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from minipg.gradient_check import CheckInputError, GradientError, NotDifferentiableWarning, Report

SIZES = (1, 2, 3, 4)
_DRAWS = 3  # problems of each size


class Problem(NamedTuple):
    """A function f, a point x, and the arguments of the answer; an argument that depends on x is a function of x."""

    f: Callable[..., Any]
    x: Any
    inputs: Mapping[str, Any]

    def arguments(self, x: Any) -> dict[str, Any]:
        """The arguments at x, copied, so that an answer may change them."""
        return {name: copy.deepcopy(value(x) if callable(value) else value) for name, value in self.inputs.items()}


class Exercise(NamedTuple):
    """`solution` has the signature and the docstring that are asked, and calls the functions in `shown`.

    `check` is check_gradient, check_jvp, check_vjp or check_hessian_product; with the last three, the answer's last
    argument is the direction. `draw(rng, size)` makes a problem. `tools` are what the reader may use.
    """

    check: Callable[..., Report]
    solution: Callable[..., Any]
    draw: Callable[[np.random.Generator, int], Problem]
    shown: tuple[Callable[..., Any], ...]
    tools: tuple[Callable[..., Any], ...] = ()

    @property
    def name(self) -> str:
        """The name of the function to write."""
        return self.solution.__name__

    @property
    def text(self) -> str:
        """The docstring of the function to write."""
        return inspect.getdoc(self.solution) or ""


class Verdict(NamedTuple):
    """`failure` is empty if the answer is right; `details` are lines: the numbers, the likely cause, the example."""

    name: str
    failure: str
    details: tuple[str, ...] = ()


def check_answer(exercise: Exercise, answer: Callable[..., Any]) -> Verdict:
    """Check a reader's function on random problems, small ones first. The first that fails is the smallest example."""
    failed: Verdict | None = None
    for size in SIZES:
        for number in range(_DRAWS):
            problem = exercise.draw(np.random.default_rng((size, number)), size)
            try:
                _check(exercise, answer, problem)
            except NotImplementedError:
                return Verdict(exercise.name, "not written yet")
            except GradientError as error:
                guess = f"looks like {error.guess}" if error.guess else ""
                if failed is None:
                    failed = Verdict(
                        exercise.name, f"wrong at {error.place}", (*_numbers(error), guess, *_example(problem))
                    )
                elif guess:  # a larger example shows more of the mistake's pattern
                    failed = failed._replace(details=(*failed.details[:3], guess, *failed.details[4:]))
                break
            except Exception as error:  # the reader's function may raise anything
                if failed is None:
                    kind = "" if isinstance(error, CheckInputError) else f"{type(error).__name__}: "
                    failed = Verdict(exercise.name, f"{kind}{error}", tuple(_example(problem)))
                return failed
    return failed or Verdict(exercise.name, "")


def _check(exercise: Exercise, answer: Callable[..., Any], problem: Problem) -> None:
    def derivative(x: Any, *direction: Any) -> Any:
        result = answer(*problem.arguments(x).values(), *direction)
        if result is None:
            raise CheckInputError("it returns None: is there a return?")
        return result

    derivative.__name__ = exercise.name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotDifferentiableWarning)
        exercise.check(problem.f, derivative, problem.x)


def _numbers(error: GradientError) -> tuple[str, str, str]:
    return (
        f"yours           {error.analytic: .10g}",
        f"by differences  {error.numeric: .10g} ± {error.error:.1g}",
        f"ratio           {error.ratio: .6g}",
    )


def _example(problem: Problem) -> list[str]:
    """The arguments of the smallest example, a line each."""
    lines = ["the smallest example that fails:"]
    for name, value in problem.arguments(problem.x).items():
        fields = value._asdict() if hasattr(value, "_asdict") else value if isinstance(value, dict) else {"": value}
        for field, part in fields.items():
            place = f"  {name}.{field} = " if field else f"  {name} = "
            lines.append(place + np.array2string(np.asarray(part), precision=4, separator=", ", prefix=place))
    return lines
