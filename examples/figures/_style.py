"""What the figures of the book share: one look, two languages, and files that come out the same every time."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure

from minipg.runs.pictures import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY_BLUE, VERMILLION

__all__ = ["BLUE", "GREEN", "GREY", "INK", "ORANGE", "PURPLE", "SKY_BLUE", "VERMILLION", "label", "make"]

INK = "#222222"
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "book" / "figures"
WIDTH = 7.3  # inches: 700 pixels on a screen, where a font of 10 is 13 pixels high
_LOOK: dict[str, Any] = {
    "font.size": 10, "axes.titlesize": 10.5, "axes.labelsize": 10, "xtick.labelsize": 9, "ytick.labelsize": 9,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": "#666666", "xtick.color": "#444444",
    "ytick.color": "#444444", "axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left",
    "lines.linewidth": 2, "lines.solid_capstyle": "round", "contour.negative_linestyle": "solid",
    "svg.hashsalt": "minipg",
}  # fmt: skip


def chinese_fonts() -> list[str]:
    """Fonts that draw Chinese: ["Noto Sans CJK SC"], or [] if it is not installed."""
    for path in font_manager.findSystemFonts():
        if Path(path).name.startswith(("NotoSansCJK-", "NotoSansCJKsc-")):
            font_manager.fontManager.addfont(path)
    names = {font.name for font in font_manager.fontManager.ttflist}
    return [name for name in ("Noto Sans CJK SC",) if name in names]


def label(axes: Any, x: float, y: float, text: str, color: str, **options: Any) -> None:
    """Write on the picture itself, on a pale patch, so that lines and areas below do not hide the letters."""
    patch = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    axes.text(x, y, text, color=color, bbox=patch, zorder=10, **options)


def make(
    script: str,
    data: Callable[[], Any],
    draw: Callable[[Figure, Any, SimpleNamespace], None],
    texts: dict[str, tuple[str, str]],
    argv: list[str] | None = None,
) -> Path:
    """Draw the figure of a script as the command line asks, and return the file.

    `texts` has every text in English and in Chinese, under the name by which `draw` finds it.
    """
    name = Path(script).stem
    parser = argparse.ArgumentParser(description=texts["title"][0].replace("\n", " "))
    parser.add_argument("-o", "--output", type=Path, help=f"the file; default: docs/book/figures/{name}.svg")
    parser.add_argument("--language", choices=("en", "zh"), default="en", help="English or Chinese")
    args = parser.parse_args(argv)
    fonts = chinese_fonts() if args.language == "zh" else []
    if args.language == "zh" and not fonts:
        print("no Chinese font is installed (Noto Sans CJK SC): the text is in English")
    suffix = ".zh.svg" if fonts else ".svg"
    path: Path = args.output or FOLDER / f"{name}{suffix}"
    text = SimpleNamespace(**{key: both[bool(fonts)] for key, both in texts.items()})
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **_LOOK, "font.family": ["DejaVu Sans", *fonts]}):
        figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
        draw(figure, data(), text)
        figure.suptitle(text.title, x=0.01, ha="left", fontsize=12.5, fontweight="bold", linespacing=1.3)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None, "Creator": None} if path.suffix == ".svg" else None, dpi=144)
    return path
