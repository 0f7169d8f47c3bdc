"""Two versions of minipg against each other: rates of training and of Fisher products, sampled in turns.

    python examples/benchmarks/against.py 9701a9e .                  # a revision of this repository, a checkout
    python examples/benchmarks/against.py main . --only ppo-4x128 --threads 1 --threads 2

Both versions are copied to a folder of their own and run with this Python and its packages. Every sample is a process
of its own; the two versions alternate, old, new, old, new, …, and after each sample R is measured, the rate of a 2048²
float32 matrix product in NumPy on as many threads. A ratio is the median of the ratios of neighbouring samples, so that
what slows a whole round down drops out. Two ratios are given: of rates by the clock, and by the processor's time, which
other programs disturb less. Compilation and the first updates are not counted. The rows are in against_rows.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Annotated, Any, NamedTuple

import tyro

sys.path.insert(0, str(Path(__file__).parent))

from against_rows import ENV, ROWS, SEED, Row

from minipg.bench.interleaved import Bench, number, paired
from minipg.bench.machine import head, head_text, matrix_rate
from minipg.bench.operation_counts import fisher_product, flops_per_step
from minipg.bench.table import rendered
from minipg.errors import ConfigError
from minipg.runtime.files import write_json

REPOSITORY, ROWS_FILE = Path(__file__).parents[2], Path(__file__).with_name("against_rows.py")
SIDES = ("old", "new")


@dataclass(frozen=True)
class Options:
    """Two versions of minipg against each other, in turns."""

    old: tyro.conf.Positional[str]
    """A folder that holds a checkout, or a git revision of this repository."""
    new: tyro.conf.Positional[str]
    """The same."""
    only: Annotated[tuple[str, ...], tyro.conf.arg(help_behavior_hint="(default: all)")] = ()
    """These rows only."""
    threads: tyro.conf.UseAppendAction[tuple[int, ...]] = ()
    """Threads of every sample; may be given twice. Two by default."""
    rounds: int = 7
    """Samples of each side."""
    quick: bool = False
    """Samples a tenth as long."""
    folder: Path | None = None
    """Where to put the copies and their compiled code, which a second call finds again. By default a temporary one."""
    json: Path | None = None
    """Where to write every sample as JSON."""


class Result(NamedTuple):
    """The samples of one row on so many threads: rates of either side by the clock and by processor time, and R."""

    row: str
    threads: int
    rates: dict[str, list[float]]
    processor: dict[str, list[float]]
    matrix: list[float]
    settings: dict[str, dict[str, Any]]


def copied(version: str, target: Path) -> Path:
    """The package of a checkout or a revision, laid out under `target` as it is installed; what to import from."""
    target.mkdir(parents=True, exist_ok=True)
    source = Path(version)
    if not (source / "minipg").is_dir():
        source = target / "checkout"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir()
        git = ["git", "-C", str(REPOSITORY), "archive", version, "minipg", "kernels"]
        packed = subprocess.run(git, capture_output=True, check=False)
        if packed.returncode:
            raise ConfigError(
                f"{version}: expected a checkout's folder or a git revision: {packed.stderr.decode().strip()}"
            )
        subprocess.run(["tar", "-x", "-C", str(source)], input=packed.stdout, check=True)
    packages = target / "packages"
    shutil.rmtree(packages, ignore_errors=True)
    for name, place in (("minipg", packages / "minipg"), ("kernels", packages / "minipg/kernels")):
        shutil.copytree(source / name, place, ignore=shutil.ignore_patterns("__pycache__"))
    return packages


def sample(packages: Path, row: str, threads: int, scale: float) -> dict[str, Any]:
    """One sample, in a process that imports minipg from `packages`."""
    environment = {**os.environ, "PYTHONPATH": str(packages), "NUMBA_CACHE_DIR": str(packages.parent / "compiled")}
    command = [sys.executable, str(ROWS_FILE), row, str(threads), str(scale)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=packages.parent)
    if found.returncode:
        raise ConfigError(f"{packages}: {row} failed\n{found.stderr}")
    result: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    if not Path(result["path"]).is_relative_to(packages.resolve()):
        raise ConfigError(f"{result['path']} was imported instead of what is in {packages}")
    return result


def compared(sides: dict[str, Path], row: str, threads: int, options: Options) -> Result:
    """A row's samples in turns, after a first one of each side that compiles."""
    scale = 0.1 if options.quick else 1.0
    settings = {side: sample(packages, row, threads, 0.01)["settings"] for side, packages in sides.items()}
    result = Result(row, threads, {side: [] for side in sides}, {side: [] for side in sides}, [], settings)
    for turn in range(options.rounds):
        for side, packages in sides.items():
            found = sample(packages, row, threads, scale)
            result.rates[side].append(found["rate"])
            result.processor[side].append(found["processor_rate"])
            result.matrix.append(matrix_rate(threads))
            print(f"{row}, {threads} threads, {turn + 1}: {side} {number(found['rate'])}", file=sys.stderr)
    return result


