"""What every picture of a run shares: colours, panels, the axis of steps, and a file written whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.errors import ConfigError
from minipg.runtime.storage import write_whole

# Okabe and Ito's colours, which those who see fewer colours tell apart too
BLUE, ORANGE, GREEN, VERMILLION, SKY_BLUE, PURPLE, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#999999",
)  # fmt: skip
OKABE_ITO = (BLUE, ORANGE, GREEN, VERMILLION, SKY_BLUE, PURPLE, "#000000", GREY)
_FORMATS = (".png", ".pdf", ".svg")
# letters that can still be read at half the size
_LOOK: dict[Any, Any] = {
    "font.size": 12, "axes.titlesize": 13, "axes.titlepad": 8, "legend.fontsize": 11, "legend.edgecolor": "none",
    "axes.grid": True, "grid.alpha": 0.3, "axes.spines.top": False, "axes.spines.right": False,
    "text.parse_math": False,
}  # fmt: skip


def check_picture(path: Path) -> None:
    """Raise ConfigError for a file name that is not a picture's."""
    if path.suffix not in _FORMATS or path.is_dir():
        raise ConfigError(f"output: expected a file that ends in {', '.join(_FORMATS)}, got {str(path)!r}")


@contextlib.contextmanager
def picture(path: Path, count: int, columns: int, size: tuple[float, float]) -> Iterator[tuple[Any, list[Any]]]:
    """A figure and its `count` panels, each of `size` in inches, in rows of at most `columns`; saved when all is drawn.

    The file is written whole or not at all. Raises RunFolderError where it cannot be.
    """
    import matplotlib
    from matplotlib.figure import Figure

    rows = -(-count // columns)
    columns = -(-count // rows)
    with matplotlib.rc_context(_LOOK):
        figure: Any = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
        panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
        for panel in panels[count:]:
            panel.remove()
        yield figure, panels[:count]
        write_whole(path, lambda file: figure.savefig(file, format=path.suffix[1:], dpi=120))


def label_steps(axes: Any) -> None:
    """The axis of environment steps: 20 k, 1 M."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axes.set_xlabel("environment steps")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))


def legend_below(axes: Any, columns: int) -> None:
    """The legend below the axis of steps, where it hides nothing."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=columns, columnspacing=1.2, handlelength=1.5)


def thinned(y: Array, limit: int = 2000) -> Array:
    """Indices of about `limit` values among which are the lowest and the highest of every stretch.   (T,) → (n,)."""
    if len(y) <= limit:
        return np.arange(len(y))
    stretches = np.array_split(np.arange(len(y)), limit // 2)
    known = np.where(np.isnan(y), np.inf, y), np.where(np.isnan(y), -np.inf, y)
    return np.unique([part[choose(side[part])] for part in stretches
                      for choose, side in zip((np.argmin, np.argmax), known, strict=True)])  # fmt: skip
