"""How DPPO scales: the constants of its model on this machine, and the model held against runs with 1, 2 and 4 workers.

    python examples/benchmarks/scaling.py                    # processes; some three minutes
    python examples/benchmarks/scaling.py --engine ray
    python examples/benchmarks/scaling.py --slow             # what a worker ten times as slow costs

The model of one update, with K steps of Adam (docs/scaling.md):

    update = collect + K (gradient + latency + W (call + bytes / bandwidth) + step)

`collect` and `gradient` are one worker's, times max(1, W / cores) where the workers share a machine.
Prints tables for docs/scaling.md, and JSON with --output.
"""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import tyro

from minipg import DPPO, DPPOConfig
from minipg.algorithms import dppo
from minipg.algorithms.dppo_worker import Answer, CriticGradient, Part, Worker
from minipg.algorithms.optimizers import adam_step, mean, new_adam
from minipg.algorithms.surrogate_epochs import SurrogateGradient
from minipg.checks import Array
from minipg.runtime.backend import Backend
from minipg.runtime.files import write_json
from minipg.runtime.threads import OneBlasThread, available_threads

ENV = "CartPole-v1"
BASE = DPPOConfig(num_envs=8, n_steps=256, n_epochs=4, vf_epochs=4, minibatch_size=512, vf_minibatch_size=512)
CASES = {"64-64": replace(BASE, hidden=(64, 64)), "256-256": replace(BASE, hidden=(256, 256))}
PAPER = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)  # workers, one core each
BATCH = BASE.num_envs * BASE.n_steps  # of a worker
PAUSE = 5e-4
SLOWNESS = 10


@dataclass(frozen=True)
class Options:
    """How DPPO scales."""

    engine: str = "processes"
    """processes, threads or ray."""
    slow: bool = False
    """Measure what a slow worker costs instead."""
    seconds: float = 8.0
    """Of each run."""
    output: Path | None = None
    """A JSON file to write."""


class Constants(NamedTuple):
    """Seconds, for one network and one batch of a worker."""

    collect: float
    gradient: float  # of the policy and of the critic, on one minibatch each
    latency: float  # from the chief to a worker and back
    call: float  # the chief's own work for a call and its answer
    per_byte: float
    bytes: int  # of a call and its answer
    step: float  # the chief's Adam, of the policy and of the critic
    step_per_worker: float  # the chief's share of the mean
    steps: int  # of Adam, in an update


class Echo:
    """A worker that answers a call for a gradient with what it was sent."""

    def __init__(self, number: int) -> None:
        self.number = number

    def gradient(self, version: int, part: Any, theta: Array, terms: Any, vf_part: Any, value: Array) -> Answer:
        """The parameters in the form of gradients."""
        return Answer(version, (SurrogateGradient(theta, 0.0, 0.0), CriticGradient(value, 0.0, 1)))


def seconds_of(call: Callable[[], Any], pause: float = 0.0, at_least: float = 0.5) -> float:
    """The median time of a call, each after a `pause`: in a run, others use the caches between two calls."""
    call()
    times: list[float] = []
    while sum(times) < at_least or len(times) < 5:
        time.sleep(pause)
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return median(times)


def exchange(engine: str, workers: int, size: int) -> float:
    """The time in which `workers` have been sent parameters, of `size` floats and as many, and all have answered."""
    made: Any = dppo._engine(replace(BASE, workers=workers, engine=engine), Echo)  # type: ignore[arg-type]
    theta, terms, part = np.zeros(size, np.float32), BASE.terms(1.0, 0.0), Part(0, 0)

    def call() -> None:
        for worker in range(workers):
            made.submit(worker, "gradient", 0, part, theta, terms, part, theta)
        for _ in range(workers):
            made.next()

    found = seconds_of(call)
    made.close()
    return found


def transport(engine: str) -> tuple[float, float, float]:
    """(latency, the chief's work for a call, seconds per byte), from one and four workers, small and large arrays."""
    one, four, large = exchange(engine, 1, 16), exchange(engine, 4, 16), exchange(engine, 4, 250_000)
    call = max(four - one, 0.0) / 3
    return max(one - call, 0.0), call, max(large - four, 0.0) / (4 * 4 * 4 * 250_000)


def constants(config: DPPOConfig, latency: float, call: float, per_byte: float) -> Constants:
    """What one worker and the chief take, alone on the machine."""
    agent, worker = DPPO(ENV, seed=0, config=config, threads=1), Worker(ENV, config, "numba")
    theta, value = agent.theta, agent.value.theta
    terms, parts = config.terms(1.0, 0.0), cycle(part for part, _ in dppo._minibatches(config, BATCH))
    collect = seconds_of(lambda: worker.collect(0, 0, theta, value, {}, config), PAUSE)

    def gradients() -> None:
        part = next(parts)
        worker.gradient(0, part, theta, terms, part, value)

    gradient = seconds_of(gradients, PAUSE)
    backend, sizes = Backend("numba", 1), (theta, value)

    def step(workers: int) -> float:
        gradients = [[np.ones_like(x) for _ in range(workers)] for x in sizes]
        adams = [new_adam(x) for x in sizes]
        with OneBlasThread():
            return seconds_of(
                lambda: [
                    adam_step(backend, x, adam, mean(g), 1e-3, 0.5)
                    for x, adam, g in zip(sizes, adams, gradients, strict=True)
                ],
                PAUSE,
            )

    one, nine = step(1), step(9)
    number = len(dppo._minibatches(config, BATCH))
    sent = 2 * (theta.nbytes + value.nbytes)
    return Constants(collect, gradient, latency, call, per_byte, sent, one, max((nine - one) / 8, 0.0), number)