def operations(row: Row) -> float | None:
    """Operations of the matrix products in a step or a call; None where they are not counted."""
    if row.algorithm == "Fisher":
        return float(row.settings["rows"] * fisher_product(row.settings["sizes"]))
    if row.algorithm == "A2C":
        return None
    return flops_per_step(row.algorithm.lower(), SimpleNamespace(**row.settings), (4, *row.settings["hidden"], 2))


def table(results: list[Result]) -> str:
    """A line for each row and number of threads."""
    names = "row|threads|unit|old|range|new|range|new ÷ old|range|by processor time|share of R: old|new"
    cells = [tuple(names.split("|"))]
    for row, threads, rates, processor, matrix, _ in results:
        flops, ratios = operations(ROWS[row]), paired(rates["new"], rates["old"])
        shares = ["" if flops is None else f"{100 * median(rates[side]) * flops / median(matrix):.0f} %"
                  for side in SIDES]  # fmt: skip
        cells.append((
            row, str(threads), "products/s" if row.startswith("fisher") else "steps/s",
            *(text for side in SIDES for text in (number(median(rates[side])), _range(rates[side]))),
            f"{median(ratios):.3f} ×", f"{min(ratios):.2f} – {max(ratios):.2f}",
            f"{median(paired(processor['new'], processor['old'])):.3f} ×", *shares,
        ))  # fmt: skip
    return rendered(cells)


def described(results: list[Result]) -> str:
    """The whole settings of each row, once, and what differs between the sides."""
    lines = []
    for row, settings in {result.row: result.settings for result in results}.items():
        old, new = settings["old"], settings["new"]
        shown = ", ".join(f"{name} {value}" for name, value in new.items())
        where = "" if ROWS[row].algorithm == "Fisher" else f" {ENV}, seed {SEED}"
        lines.append(f"{row}: {ROWS[row].algorithm}{where}: {shown}")
        differing = [name for name in old.keys() | new.keys() if old.get(name) != new.get(name)]
        lines += [f"    differs: {name}: old {old.get(name)}, new {new.get(name)}" for name in sorted(differing)]
    return "\n".join(lines)


def _range(values: list[float]) -> str:
    return f"{number(min(values))} – {number(max(values))}"


def main(options: Options) -> int:
    """Copy, measure, print."""
    for name in options.only:
        if name not in ROWS:
            raise ConfigError(f"only: expected some of {', '.join(ROWS)}, got {name}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        versions = dict(zip(SIDES, (options.old, options.new), strict=True))
        sides = {side: copied(version, folder / side) for side, version in versions.items()}
        results = [
            compared(sides, row, threads, options)
            for row in options.only or ROWS
            for threads in options.threads or (2,)
        ]
    print(head_text(machine := head_of(results)))
    print(f"old: {options.old}, new: {options.new}; medians of {options.rounds} samples each, in turns.\n")
    print(f"{table(results)}\n\n{described(results)}")
    if options.json is not None:
        write_json(options.json, {"machine": machine, "results": [result._asdict() for result in results]})
    return 0


def head_of(results: list[Result]) -> dict[str, Any]:
    """The machine, with R as it was between the samples."""
    bench = Bench(rates={1: [matrix_rate(1)]})
    for result in results:
        bench.rates.setdefault(result.threads, []).extend(result.matrix)
    return head(bench)


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Options)))
    except ConfigError as error:
        print(f"against.py: {error}", file=sys.stderr)
        sys.exit(2)
