"""The errors and the warning of the gradient checker."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from minipg.errors import MinipgError

Check = TypeVar("Check", bound=Callable[..., Any])


class CheckInputError(MinipgError, TypeError):
    """The functions or arguments cannot be checked: integers, NaN, a wrong shape, a function with side effects."""


class NotDifferentiableWarning(UserWarning):
    """The function has a kink or a jump at the point of the check, so no derivative exists there."""


class GradientError(MinipgError, AssertionError):
    """A derivative is wrong. The message is the diagnosis; its parts are attributes.

    `argument` and `index`: the wrong entry (index is None if the mistake is in no single entry). `analytic`: the value
    of the derivative under test. `numeric` ± `error`: the value from differences. `guess`: the likely cause.
    `snippet`: code that reproduces the mistake. `x`: the arguments of the check.
    """

    def __init__(
        self,
        headline: str,
        *,
        argument: str = "",
        index: tuple[int, ...] | None = None,
        analytic: float = float("nan"),
        numeric: float = float("nan"),
        error: float = float("nan"),
        guess: str = "",
        snippet: str = "",
        x: Any = None,
    ) -> None:
        self.headline, self.argument, self.index = headline, argument, index
        self.analytic, self.numeric, self.error = analytic, numeric, error
        self.guess, self.snippet, self.x = guess, snippet, x
        super().__init__(str(self))

    @property
    def ratio(self) -> float:
        """analytic / numeric."""
        return self.analytic / self.numeric if self.numeric else float("inf")

    @property
    def place(self) -> str:
        """The wrong entry in Python's notation, e.g. W[2, 0]."""
        return entry_name(self.argument, self.index or ())

    def __str__(self) -> str:
        lines = [
            self.headline,
            f"  analytic  {self.analytic: .10g}",
            f"  numeric   {self.numeric: .10g} ± {self.error:.1g}",
            f"  ratio     {self.ratio: .6g}",
        ]
        if self.guess:
            lines.append(f"  looks like {self.guess}")
        if self.snippet:
            lines += ["  to reproduce:", *("    " + line for line in self.snippet.splitlines())]
        return "\n".join(lines)


def entry_name(argument: str, index: tuple[int, ...]) -> str:
    """An entry in Python's notation, e.g. W[2, 0]; x is the name of an argument without one."""
    return (argument or "x") + ("[" + ", ".join(map(str, index)) + "]" if index else "")


def quiet(check: Check) -> Check:
    """`check` without RuntimeWarnings from steps out of f's domain, and with a warning if f is not differentiable."""

    @functools.wraps(check)
    def quiet_check(*args: Any, **options: Any) -> Any:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            report = check(*args, **options)
        if report.kinks:
            places = ", ".join(report.kinks[:5]) + (" ..." if len(report.kinks) > 5 else "")
            broken = report.status.removesuffix(" here")
            warnings.warn(f"the function is {broken} at {places}", NotDifferentiableWarning, stacklevel=2)
        return report

    return quiet_check  # type: ignore[return-value]
