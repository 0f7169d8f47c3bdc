"""The lines as a table in Markdown, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minipg.bench.interleaved import Line, number


def rendered(cells: Sequence[Sequence[str]]) -> str:
    """Rows of cells in Markdown, aligned; the first are the names of the columns."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    lines.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in lines)


def table(lines: Sequence[Line]) -> str:
    """Figure, range, goal, and whether it was reached; above the lines of a row its name and its work."""
    cells = [("row", "", "median", "range", "goal", "reached", "")]
    for before, line in zip([None, *lines], lines, strict=False):
        if before is None or before.row != line.row:
            cells.append((line.row, line.work, "", "", "", "", ""))
        figure = "not measured" if line.figure is None else quantity(line.figure, line.unit)
        spread = f"{number(line.low)} – {number(line.high)}" if line.low != line.high else ""
        cells.append(("", f"  {line.what}", figure, spread, goal_of(line), verdict(line), line.note))
    return rendered(cells)


def quantity(figure: float, unit: str) -> str:
    """A number and its unit."""
    return f"{number(figure)} {unit}".rstrip()


def goal_of(line: Line) -> str:
    """≥ 4 ×, ≤ 3 s, or nothing."""
    return "" if line.goal is None else f"{'≤' if line.at_most else '≥'} {quantity(line.goal, line.unit)}"


def verdict(line: Line) -> str:
    """Yes or no where there is a goal, a question mark where it was not measured."""
    if line.goal is None:
        return ""
    return {True: "yes", False: "no", None: "?"}[line.reached]


def tally(lines: Sequence[Line]) -> str:
    """How many goals were reached, of how many."""
    goals = [line for line in lines if line.goal is not None]
    unknown = sum(line.reached is None for line in goals)
    text = f"{sum(line.reached is True for line in goals)} of {len(goals) - unknown} goals reached"
    return text + (f", {unknown} not measured" if unknown else "")


def as_json(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Every line with its verdict."""
    return [line._asdict() | {"reached": line.reached} for line in lines]
