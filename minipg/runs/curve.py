"""The learning curve of one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.runs.metrics import columns_of
from minipg.runs.pictures import BLUE, SKY_BLUE, label_steps, legend_below, picture, thinned


def draw_curve(rows: list[dict[str, str]], title: str, path: Path) -> None:
    """Return against environment steps of one run, in a picture of its own."""
    with picture(path, 1, columns=1, size=(7, 4.2)) as (_, (panel,)):
        draw_return(panel, columns_of(rows, "steps", "batch_return", "mean_return"))
        panel.set_title(title)


def draw_return(panel: Any, columns: dict[str, Array]) -> None:
    """Each update's own episodes, and the mean of the last 100."""
    steps = columns["steps"]
    nothing = np.full(len(steps), np.nan)  # no episode has ended yet
    own, mean = columns.get("batch_return", nothing), columns.get("mean_return", nothing)
    dots, line = thinned(own), thinned(mean)
    panel.plot(
        steps[dots],
        own[dots],
        ".",
        color=SKY_BLUE,
        ms=6 if len(own) < 500 else 3,
        alpha=0.7,
        label="one update's episodes",
    )
    panel.plot(steps[line], mean[line], color=BLUE, lw=2, label="last 100 episodes")
    panel.set_ylabel("mean return of an episode")
    label_steps(panel)
    legend_below(panel, columns=2)