def update_seconds(c: Constants, workers: int, cores: float, tree: bool = False) -> float:
    """The model. With `tree`, sums are passed from worker to worker: the chief's work grows with log₂ W."""
    crowd, others = max(1.0, workers / cores), math.ceil(math.log2(workers)) + 1 if tree else workers
    exchanged = c.latency + others * (c.call + c.bytes * c.per_byte)
    step = c.step + (others - 1) * c.step_per_worker
    return c.collect * crowd + c.latency + others * c.call + c.steps * (c.gradient * crowd + exchanged + step)


def rate(config: DPPOConfig, seconds: float) -> float:
    """Environment steps a second of a run, without its first updates."""
    agent, rows = DPPO(ENV, seed=0, config=config, threads=1), list[dict[str, Any]]()

    def on_update(_: Any, row: dict[str, Any]) -> bool:
        rows.append(row)
        return row["seconds"] < rows[min(4, len(rows) - 1)]["seconds"] + seconds

    agent.learn(1 << 40, on_update=on_update, progress=False)
    agent.close()
    first, last = rows[4], rows[-1]
    return float((last["steps"] - first["steps"]) / (last["seconds"] - first["seconds"]))


def rows_of(options: Options) -> Iterator[dict[str, Any]]:
    """For each network: the constants, the model and the runs."""
    cores, carried = available_threads(), transport(options.engine)
    for name, base in CASES.items():
        c = constants(base, *carried)
        predicted = {w: w * BATCH / update_seconds(c, w, cores) for w in (1, 2, 4)}
        measured = {w: rate(replace(base, workers=w, engine=options.engine), options.seconds) for w in predicted}
        paper = {
            "as it is": speedups(c),
            "as it is, 1 ms a step": speedups(c._replace(collect=c.collect + BATCH * 1e-3)),
            "tree": speedups(c, tree=True),
            "tree, 1 ms a step": speedups(c._replace(collect=c.collect + BATCH * 1e-3), tree=True),
        }
        yield {"network": name, "constants": c._asdict(), "predicted": predicted, "measured": measured, "paper": paper}


def speedups(c: Constants, tree: bool = False) -> dict[int, float]:
    """By the number of workers, each with a core of its own: steps a second over those of one worker."""
    return {w: w * update_seconds(c, 1, 1, tree) / update_seconds(c, w, w, tree) for w in PAPER}


def report(row: dict[str, Any]) -> None:
    """Print one network's figures."""
    c = Constants(**row["constants"])
    micro = lambda x: f"{1e6 * x:,.0f} µs"
    speed = f"{1e-9 / c.per_byte:.2f} GB/s" if c.per_byte else "no time"
    print(f"\n{row['network']}: collect {micro(c.collect)}, gradient {micro(c.gradient)}, latency {micro(c.latency)}, "
          f"call {micro(c.call)}, {c.bytes / 1e3:,.0f} kB at {speed}, Adam {micro(c.step)} "
          f"+ {micro(c.step_per_worker)} a worker, {c.steps} steps")  # fmt: skip
    print("| workers | model, steps/s | measured | measured / model |\n|---|---|---|---|")
    for workers, predicted in row["predicted"].items():
        measured = row["measured"][workers]
        print(f"| {workers} | {predicted:,.0f} | {measured:,.0f} | {measured / predicted:.2f} |")
    print("\n| speed-up with | " + " | ".join(map(str, PAPER)) + " |\n" + "|---" * (len(PAPER) + 1) + "|")
    for name, paper in row["paper"].items():
        print(f"| {name} | " + " | ".join(f"{x:.1f}" if x < 10 else f"{x:.0f}" for x in paper.values()) + " |")


class Slowed:
    """A worker whose calls take SLOWNESS times as long; but for the first, which loads kernels."""

    def __init__(self, worker: Worker) -> None:
        self._worker, self._calls = worker, 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._worker, name)

        def call(*args: Any) -> Any:
            began = time.perf_counter()
            answer, self._calls = method(*args), self._calls + 1
            if self._calls > 1:
                time.sleep((SLOWNESS - 1) * (time.perf_counter() - began))
            return answer

        return call


def with_a_slow_worker(options: Options) -> dict[str, float]:
    """Rates of two workers, and of these and a slow one, with and without a drop."""
    engine = dppo._engine
    slowed = lambda config, make: engine(config, lambda k: Slowed(make(k)) if k == 2 else make(k))
    base, rates = replace(BASE, engine=options.engine), dict[str, float]()
    for name, workers, drop in (("W = 2", 2, 0), ("W = 3, one slow, D = 1", 3, 1), ("W = 3, one slow, D = 0", 3, 0)):
        dppo._engine = slowed if workers == 3 else engine
        rates[name] = rate(replace(base, workers=workers, drop=drop), options.seconds)
        print(
            f"{name}: {rates[name]:,.0f} steps/s, {rates[name] / rates['W = 2']:.2f} of two workers alone", flush=True
        )
    return rates


def main(options: Options) -> None:
    """Measure and print."""
    print(f"{platform.machine()}, {available_threads()} cores, engine {options.engine}, load {os.getloadavg()[0]:.1f}")
    if options.slow:
        found: Any = with_a_slow_worker(options)
    else:
        found = []
        for row in rows_of(options):
            found.append(row)
            report(row)
    if options.output:
        write_json(options.output, {"options": {**asdict(options), "output": ""}, "found": found})


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
