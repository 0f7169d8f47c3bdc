"""What a long run prints: a live bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_LIVE_EVERY, _PLAIN_EVERY = 0.25, 2.0  # seconds


class Progress:
    """Prints rows of metrics: on a terminal at most four a second, elsewhere one every two seconds, and the last.

    Use as a context manager; call `update` with every row.
    """

    def __init__(self, title: str, total: int, console: Console) -> None:
        self.title, self.total, self.console = printable(title, 100), total, console
        self._live: Any = None
        self._every = _LIVE_EVERY if console.is_terminal else _PLAIN_EVERY
        self._printed = 0.0
        self._pending: dict[str, Any] | None = None

    def __enter__(self) -> Progress:
        self._printed = time.perf_counter()
        if self.console.is_terminal:
            from rich.live import Live

            self._live = Live(self._bar(0), console=self.console, auto_refresh=False)
            self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._pending is not None:
            self._print(self._pending)
        if self._live is not None:
            with contextlib.suppress(OSError):
                self._live.stop()

    def say(self, line: str) -> None:
        """Print a line that stays."""
        print_line(self.console, line)

    def update(self, row: dict[str, Any]) -> None:
        """Print the metrics of one update, unless others were printed a moment ago."""
        if time.perf_counter() - self._printed < self._every:
            self._pending = row
        else:
            self._print(row)

    def _print(self, row: dict[str, Any]) -> None:
        seconds = max(self.total - row["steps"], 0) / max(row["steps_per_second"], 1e-9)
        if self._live is None:
            self.say(f"{row['steps']:>9,}/{self.total:,} steps  {figures(row)}  {seconds:.0f} s left")
        else:
            from rich.console import Group
            from rich.text import Text

            minutes, rest = divmod(round(seconds), 60)
            bar = self._bar(row["steps"], f"{minutes // 60}:{minutes % 60:02}:{rest:02} left")
            with contextlib.suppress(OSError):
                line = Text("  " + figures(row), overflow="ellipsis", no_wrap=True)
                self._live.update(Group(bar, line), refresh=True)
        self._printed, self._pending = time.perf_counter(), None

    def _bar(self, steps: int, left: str = "") -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        line = Table.grid(padding=(0, 1), expand=True)
        for ratio in (None, 1, None, None):
            line.add_column(ratio=ratio, no_wrap=True)
        bar = ProgressBar(total=self.total, completed=min(steps, self.total))
        line.add_row(Text(self.title), bar, f"{steps:,}/{self.total:,}", left)
        return line


def figures(row: dict[str, Any]) -> str:
    """The rate, the return, and what else of the row says how training goes."""
    parts = [
        f"{row['steps_per_second']:,.0f} steps/s",
        "no episode ended yet" if math.isnan(row["mean_return"]) else f"return {row['mean_return']:.1f}",
    ]
    if "kl" in row:
        parts.append(f"KL {row['kl']:.4f}")
    if "step_fraction" in row:
        parts.append(f"step {row['step_fraction']:.2f}" if row["step_fraction"] else f"no step ({row['status']})")
    return "  ".join(parts)


def printable(text: object, most: int = 2000) -> str:
    """The text in one line, cut to `most` characters: what a terminal would obey, as an escape sequence, is spelled."""
    text = str(text)
    text = text if len(text) <= most else f"{text[: most - 1]}…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def print_error(line: str) -> None:
    """Print a line on standard error, as long as that is not closed."""
    with contextlib.suppress(OSError):
        print(f"minipg: {printable(line)}", file=sys.stderr)


def print_line(console: Console, line: str) -> None:
    """Print a printable line as it is. A terminal that was closed, or a pipe whose reader has ended, is no error."""
    with contextlib.suppress(OSError):
        console.print(printable(line), highlight=False, markup=False, soft_wrap=True)


def lasting_console(stderr: bool = False) -> Console:
    """A console that prints nothing more when its pipe is closed, where rich's own ends the process."""
    from rich.console import Console

    class Lasting(Console):
        def on_broken_pipe(self) -> None:
            self.quiet = True

    return Lasting(stderr=stderr)
