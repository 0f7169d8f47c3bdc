"""curve.png, the learning curve of one run, drawn with Pillow: to import Matplotlib takes longer than many a run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minipg.checks import Array
from minipg.runs.pictures import BLUE, SKY_BLUE, thinned
from minipg.runtime.files import write_whole

_SIZE, _MARGINS = (840, 504), (80, 44, 24, 92)  # pixels: width, height; left, top, right, bottom
_FINER = 2  # drawn so many times larger, then averaged: lines have no steps
_DARK, _LIGHT = "#222222", "#dddddd"


class Axis(NamedTuple):
    """A linear scale: the values `low` and `high` are at the pixels `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def pixels(self, values: Any) -> Any:
        """Where values are."""
        return self.start + (values - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, count: int = 8) -> list[float]:
        """About `count` round values: 1, 2 or 5 times a power of ten apart."""
        step = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(step))
        step = power * next(m for m in (1, 2, 5, 10) if m * power >= step)
        return [k * step for k in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def axes_of(steps: Array, *returns: Array) -> tuple[Axis, Axis]:
    """The axes that hold every finite value: of steps, from left to right, and of returns, from bottom to top."""
    (width, height), (left, top, right, bottom) = _SIZE, _MARGINS
    values = np.concatenate(returns)
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    margin = 0.05 * (high - low) or max(1.0, 0.1 * abs(high))
    last = max(float(steps[-1]), 1.0)
    return Axis(0.0, last, left, width - right), Axis(low - margin, high + margin, height - bottom, top)


def draw_curve(columns: dict[str, Array], title: str, path: Path) -> None:
    """Draw the return against environment steps: of every update's own episodes, and the mean of the last 100.

    columns: `steps`, and `batch_return` and `mean_return` where they are known, all (T,), T ≥ 1; NaN where no episode
    has ended. Raises RunFolderError if `path` cannot be written.
    """
    from PIL import Image, ImageDraw, ImageFont

    steps = columns["steps"]
    unknown = np.full(len(steps), np.nan)
    own, mean = columns.get("batch_return", unknown), columns.get("mean_return", unknown)
    x, y = axes_of(steps, own, mean)
    image = Image.new("RGB", (_FINER * _SIZE[0], _FINER * _SIZE[1]), "white")
    draw = ImageDraw.Draw(image)
    text = _Text(draw, ImageFont.load_default(_FINER * 15))

    for tick in x.ticks():
        at = x.pixels(tick)
        draw.line(_finer(at, y.start, at, y.end), _LIGHT, _FINER)
        text(at, y.start + 8, short(tick), "mt")
    for tick in y.ticks():
        at = y.pixels(tick)
        draw.line(_finer(x.start, at, x.end, at), _LIGHT, _FINER)
        text(x.start - 8, at, short(tick), "rm")
    draw.line(_finer(x.start, y.end, x.start, y.start, x.end, y.start), _DARK, _FINER)

    dots, radius = thinned(own), 3.0 if len(own) < 500 else 1.5
    for at, value in zip(x.pixels(steps[dots]).tolist(), y.pixels(own[dots]).tolist(), strict=True):
        if math.isfinite(value):
            draw.ellipse(_finer(at - radius, value - radius, at + radius, value + radius), SKY_BLUE)
    line = thinned(mean)
    points = np.column_stack([x.pixels(steps[line]), y.pixels(mean[line])])
    points = points[np.isfinite(points[:, 1])]
    if len(points) > 1:
        draw.line((_FINER * points).ravel().tolist(), BLUE, 2 * _FINER, joint="curve")

    middle = (x.start + x.end) / 2
    text(middle, 3, title, "mt")
    text(middle, y.start + 32, "environment steps", "mt")
    text(x.start, y.end - 8, "mean return of an episode", "lb")
    draw.ellipse(_finer(x.start, y.start + 66, x.start + 8, y.start + 74), SKY_BLUE)
    text(x.start + 16, y.start + 70, "one row's episodes", "lm")
    draw.line(_finer(middle, y.start + 70, middle + 24, y.start + 70), BLUE, 2 * _FINER)
    text(middle + 32, y.start + 70, "last 100 episodes", "lm")
    write_whole(path, lambda file: image.reduce(_FINER).save(file, "png"))


class _Text:
    """Writes words at a place of the picture; `anchor` says which point of the words is there, as Pillow has it."""

    def __init__(self, draw: Any, font: Any) -> None:
        self._draw, self._font = draw, font

    def __call__(self, x: float, y: float, words: str, anchor: str) -> None:
        self._draw.text((_FINER * x, _FINER * y), words, _DARK, self._font, anchor)


def _finer(*pixels: float) -> list[float]:
    return [_FINER * pixel for pixel in pixels]


def short(value: float) -> str:
    """A number with a unit: 500, 20 k, 1.5 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"
