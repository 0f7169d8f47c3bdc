"""Check all laws on all backends, with a progress bar, and print the results as a table."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from minipg.runtime.backend import Backend
from minipg.runtime.compiling import announce_compiling
from minipg.theory import LAWS, Verdict, check_law

if TYPE_CHECKING:
    from rich.console import Console


def check_laws(backends: Sequence[Backend], examples: int, seed: int, console: Console) -> list[Verdict]:
    """Check every law on every backend in float64 and float32, with the same seed, in the order of `LAWS`."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    work = list(product(LAWS.values(), backends, (np.float64, np.float32)))
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
    verdicts = []
    shown = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with shown as progress, announce_compiling(console.print):
        task = progress.add_task("", total=len(work))
        for law, backend, dtype in work:
            progress.update(task, description=law.__name__)
            verdicts.append(check_law(law, backend, dtype, examples, seed))
            progress.advance(task)
    return verdicts


def table(verdicts: Sequence[Verdict]) -> str:
    """One line a verdict: law, backend, dtype, examples, and the largest error as a fraction of the allowed error."""
    width = max(len(verdict.law) for verdict in verdicts)
    lines = [f"{'law':<{width}}  backend  dtype    examples  worst error / estimate"]
    for v in verdicts:
        mark = "" if v.held else "  FAILED"
        lines.append(f"{v.law:<{width}}  {v.backend:<7}  {v.dtype:<7}  {v.examples:>8}  {v.worst:>22.2g}{mark}")
    return "\n".join(lines)
