"""One run on one sheet: a panel for each of its metrics that says how training went."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.errors import RunFolderError
from minipg.runs.folder import RunFolder
from minipg.runs.metrics import read_columns
from minipg.runs.pictures import BLUE, OKABE_ITO, SKY_BLUE, VERMILLION, label_steps, legend_below, picture, thinned
from minipg.runtime.progress import printable

Columns = dict[str, Array]


def draw_diagnostics(folder: RunFolder, path: Path) -> None:
    """Draw all panels of a run to `path`. Raises RunFolderError for a run without rows."""
    config = folder.config()
    columns = read_columns(folder.metrics)
    if "steps" not in columns:
        raise RunFolderError(f"{folder.shown}: nothing to draw: no update has been made yet")
    settings = config.get("config")
    panels = panels_of(columns, settings if isinstance(settings, dict) else {})
    with picture(path, len(panels), columns=3, size=(5.2, 3.5)) as (figure, axes):
        for panel, draw in zip(axes, panels.values(), strict=True):
            draw(panel)
            label_steps(panel)
        title = f"{config.get('algorithm')} on {config.get('env')}, seed {config.get('seed')}"
        figure.suptitle(printable(title, 100), fontsize=15)


def panels_of(columns: Columns, settings: dict[str, Any]) -> dict[str, Callable[[Any], None]]:
    """The functions that draw the panels whose columns exist, by name, in the order of the sheet."""
    panels: dict[str, Callable[[Any], None]] = {"return": lambda panel: _return(panel, columns)}
    if "kl" in columns:
        panels["kl"] = lambda panel: _kl(panel, columns, settings)
    if "step_fraction" in columns:
        panels["step_fraction"] = lambda panel: _step_fraction(panel, columns)
    if "line_search_trials" in columns:
        panels["line_search_trials"] = lambda panel: _trials(panel, columns)
    for name in _PLAIN:
        if name in columns and not _idle(columns, name):
            panels[name] = lambda panel, name=name: _plain(panel, columns, name)  # type: ignore[misc]
    if any(name.startswith("std_") for name in columns):
        panels["std"] = lambda panel: _std(panel, columns)
    for prefix, name in (("steps", "workers"), ("share", "shares"), ("drops", "drops")):
        if f"{prefix}_0" in columns:
            panels[name] = lambda panel, prefix=prefix: _workers(panel, columns, prefix)  # type: ignore[misc]
    if "seconds" in columns:
        panels["throughput"] = lambda panel: _throughput(panel, columns)
    return panels


# a column, the title of its panel, and the label of its axis
_PLAIN = {
    "clip_fraction": ("Clipped ratios", "share of samples"),
    "cg_residual": ("CG residual", "‖A x − g‖, log scale"),
    "cg_iterations": ("CG iterations", "iterations"),
    "entropy": ("Entropy of the policy", "nats"),
    "explained_variance": ("Explained variance of the critic", "1 is perfect"),
    "staleness": ("Staleness of a step", "updates by other workers, mean"),
    "q_value": ("Q of the policy's actions", "mean Q(s, μ(s))"),
    "critic_loss": ("Loss of the critics", "mean (Q − y)², log scale"),
    "saturation": ("Actions near a bound", "share of |μ(s)| > 0.99"),
    "replay": ("Replay", "share that is filled"),
}


def _dots_and_line(panel: Any, steps: Array, y: Array, label: str = "one row") -> None:
    """A dot for every row, and their running median."""
    dots = thinned(y)
    panel.plot(steps[dots], y[dots], ".", color=SKY_BLUE, ms=6 if len(y) < 500 else 3, alpha=0.7, label=label)
    panel.plot(*running_median(steps, y), color=BLUE, lw=2, label="running median")


def running_median(steps: Array, y: Array) -> tuple[Array, Array]:
    """The median of y over a twentieth of the run, at least 5 updates, around up to 200 updates.   (T,)."""
    known = ~np.isnan(y)
    steps, y = steps[known], y[known]
    half = max(2, len(y) // 40)
    centres = np.unique(np.linspace(0, len(y) - 1, 200).astype(int)) if len(y) else np.arange(0)
    medians = [np.median(y[max(0, centre - half) : centre + half + 1]) for centre in centres.tolist()]
    return steps[centres], np.array(medians)


def _return(panel: Any, columns: Columns) -> None:
    steps = columns["steps"]
    unknown = np.full(len(steps), np.nan)  # no episode has ended yet
    own, mean = columns.get("batch_return", unknown), columns.get("mean_return", unknown)
    dots, line = thinned(own), thinned(mean)
    size = 6 if len(own) < 500 else 3
    panel.plot(steps[dots], own[dots], ".", color=SKY_BLUE, ms=size, alpha=0.7, label="one row's episodes")
    panel.plot(steps[line], mean[line], color=BLUE, lw=2, label="last 100 episodes")
    panel.set(title="Return", ylabel="mean return of an episode")
    legend_below(panel, columns=2)


def _kl(panel: Any, columns: Columns, settings: dict[str, Any]) -> None:
    _dots_and_line(panel, columns["steps"], columns["kl"])
    for name, symbol in (("max_kl", "δ"), ("target_kl", "target")):
        limit = settings.get(name)
        if isinstance(limit, int | float) and math.isfinite(limit):
            panel.axhline(limit, color=VERMILLION, lw=2, ls="--", label=f"{symbol} = {limit:g}")
    panel.set(title="KL of an update", ylabel="KL(old‖new), nats", ylim=(0, None))
    panel.legend()


def _step_fraction(panel: Any, columns: Columns) -> None:
    fraction, steps = columns["step_fraction"], columns["steps"]
    accepted = fraction > 0
    _dots_and_line(panel, steps[accepted], fraction[accepted], "accepted")
    if not accepted.all():
        panel.plot(steps[~accepted], fraction[~accepted], "x", color=VERMILLION, ms=6, label="no step taken")
    panel.set(title="Step: share of the full one", ylabel="fraction", ylim=(-0.05, 1.05))
    panel.legend()


def _trials(panel: Any, columns: Columns) -> None:
    trials, steps = columns["line_search_trials"], columns["steps"]
    _dots_and_line(panel, steps, trials)
    title = "Line search"
    if "step_fraction" in columns:
        title += f": {int((columns['step_fraction'] > 0).sum()):,} of {len(trials):,} accepted"
    panel.set(title=title, ylabel="trials", ylim=(0, None))
    panel.yaxis.get_major_locator().set_params(integer=True)


def _idle(columns: Columns, name: str) -> bool:
    """Whether a panel is left out: no ratio is ever clipped, or the residual's title has the number of iterations."""
    return not np.nanmax(columns[name]) if name == "clip_fraction" else name == "cg_iterations" and _always(columns)


