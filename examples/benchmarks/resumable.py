"""Runs in processes of their own, each one JSON line when it ends: a stopped script continues where it stopped."""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

R = TypeVar("R", bound=tuple[Any, ...])
Row: TypeAlias = dict[str, Any]


def rows_on_file(path: Path) -> Iterator[Row]:
    """The rows of a file of JSON lines, if there is one; an incomplete last line is skipped."""
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def make(todo: Iterable[R], work: Callable[[R], Row], path: Path, jobs: int, shown: Callable[[R, Row], str]) -> None:
    """Call `work` for each run, `jobs` at a time, append its row to the file, and print what `shown` says of it."""
    todo = list(todo)
    print(f"{len(todo)} runs to make", flush=True)
    path.parent.mkdir(exist_ok=True)
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        futures = {pool.submit(work, run): run for run in todo}
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                run = futures[future]
                try:
                    row = future.result()
                except Exception as error:  # one run that fails is not the end of the others
                    print(f"{done}/{len(todo)} {run}: {error!r}", flush=True)
                    continue
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"{done}/{len(todo)} {shown(run, row)} in {row['seconds']:.0f} s", flush=True)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            print("stopped; what has ended is on file", file=sys.stderr)
