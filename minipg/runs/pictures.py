"""What all pictures share: colours, panels, the axis of steps, and a file that is written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.errors import ConfigError
from minipg.runtime.files import write_whole
from minipg.runtime.modules import outside_working_folder

# Okabe and Ito's colours, which can be told apart with any form of colour blindness
BLUE, ORANGE, GREEN, VERMILLION, SKY_BLUE, PURPLE, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#999999",
)  # fmt: skip
OKABE_ITO = (BLUE, ORANGE, GREEN, VERMILLION, SKY_BLUE, PURPLE, "#000000", GREY)
_FORMATS = (".png", ".pdf", ".svg")
# the letters can be read at half the size
_LOOK: dict[Any, Any] = {
    "font.size": 12, "axes.titlesize": 13, "axes.titlepad": 8, "legend.fontsize": 11, "legend.edgecolor": "none",
    "axes.grid": True, "grid.alpha": 0.3, "axes.spines.top": False, "axes.spines.right": False,
    "text.parse_math": False,
}  # fmt: skip


def check_picture(path: Path) -> None:
    """Raise ConfigError unless `path` is the name of a picture."""
    if path.suffix not in _FORMATS or path.is_dir():
        raise ConfigError(f"output: expected a file that ends in {', '.join(_FORMATS)}, got {str(path)!r}")


@contextlib.contextmanager
def picture(path: Path, count: int, columns: int, size: tuple[float, float]) -> Iterator[tuple[Any, list[Any]]]:
    """Within, draw on a figure with `count` panels; afterwards it is saved to `path`.

    Every panel has `size` in inches; rows have at most `columns` panels. Raises RunFolderError if writing fails.
    """
    matplotlib = _matplotlib()
    from matplotlib.figure import Figure

    rows = -(-count // columns)
    columns = -(-count // rows)
    own = {name: value for name, value in matplotlib.rcParamsDefault.items() if not name.startswith("backend")}
    with matplotlib.rc_context({**own, **_LOOK}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the font has not
        figure: Any = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
        panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
        for panel in panels[count:]:
            panel.remove()
        yield figure, panels[:count]
        write_whole(path, lambda file: figure.savefig(file, format=path.suffix[1:], dpi=120))


def _matplotlib() -> Any:
    """Matplotlib, without the settings in the working folder and without a backend, which `picture` does not need."""
    with outside_working_folder():
        backend = os.environ.pop("MPLBACKEND", None)
        try:
            return import_module("matplotlib")
        finally:
            if backend is not None:
                os.environ["MPLBACKEND"] = backend


def label_steps(axes: Any) -> None:
    """Label the horizontal axis as environment steps: 20 k, 1 M."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axes.set_xlabel("environment steps")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))


def legend_below(axes: Any, columns: int) -> None:
    """Put the legend below the axis of steps, where it hides nothing."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=columns, columnspacing=1.2, handlelength=1.5)


def thinned(y: Array, limit: int = 2000) -> Array:
    """Indices of at most `limit` values: the lowest and the highest of every stretch of y (T,).   → (n,)."""
    if len(y) <= limit:
        return np.arange(len(y))
    stretches = np.array_split(np.arange(len(y)), limit // 2)
    known = np.where(np.isnan(y), np.inf, y), np.where(np.isnan(y), -np.inf, y)
    return np.unique([part[choose(side[part])] for part in stretches
                      for choose, side in zip((np.argmin, np.argmax), known, strict=True)])  # fmt: skip