def _always(columns: Columns) -> bool:
    """Whether conjugate gradient always made the same number of iterations, which the residual's title then has."""
    return {"cg_residual", "cg_iterations"} <= columns.keys() and np.ptp(columns["cg_iterations"]) == 0


def _plain(panel: Any, columns: Columns, name: str) -> None:
    from matplotlib.ticker import LogFormatter

    title, unit = _PLAIN[name]
    y = columns[name]
    _dots_and_line(panel, columns["steps"], y)
    if name == "explained_variance" and np.nanmin(y) < -1:
        panel.set_ylim(-1.05, 1.05)
        title += ", cut at −1"
    if name == "cg_residual" and _always(columns):
        title += f" after {columns['cg_iterations'][0]:.0f} iterations"
    if name in ("cg_residual", "critic_loss") and np.nanmax(y) > 0:
        panel.set_yscale("log", nonpositive="mask")
        # the default formatters write TeX, which `picture` does not parse
        panel.yaxis.set_major_formatter(LogFormatter())
        panel.yaxis.set_minor_formatter(LogFormatter())
    if name in ("clip_fraction", "cg_iterations", "saturation", "replay", "staleness"):
        panel.set_ylim(0, None)
    panel.set(title=title, ylabel=unit)


def _std(panel: Any, columns: Columns) -> None:
    names = [name for name in columns if name.startswith("std_")]
    for name, colour in zip(names, OKABE_ITO, strict=False):
        y = columns[name]
        line = thinned(y)
        which = name.removeprefix("std_")
        label = f"action {which}" if which.isdigit() else {"min": "smallest", "max": "largest"}.get(which, which)
        panel.plot(columns["steps"][line], y[line], color=colour, lw=2, label=label)
    panel.set(title="σ of the policy's actions", ylabel="σ, before any squashing", ylim=(0, None))
    panel.legend(ncols=1 + len(names) // 4)


# a column of each worker, the title of the panel, and the label of its axis
_OF_WORKERS = {
    "steps": ("Share of each worker", "of the steps, running median"),
    "share": ("Share of each worker", "of the gradients, running median"),
    "drops": ("Late answers of each worker", "discarded so far"),
}


def _workers(panel: Any, columns: Columns, prefix: str) -> None:
    names = [name for name in columns if name.startswith(f"{prefix}_") and name[6:].isdigit()]
    whole = np.maximum(np.nansum([columns[name] for name in names], axis=0), 1) if prefix == "steps" else 1.0
    for name, colour in zip(names, cycle(OKABE_ITO)):
        y = columns[name] / whole
        panel.plot(*running_median(columns["steps"], y), color=colour, lw=2, label=name.removeprefix(f"{prefix}_"))
    title, unit = _OF_WORKERS[prefix]
    panel.set(title=title, ylabel=unit, ylim=(0, None))
    if len(names) <= len(OKABE_ITO):
        panel.legend(title="worker", ncols=4)


def _throughput(panel: Any, columns: Columns) -> None:
    from matplotlib.ticker import EngFormatter

    steps = columns["steps"]
    taken, seconds = np.diff(steps, prepend=0), np.diff(columns["seconds"], prepend=0)
    rate = np.divide(taken, seconds, out=np.full(len(steps), np.nan), where=(seconds > 0) & (taken > 0))
    _dots_and_line(panel, steps, rate)
    panel.yaxis.set_major_formatter(EngFormatter(sep=" "))
    panel.set(title="Throughput", ylabel="environment steps/s", ylim=(0, None))
