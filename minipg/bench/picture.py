"""A picture of the goals: a bar for the share of each that is reached."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from minipg.bench.interleaved import Line, quantity
from minipg.bench.table import goal_of, tally
from minipg.errors import ConfigError
from minipg.runs.pictures import BLUE, ORANGE, picture

_LONGEST = 2.0  # goals reached twice over or more have bars of this length


def draw_goals(lines: Sequence[Line], path: Path, title: str) -> None:
    """Draw a bar for each line with a goal and a figure: the share of the goal that is reached, labelled with both.

    Raises ConfigError if there is no such line, RunFolderError if the file cannot be written.
    """
    goals = [line for line in lines if line.share is not None]
    if not goals:
        raise ConfigError("output: there is nothing to draw: no goal was measured")
    places, lengths = range(len(goals)), [min(line.share or 0.0, _LONGEST) for line in goals]
    with picture(path, 1, 1, (15, 2.9 + 0.78 * len(goals))) as (figure, (axes,)):
        axes.barh(
            places, lengths, height=0.7, edgecolor="white",
            color=[BLUE if line.reached else ORANGE for line in goals],
            hatch=["" if line.reached else "//" for line in goals],
        )  # fmt: skip
        axes.axvline(1, color="black", linewidth=2)
        for place, line, length in zip(places, goals, lengths, strict=True):
            label = f"{quantity(line.figure or 0.0, line.unit)}  (goal {goal_of(line)}): {line.share:.2f} of it"
            axes.text(max(length, 1.0) + 0.03, place, label, va="center", fontsize=16)
        axes.set_yticks(places, [f"{line.work}\n{line.what}" for line in goals], fontsize=14)
        axes.set_ylim(len(goals) - 0.4, -0.6)
        axes.set_xlim(0, max(lengths) + 2.2)  # room for the labels
        axes.set_xticks([0, 0.5, 1, 1.5, _LONGEST], ["0", "0.5", "1", "1.5", "2 or more"], fontsize=14)
        axes.set_xlabel("share of the goal that is reached", fontsize=16, loc="left")
        axes.grid(axis="y", visible=False)
        heading = f"{tally(goals)} (blue; orange and hatched: not)"
        figure.suptitle(f"{heading}\n{textwrap.fill(title, 150)}", fontsize=13, x=0.01, ha="left")
