"""`minipg list`: the algorithms with their presets and the backends, or the runs in a folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from minipg.commands.parsing import usage

_RUNS = Path("runs")
_PLAIN: dict[str, Any] = {"box": None, "pad_edge": False}


def run(args: list[str]) -> int:
    """`minipg list`, or `minipg list runs [DIR]`. Returns the exit status."""
    from minipg.runtime.backend import BACKENDS, why_no_device

    if args and args[0] == "runs" and len(args) <= 2 and not args[-1].startswith("-"):
        return _list_runs(Path(args[1]) if len(args) == 2 else None)
    if args:
        return usage("usage: minipg list [runs [DIR]]", "--help" in args or "-h" in args)
    _list_algorithms()
    no_device = why_no_device()
    usable = [name for name in BACKENDS if name != "cupy" or no_device is None]
    print(f"\nbackends: {', '.join(usable)}" + (f"; no cupy: {no_device}" if no_device else ""))
    return 0


def _list_algorithms() -> None:
    from rich.console import Console
    from rich.table import Table

    from minipg.algorithms import ALGORITHMS
    from minipg.algorithms.presets import PRESETS

    algorithms, presets = Table("algorithm", "what it is", **_PLAIN), Table("preset", "of", **_PLAIN)
    for name, algorithm in ALGORITHMS.items():
        what = (sys.modules[algorithm.__module__].__doc__ or "").partition("\n")[0]
        algorithms.add_row(name, what.partition(":")[0].rstrip("."))
    for preset in dict.fromkeys(name for presets in PRESETS.values() for name in presets):
        presets.add_row(preset, " ".join(name for name in ALGORITHMS if preset in PRESETS[name]))
    Console(highlight=False).print(algorithms, "", presets, sep="\n")


def _list_runs(folder: Path | None) -> int:
    from minipg.runs.find import list_runs, table_of

    runs = list_runs(folder or _RUNS) if folder or _RUNS.is_dir() else []
    print(table_of(runs) if runs else f"no runs in {folder or _RUNS}")
    return 0
