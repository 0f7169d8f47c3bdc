"""Runs in folders of runs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from minipg.errors import MinipgError, RunFolderError
from minipg.runs.folder import RunFolder
from minipg.runs.metrics import MetricsReader, number, rounded
from minipg.runtime.progress import printable

_SIGNS = {"config.json", "metrics.csv"}


def find_runs(path: Path) -> list[Path]:
    """`path` if it is a run, else all runs below it, damaged ones included.

    A folder is a run if one of a run's files is in it; what is below belongs to that run. Raises RunFolderError if
    `path` is not a folder.
    """
    if not path.is_dir():
        raise RunFolderError(f"{path}: no such folder")
    return sorted(_walk(path))


def _walk(path: Path) -> Iterator[Path]:
    waiting = [path]
    while waiting:  # os.walk calls itself for every folder in a folder
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                found = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
        except OSError:  # it is not ours to read, or its path is too long
            continue
        if any(name in found and not found[name] for name in _SIGNS):
            yield folder
        else:
            waiting += [folder / name for name, is_folder in found.items() if is_folder]


class Listed(NamedTuple):
    """A line of `minipg list runs`: a run, its progress and mean return, when it was last written, what is damaged."""

    path: Path
    written: float
    algorithm: str = ""
    env: str = ""
    seed: str = ""
    steps: str = ""
    mean_return: str = ""
    damage: str = ""


def list_runs(path: Path) -> list[Listed]:
    """The runs in a folder, the newest first. Raises RunFolderError if there is no such folder."""
    return sorted((_listed(run) for run in find_runs(path)), key=lambda run: run.written, reverse=True)


def _listed(path: Path) -> Listed:
    written = 0.0
    for name in _SIGNS:
        with suppress(OSError):
            written = max(written, (path / name).stat().st_mtime)
    try:
        folder = RunFolder.existing(path)
        config = folder.config()
        algorithm, env, seed, total = config["algorithm"], config["env"], config["seed"], int(config["steps"])
        last = (MetricsReader(folder.metrics).skip(1) or [{}])[-1]
    except MinipgError as error:
        return Listed(path, written, damage=str(error).removeprefix(f"{path}: ").removeprefix(f"{path}/"))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        return Listed(path, written, damage=f"config.json: {error!r}")
    done, mean = number(last.get("steps", "0")), number(last.get("mean_return", ""))
    return Listed(
        path, written, str(algorithm), str(env), str(seed),
        f"{min(done, 1e15):,.0f}/{min(total, 10**15):,}", "–" if mean != mean else rounded(mean),
    )  # fmt: skip


def table_of(runs: list[Listed]) -> str:
    """The runs as a table of text."""
    now = time.time()
    rows: list[tuple[str, ...]] = [("run", "algorithm", "environment", "seed", "steps", "return", "age", "")]
    for run in runs:
        facts = run.algorithm, run.env, run.seed, run.steps, run.mean_return
        cells = ("damaged", "", "", "", "") if run.damage else facts
        line = (run.path, *cells, age(now - run.written), run.damage)
        rows.append(tuple(printable(cell, 200) for cell in line))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = [str.ljust] * 3 + [str.rjust] * 4 + [str.ljust]
    return "\n".join(
        "  ".join(align(cell, width) for align, cell, width in zip(aligned, row, widths, strict=True)).rstrip()
        for row in rows
    )


def age(seconds: float) -> str:
    """A duration in its largest unit: 5 s, 3 min, 2 h, 1 d."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
