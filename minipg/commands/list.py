"""`minipg list`: the algorithms with their presets and the backends, or the runs in a folder."""

from __future__ import annotations

from pathlib import Path

from minipg.commands.parsing import usage

_RUNS = Path("runs")


def run(args: list[str]) -> int:
    """`minipg list`, or `minipg list runs [DIR]`. Returns the exit status."""
    from minipg.algorithms.presets import PRESETS
    from minipg.runtime.backend import BACKENDS, why_no_device

    if args and args[0] == "runs" and len(args) <= 2 and not args[-1].startswith("-"):
        return _list_runs(Path(args[1]) if len(args) == 2 else None)
    if args:
        return usage("usage: minipg list [runs [DIR]]", "--help" in args or "-h" in args)
    for algorithm, presets in PRESETS.items():
        print(f"{algorithm}\n  presets: {', '.join(presets)}")
    no_device = why_no_device()
    usable = [name for name in BACKENDS if name != "cupy" or no_device is None]
    print(f"backends\n  {', '.join(usable)}" + (f"; no cupy: {no_device}" if no_device else ""))
    return 0


def _list_runs(folder: Path | None) -> int:
    from minipg.runs.find import list_runs, table_of

    runs = list_runs(folder or _RUNS) if folder or _RUNS.is_dir() else []
    print(table_of(runs) if runs else f"no runs in {folder or _RUNS}")
    return 0
