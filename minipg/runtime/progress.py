"""What a long run shows: a live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_PLAIN_EVERY = 2.0  # seconds


class Progress:
    """Shows rows of metrics as they come. Use as a context manager; `update` takes the row of each update."""

    def __init__(self, title: str, total: int, console: Console) -> None:
        self.title, self.total, self.console = title, total, console
        self._live: Any = None
        self._bar: Any = None
        self._shown = 0.0
        self._last: dict[str, Any] | None = None

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            from rich.live import Live
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn(),
                TimeRemainingColumn(), TextColumn("left"), console=self.console, expand=True,
            )  # fmt: skip
            self._bar.add_task(self.title, total=self.total)
            self._live = Live(self._bar, console=self.console, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            with contextlib.suppress(OSError):
                self._live.stop()
        elif self._last is not None:
            self._plain(self._last)

    def say(self, line: str) -> None:
        """A line that stays."""
        say_on(self.console, line)

    def update(self, row: dict[str, Any]) -> None:
        """Show the row of one update."""
        if self._live is not None:
            from rich.console import Group
            from rich.text import Text

            self._bar.update(self._bar.task_ids[0], completed=min(row["steps"], self.total))
            self._live.update(Group(self._bar, Text("  " + figures(row), overflow="ellipsis", no_wrap=True)))
            return
        self._last = row
        now = time.perf_counter()
        if now - self._shown >= _PLAIN_EVERY:
            self._plain(row)
            self._shown, self._last = now, None

    def _plain(self, row: dict[str, Any]) -> None:
        left = max(self.total - row["steps"], 0) / max(row["steps_per_second"], 1e-9)
        self.say(f"{row['steps']:>9,}/{self.total:,} steps  {figures(row)}  {left:.0f} s left")


def figures(row: dict[str, Any]) -> str:
    """The figures worth a glance, those of them that the algorithm has."""
    parts = [
        f"{row['steps_per_second']:,.0f} steps/s",
        "no episode ended yet" if math.isnan(row["mean_return"]) else f"return {row['mean_return']:.1f}",
    ]
    if "kl" in row:
        parts.append(f"KL {row['kl']:.4f}")
    if "step_fraction" in row:
        parts.append(f"step {row['step_fraction']:.2f}" if row["step_fraction"] else f"no step ({row['status']})")
    return "  ".join(parts)


def say_on(console: Console, line: str) -> None:
    """A line as it is. A terminal that was closed, or a reader that has gone, is no reason to stop."""
    with contextlib.suppress(OSError):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def lasting_console(stderr: bool = False) -> Console:
    """A console that falls silent when its reader goes away, where others end the process."""
    from rich.console import Console

    class Lasting(Console):
        def on_broken_pipe(self) -> None:
            self.quiet = True

    return Lasting(stderr=stderr)
