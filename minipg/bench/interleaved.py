"""Samples of several systems, taken in turns, and the lines of the table that they become."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

Samples = dict["Side", list[float]]


class Side(NamedTuple):
    """One side of a comparison: a system and its number of threads; 0 if it chooses the number itself."""

    system: str
    threads: int = 0
    unit: str = ""  # of its samples, if it is not that of the other sides

    def __str__(self) -> str:
        plural = "" if self.threads == 1 else "s"
        return f"{self.system}, {self.threads} thread{plural}" if self.threads else self.system


class Line(NamedTuple):
    """One line of the table. A line may have no goal; a goal without a figure could not be measured."""

    row: str
    work: str
    what: str
    figure: float | None
    unit: str
    goal: float | None = None
    at_most: bool = False
    low: float | None = None
    high: float | None = None
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without a goal or a figure."""
        return None if self.share is None else self.share >= 1

    @property
    def share(self) -> float | None:
        """The share of the goal that is reached: 1 or more means reached, also where less is better."""
        if self.figure is None or self.goal is None:
            return None
        return self.goal / self.figure if self.at_most else self.figure / self.goal


@dataclass
class Bench:
    """Settings and state of a benchmark: shorter samples or not, what prints progress, whether Ctrl-C has come."""

    quick: bool = False
    say: Callable[[str], None] = lambda line: None
    stopped: bool = False
    rates: dict[int, list[float]] = field(default_factory=dict)
    """Every sample of R, the FLOP/s of a matrix product, by threads."""

    def interleave(self, work: str, unit: str, sides: Mapping[Side, Callable[[], float]], rounds: int) -> Samples:
        """Take `rounds` samples of every side, in turns: A B C A B C …

        After Ctrl-C, returns the samples so far if every side has one. Otherwise, and in later calls, raises
        KeyboardInterrupt.
        """
        if self.stopped:
            raise KeyboardInterrupt
        samples: Samples = {side: [] for side in sides}
        try:
            for turn in range(rounds):
                for side, sample in sides.items():
                    now = f"{work}: {side} ({turn + 1} of {rounds})"
                    self.say(f"{now} …")
                    samples[side].append(sample())
                    self.say(f"{now}: {quantity(samples[side][-1], side.unit or unit)}")
        except KeyboardInterrupt:
            self.stopped = True
            if not all(samples.values()):
                raise
        return samples


def seconds_per_call(f: Callable[[], Any], at_least: float) -> float:
    """The mean over calls that take `at_least` so many seconds together, after one call that is not counted."""
    f()
    calls, start = 0, time.perf_counter()
    while calls < 2 or time.perf_counter() - start < at_least:
        f()
        calls += 1
    return (time.perf_counter() - start) / calls


def line_of(
    row: str, work: str, what: object, values: list[float], unit: str, goal: float | None = None, **more: Any
) -> Line:
    """A line with the median and the range of the samples."""
    return Line(row, work, str(what), median(values), unit, goal, low=min(values), high=max(values), **more)


def paired(above: list[float], below: list[float], scale: float = 1.0) -> list[float]:
    """The ratios of samples of the same turn: what slows a whole turn down drops out."""
    return [scale * a / b for a, b in zip(above, below, strict=False)]


def best(samples: Samples, system: str, at_most: bool = False) -> Side | None:
    """Of one system, the side with the best median; None if it was not measured."""
    sides = [side for side in samples if side.system == system]
    choose = min if at_most else max
    return choose(sides, key=lambda side: median(samples[side])) if sides else None


def number(x: float | None) -> str:
    """Three digits, or all before the decimal point."""
    return "" if x is None else f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}"


def quantity(x: float, unit: str) -> str:
    """A number and its unit, billions as G."""
    return f"{number(x / 1e9)} G{unit}" if x >= 1e9 else f"{number(x)} {unit}".rstrip()
