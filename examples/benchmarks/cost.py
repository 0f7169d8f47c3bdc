"""What a step costs: PPO and TRPO on CartPole, by batch size, width, depth and number of environments.

    python examples/benchmarks/cost.py               # some minutes; --quick: one or two
    python examples/benchmarks/cost.py --output cost.png

One of the four is changed at a time, from 8 environments, batches of 2048 steps and two hidden layers of 64 units. The
dashed line through that setting is what the cost would be if it were proportional to the number of operations
(minipg.bench.operation_counts).
The points of a panel take their turns, A B C … A B C …; writes a picture, and a JSON file of the same name beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import tyro

from minipg import ALGORITHMS
from minipg.bench.interleaved import Bench, Side
from minipg.bench.machine import head, head_text
from minipg.bench.operation_counts import flops_per_step
from minipg.bench.training import PPO_LARGE, TRPO_LARGE
from minipg.runs.pictures import BLUE, VERMILLION, check_picture, picture
from minipg.runtime.files import write_json
from minipg.runtime.threads import available_threads

BASES = {"ppo": PPO_LARGE.config, "trpo": TRPO_LARGE.config}
LOOKS = {"ppo": (BLUE, "o"), "trpo": (VERMILLION, "s")}
BATCH = 2048


@dataclass(frozen=True)
class Axis:
    """What is changed, to which values, how a config has it, and the value it has otherwise."""

    name: str
    values: tuple[int, ...]
    change: Callable[[Any, int], Any]
    base: int


AXES = (
    Axis("steps in a batch", (256, 512, 1024, 2048, 4096, 8192, 16384), lambda c, n: replace(c, n_steps=n // 8), 2048),
    Axis("units in each of 2 hidden layers", (16, 32, 64, 128, 256, 512), lambda c, n: replace(c, hidden=(n, n)), 64),
    Axis("hidden layers of 64 units", (1, 2, 3, 4, 6), lambda c, n: replace(c, hidden=(64,) * n), 2),
    Axis("environments", (1, 2, 4, 8, 16, 32, 64), lambda c, n: replace(c, num_envs=n, n_steps=BATCH // n), 8),
)


@dataclass(frozen=True)
class Options:
    """What a step costs, by batch size, width, depth and number of environments."""

    quick: bool = False
    """Fewer and shorter samples."""
    threads: int = available_threads()
    """Threads of every agent."""
    output: Path = Path(__file__).parent / "cost.png"
    """The picture to write; a JSON file of the same name goes beside it."""


def microseconds(algorithm: str, config: Any, threads: int, at_least: float) -> float:
    """Time of a step of a fresh agent, after its first update, over updates that take `at_least` so many seconds."""
    agent = ALGORITHMS[algorithm]("CartPole-v1", config=config, threads=threads)
    agent.learn(1, progress=False)
    began, first = time.perf_counter(), agent.steps
    agent.learn(1 << 40, progress=False, on_update=lambda agent, row: row["seconds"] < at_least)
    return 1e6 * (time.perf_counter() - began) / (agent.steps - first)


def measured(axis: Axis, bench: Bench, threads: int) -> dict[str, list[dict[str, float]]]:
    """By algorithm, a point for each value: the median time of a step in microseconds, its range, its operations."""
    configs = {(name, n): axis.change(base, n) for name, base in BASES.items() for n in axis.values}
    sides = {
        Side(f"{name}, {n}"): partial(microseconds, name, config, threads, 0.2 if bench.quick else 1.0)
        for (name, n), config in configs.items()
    }
    samples = bench.interleave(axis.name, "µs a step", sides, 3 if bench.quick else 7)
    points: dict[str, list[dict[str, float]]] = {name: [] for name in BASES}
    for (name, n), values in zip(configs, samples.values(), strict=True):
        flops = flops_per_step(name, configs[name, n], (4, *configs[name, n].hidden, 2))
        points[name].append(
            {"value": n, "median": median(values), "low": min(values), "high": max(values), "flops": flops}
        )
    return points


def draw(found: dict[str, dict[str, list[dict[str, float]]]], path: Path, title: str) -> None:
    """A panel for each axis, logarithmic both ways: medians with their range, and what goes with the operations."""
    with picture(path, len(AXES), 2, (7.5, 5.2)) as (figure, panels):
        for axis, axes in zip(AXES, panels, strict=True):
            for name, points in found[axis.name].items():
                colour, marker = LOOKS[name]
                x, y = [point["value"] for point in points], [point["median"] for point in points]
                spread = [[p["median"] - p["low"] for p in points], [p["high"] - p["median"] for p in points]]
                axes.errorbar(x, y, spread, color=colour, marker=marker, markersize=8, linewidth=2, capsize=3,
                              label=name.upper())  # fmt: skip
                base = next(point for point in points if point["value"] == axis.base)
                linear = [base["median"] * point["flops"] / base["flops"] for point in points]
                axes.plot(x, linear, color=colour, linestyle="--", linewidth=1.5,
                          label=f"{name.upper()}, if linear in the operations")  # fmt: skip
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xticks(axis.values, [str(n) for n in axis.values], fontsize=13)
            axes.minorticks_off()
            low, high = axes.get_ylim()
            digits = (1, 2, 5) if high > 10 * low else (1, 1.5, 2, 3, 4, 5, 7)
            ticks = [t * 10**k for k in range(-1, 6) for t in digits if low <= t * 10**k <= high]
            axes.set_yticks(ticks, [f"{t:g}" for t in ticks], fontsize=13)
            axes.set_xlabel(axis.name, fontsize=15)
            axes.set_ylabel("time of a step / µs", fontsize=15)
        handles, labels = panels[0].get_legend_handles_labels()
        order = sorted(range(len(labels)), key=lambda i: labels[i])
        panels[0].legend([handles[i] for i in order], [labels[i] for i in order], fontsize=12)
        figure.suptitle(title, fontsize=14)


def main(options: Options) -> None:
    """Measure, draw, write."""
    check_picture(options.output)
    bench = Bench(options.quick, lambda line: print(line, flush=True))
    found = {axis.name: measured(axis, bench, options.threads) for axis in AXES}
    machine = head(bench)
    base = f"PPO and TRPO on CartPole, {options.threads} threads; otherwise 8 environments, batches of {BATCH}, 64-64"
    draw(found, options.output, base)
    write_json(options.output.with_suffix(".json"), {"machine": machine, "threads": options.threads, "axes": found})
    print(head_text(machine), options.output, options.output.with_suffix(".json"), sep="\n")


if __name__ == "__main__":
    main(tyro.cli(Options))
