"""What a check can say other than yes."""

from __future__ import annotations

from typing import Any

from minipg.checks import Array
from minipg.errors import MinipgError


class CheckInputError(MinipgError, TypeError):
    """The functions or arguments cannot be checked: integers, NaN, a wrong shape, an impure function, and so on."""


class NotDifferentiableWarning(UserWarning):
    """A derivative that was asked for does not exist: the function has a kink there."""


class GradientError(MinipgError, AssertionError):
    """A derivative is wrong. The message is the diagnosis; the fields are its parts.

    `argument` and `index` say where (index is None for a whole direction), `analytic`, `numeric` and `error` what,
    `guess` why, `snippet` is code that shows it again, `x` the arguments it happened at.
    """

    def __init__(
        self,
        what: str,
        *,
        argument: str = "",
        index: tuple[int, ...] | None = None,
        analytic: float = float("nan"),
        numeric: float = float("nan"),
        error: float = float("nan"),
        guess: str = "",
        snippet: str = "",
        x: Any = None,
        direction: list[Array] | None = None,
    ) -> None:
        self.what, self.argument, self.index = what, argument, index
        self.analytic, self.numeric, self.error = analytic, numeric, error
        self.guess, self.snippet, self.x, self.direction = guess, snippet, x, direction
        super().__init__(str(self))

    @property
    def ratio(self) -> float:
        """analytic / numeric."""
        return self.analytic / self.numeric if self.numeric else float("inf")

    @property
    def place(self) -> str:
        """The argument and the index in it, as one would write it."""
        inside = "" if not self.index else "[" + ", ".join(map(str, self.index)) + "]"
        return f"{self.argument}{inside}" if self.argument or inside else "x"

    def __str__(self) -> str:
        lines = [
            f"{self.what} is wrong at {self.place}",
            f"  analytic  {self.analytic: .10g}",
            f"  numeric   {self.numeric: .10g} ± {self.error:.1g}",
            f"  ratio     {self.ratio: .6g}",
        ]
        if self.guess:
            lines.append(f"  looks like {self.guess}")
        if self.snippet:
            lines += ["  to see it again:", *("    " + line for line in self.snippet.splitlines())]
        return "\n".join(lines)
