"""Samples taken in turns, and the table they end in."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One line of the table. `system`: a name, then ", " and a variant. `ratio`: how many times faster minipg is."""

    work: str
    system: str
    figure: float | str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    ratio: float | None = None


def say(line: str) -> None:
    """What is going on, on standard error."""
    print(line, file=sys.stderr, flush=True)


def installed(package: str) -> str | None:
    """The version of a distribution, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def peer(package: str) -> bool:
    """Whether a peer is there to be measured; says so where it is not."""
    if installed(package) is None:
        say(f"  {package} is not installed, its rows are left out: pip install 'minipg-rl[bench]'")
    return installed(package) is not None


def seconds_per_call(f: Callable[[], Any], at_least: float) -> float:
    """The mean over a block of calls that takes `at_least` so many seconds, after one call that is not counted."""
    f()
    calls, began = 0, time.perf_counter()
    while calls < 2 or time.perf_counter() - began < at_least:
        f()
        calls += 1
    return (time.perf_counter() - began) / calls


def in_turns(work: str, sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """`rounds` samples of every side, taken A B C A B C …"""
    samples: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds):
        for name, sample in sides.items():
            samples[name].append(sample())
            say(f"{work}: {name}: {samples[name][-1]:.4g} ({turn + 1} of {rounds})")
    return samples


def figures(work: str, samples: dict[str, list[float]], unit: str, scale: float = 1.0) -> list[Row]:
    """A row a side, compared with nothing."""
    return [
        Row(work, name, scale * median(values), unit, scale * min(values), scale * max(values))
        for name, values in samples.items()
    ]


def compared(rows: list[Row]) -> list[Row]:
    """The rows of one work, the fastest variant of each system with the ratio of the fastest minipg to it.

    A figure whose unit ends in "/s" is the better the higher it is.
    """
    speeds = [float(row.figure) if row.unit.endswith("/s") else 1 / float(row.figure) for row in rows]
    systems = [row.system.rpartition(", ")[0] for row in rows]
    fastest: dict[str, float] = {}
    for system, speed in zip(systems, speeds, strict=True):
        fastest[system] = max(speed, fastest.get(system, 0.0))
    minipg = max(speed for system, speed in fastest.items() if system.startswith("minipg"))
    return [
        row._replace(ratio=minipg / speed) if speed == fastest[system] else row
        for row, system, speed in zip(rows, systems, speeds, strict=True)
    ]


def table(rows: list[Row]) -> str:
    """The rows in Markdown, aligned; a work is named on the first of its lines only."""
    cells = [("work", "system", "median", "range", "minipg is faster by")]
    for before, row in zip([None, *rows], rows, strict=False):
        new = before is None or before.work != row.work
        figure = row.figure if isinstance(row.figure, str) else f"{_number(row.figure)} {row.unit}"
        spread = f"{_number(row.low)} – {_number(row.high)}" if row.low != row.high else ""
        ratio = "" if row.ratio is None else f"{row.ratio:.2f} ×"
        cells.append((row.work if new else "", row.system, figure, spread, ratio))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    lines.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in lines)


def _number(x: float | None) -> str:
    return "" if x is None else f"{x:,.0f}" if x >= 1000 else f"{x:.3g}"
