"""The lines as a table in Markdown, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minipg.bench.interleaved import Line, number, quantity


def rendered(cells: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, with aligned columns; the first row has their names."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    lines.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in lines)


def table(lines: Sequence[Line]) -> str:
    """A table of all lines: figure, range, goal, verdict; the name of each row and its work come before its lines."""
    cells = [("row", "", "median", "range", "goal", "reached", "")]
    for before, line in zip([None, *lines], lines, strict=False):
        if before is None or before.row != line.row:
            cells.append((line.row, line.work, "", "", "", "", ""))
        figure = "not measured" if line.figure is None else quantity(line.figure, line.unit)
        spread = f"{number(line.low)} – {number(line.high)}" if line.low != line.high else ""
        cells.append(("", f"  {line.what}", figure, spread, goal_of(line), verdict(line), line.note))
    return rendered(cells)


def goal_of(line: Line) -> str:
    """The goal as text: ≥ 4 ×, ≤ 3 s; empty if there is none."""
    return "" if line.goal is None else f"{'≤' if line.at_most else '≥'} {quantity(line.goal, line.unit)}"


def verdict(line: Line) -> str:
    """yes or no if there is a goal, a question mark if it was not measured."""
    if line.goal is None:
        return ""
    return {True: "yes", False: "no", None: "?"}[line.reached]


def tally(lines: Sequence[Line]) -> str:
    """How many of the goals were reached, as text."""
    goals = [line for line in lines if line.goal is not None]
    unknown = sum(line.reached is None for line in goals)
    text = f"{sum(line.reached is True for line in goals)} of {len(goals) - unknown} goals reached"
    return text + (f", {unknown} not measured" if unknown else "")


def as_json(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Every line with its verdict."""
    return [line._asdict() | {"reached": line.reached} for line in lines]
