"""Show a run that trains in another process, by reading its folder again and again."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from minipg.runs.find import age
from minipg.runs.folder import RunFolder
from minipg.runs.metrics import MetricsReader, number, rounded
from minipg.runtime.progress import printable

if TYPE_CHECKING:
    from rich.console import Console, Group

_EVERY = 0.5  # seconds
_WIDTH = 48  # of the sparkline
_REMEMBERED = 32 * _WIDTH  # points of the history, of which a quarter are kept when there are more
_LARGEST = 10**15  # of what is shown
_BARS = "▁▂▃▄▅▆▇█"


class Watcher:
    """The state of a run, from config.json and the end of metrics.csv. `look` reads what is new."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.config = folder.config()
        self._reader = MetricsReader(folder.metrics)
        self.row: dict[str, str] = {}
        self.history: list[tuple[float, float]] = []
        self._add(self._reader.skip(4 * _WIDTH))

    def look(self) -> None:
        """Read what has been written since the last look, config.json included: a resumed run may be longer."""
        self.config = self.folder.config()
        self._add(list(self._reader.read()))

    def _add(self, rows: list[dict[str, str]]) -> None:
        for row in rows:
            self.row = row
            if math.isfinite(mean := number(row.get("mean_return", ""))):
                self.history.append((self.steps, max(-_LARGEST, min(mean, _LARGEST))))
        if len(self.history) > _REMEMBERED:
            steps = [step for step, _ in self.history]
            spaced = np.searchsorted(steps, np.linspace(steps[0], steps[-1], _REMEMBERED // 4))
            self.history = [self.history[place] for place in np.unique(spaced).tolist()]

    @property
    def total(self) -> int:
        """The planned steps of the run; 0 if its config has none."""
        total = self.config.get("steps")
        return min(total, _LARGEST) if isinstance(total, int) else 0

    @property
    def steps(self) -> int:
        """The steps of the last row."""
        steps = number(self.row.get("steps", "0"))
        return int(min(steps, _LARGEST)) if math.isfinite(steps) else 0

    @property
    def done(self) -> bool:
        """Whether all planned steps are taken."""
        return bool(self.total) and self.steps >= self.total


def watch(folder: RunFolder, console: Console) -> None:
    """Show a run until it is done; without a terminal, once. Ctrl-C raises KeyboardInterrupt, as elsewhere."""
    watcher = Watcher(folder)
    if not console.is_terminal:
        console.print(view(watcher), highlight=False, soft_wrap=True)
        return
    from rich.live import Live

    with Live(view(watcher), console=console, refresh_per_second=4) as live:
        while not watcher.done:
            time.sleep(_EVERY)
            watcher.look()
            live.update(view(watcher))


def view(watcher: Watcher) -> Group:
    """A title, a bar of the steps, and the figures of the last row."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    config, row = watcher.config, watcher.row
    title = f"{config.get('algorithm')} on {config.get('env')}, seed {config.get('seed')}, in {watcher.folder.shown}"
    steps = Table.grid(padding=(0, 1))
    share = f"{min(watcher.steps / watcher.total, 1):.0%}" if watcher.total else ""
    steps.add_row(
        ProgressBar(total=watcher.total or None, completed=min(watcher.steps, watcher.total), width=_WIDTH),
        f"{watcher.steps:,}/{watcher.total:,} steps {share}",
    )
    figures = Table.grid(padding=(0, 2))
    for name, value in figures_of(row, written(watcher.folder)).items():
        figures.add_row(Text(name, style="dim"), Text(printable(value, 200)))
    means = [mean for _, mean in watcher.history]
    if means:
        figures.add_row(
            Text("", style="dim"), Text(f"{sparkline(watcher.history)}  {rounded(min(means))} to {rounded(max(means))}")
        )
    return Group(Text(printable(title, 200), style="bold"), steps, figures)


def written(folder: RunFolder) -> float | None:
    """Seconds since the last row was written; None if there is none."""
    return time.time() - folder.metrics.stat().st_mtime if folder.metrics.exists() else None


def figures_of(row: dict[str, str], ago: float | None) -> dict[str, str]:
    """The figures of the last row, as text by name."""
    if not row or ago is None:
        return {"status": "no update has been made yet"}
    mean = number(row.get("mean_return", ""))
    figures: dict[str, Any] = {
        "return": f"{rounded(mean)}, last 100 episodes" if math.isfinite(mean) else "no episode ended yet"
    }
    if "kl" in row:
        figures["KL"] = f"{number(row['kl']):.4f}"
    figures["throughput"] = f"{number(row.get('steps_per_second', '')):,.0f} steps/s"
    figures["status"] = f"{row.get('status', 'ok')}, update {row.get('update', '?')}, {age(ago)} ago"
    return figures


def sparkline(history: list[tuple[float, float]]) -> str:
    """Bars of the means over equal stretches of steps, from the lowest to the highest mean."""
    steps, means = np.transpose(history)
    span = steps[-1] - steps[0]
    places = np.minimum((steps - steps[0]) / (span or 1) * _WIDTH, _WIDTH - 1).astype(int)
    bins = [float(means[places == place].mean()) for place in np.unique(places).tolist()]
    low, high = min(bins), max(bins)
    return "".join(_BARS[int((mean - low) / ((high - low) or 1) * (len(_BARS) - 1))] for mean in bins)
