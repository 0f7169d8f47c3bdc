"""How DPPO scales: the constants of its model on this machine, and the model held against runs with 1, 2 and 4 workers.

    python examples/benchmarks/scaling.py                    # processes; some three minutes
    python examples/benchmarks/scaling.py --engine ray
    python examples/benchmarks/scaling.py --slow             # what a worker ten times as slow costs

The model of one update, with K steps of Adam (docs/scaling.md):

    update = collect + K (gradient + W exchange + step),     exchange = latency + bytes / bandwidth

`collect` and `gradient` are one worker's, times max(1, W / cores) where the workers share a machine.
Prints tables for docs/scaling.md, and JSON with --output.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import tyro

from minipg import DPPO, DPPOConfig
from minipg.algorithms import dppo
from minipg.algorithms.dppo_worker import Part, Worker
from minipg.algorithms.optimizers import adam_step, mean, new_adam
from minipg.runtime.backend import Backend
from minipg.runtime.files import write_json
from minipg.runtime.threads import OneBlasThread, available_threads

ENV = "CartPole-v1"
BASE = DPPOConfig(num_envs=8, n_steps=256, n_epochs=4, vf_epochs=4, minibatch_size=512, vf_minibatch_size=512)
CASES = {"64-64": replace(BASE, hidden=(64, 64)), "256-256": replace(BASE, hidden=(256, 256))}
PAPER = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)  # workers, one core each
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
    latency: float  # of one call and its answer
    per_byte: float
    bytes: int  # of one call and its answer
    step: float  # the chief's Adam, of the policy and of the critic
    step_per_worker: float  # the chief's share of the mean
    steps: int  # of Adam, in an update


class Echo:
    """A worker that returns what it was sent."""

    def __init__(self, number: int) -> None:
        self.number = number

    def echo(self, *arrays: Any) -> Any:
        return arrays


def seconds_of(call: Callable[[], Any], at_least: float = 0.3) -> float:
    """The median time of a call."""
    call()
    times: list[float] = []
    while sum(times) < at_least or len(times) < 5:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return median(times)


def exchange(engine: Any, arrays: list[Any]) -> float:
    """The time of a call of every worker and of all answers, divided by the number of workers."""

    def call() -> None:
        for worker in range(engine.workers):
            engine.submit(worker, "echo", *arrays)
        for _ in range(engine.workers):
            engine.next()

    return seconds_of(call) / engine.workers


def transport(options: Options) -> tuple[float, float]:
    """(latency, seconds per byte) of a call and its answer, from small and from large arrays."""
    config = replace(BASE, workers=2, engine=options.engine)
    engine: Any = dppo._engine(config, Echo)  # type: ignore[arg-type]
    small, large = np.zeros(16, np.float32), np.zeros(250_000, np.float32)
    latency = exchange(engine, [small])
    per_byte = (exchange(engine, [large]) - latency) / (2 * large.nbytes)
    engine.close()
    return latency, max(per_byte, 0.0)


def constants(config: DPPOConfig, latency: float, per_byte: float) -> Constants:
    """What one worker and the chief take, alone on the machine."""
    agent, worker = DPPO(ENV, seed=0, config=config, threads=1), Worker(ENV, config, "numba")
    theta, value = agent.theta, agent.value.theta
    terms, part = config.terms(1.0, 0.0), Part(0, 0)
    collect = seconds_of(lambda: worker.collect(0, 0, theta, value, {}))
    gradient = seconds_of(lambda: worker.gradient(0, part, theta, terms, part, value))
    backend, sizes = Backend("numba", 1), (theta, value)

    def step(workers: int) -> float:
        gradients = [[np.ones_like(x) for _ in range(workers)] for x in sizes]
        adams = [new_adam(x) for x in sizes]
        with OneBlasThread():
            return seconds_of(
                lambda: [
                    adam_step(backend, x, adam, mean(g), 1e-3, 0.5)
                    for x, adam, g in zip(sizes, adams, gradients, strict=True)
                ]
            )

    one, nine = step(1), step(9)
    number = len(dppo._minibatches(config, config.num_envs * config.n_steps))
    sent = 2 * (theta.nbytes + value.nbytes)
    return Constants(collect, gradient, latency, per_byte, sent, one, max((nine - one) / 8, 0.0), number)


def update_seconds(c: Constants, workers: int, cores: float) -> float:
    """The model."""
    crowd = max(1.0, workers / cores)
    exchanged = workers * (c.latency + c.bytes * c.per_byte)
    step = c.step + (workers - 1) * c.step_per_worker
    return c.collect * crowd + workers * c.latency + c.steps * (c.gradient * crowd + exchanged + step)


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
    cores, (latency, per_byte) = available_threads(), transport(options)
    for name, base in CASES.items():
        c = constants(base, latency, per_byte)
        batch = base.num_envs * base.n_steps
        predicted = {w: w * batch / update_seconds(c, w, cores) for w in (1, 2, 4)}
        measured = {w: rate(replace(base, workers=w, engine=options.engine), options.seconds) for w in predicted}
        paper = {w: update_seconds(c, 1, w) * w / update_seconds(c, w, w) for w in PAPER}
        yield {"network": name, "constants": c._asdict(), "predicted": predicted, "measured": measured, "paper": paper}


def report(row: dict[str, Any]) -> None:
    """Print one network's figures."""
    c = Constants(**row["constants"])
    micro = lambda x: f"{1e6 * x:,.0f} µs"
    print(f"\n{row['network']}: collect {micro(c.collect)}, gradient {micro(c.gradient)}, latency {micro(c.latency)}, "
          f"{c.bytes / 1e3:,.0f} kB at {1e-9 / c.per_byte if c.per_byte else np.inf:.2f} GB/s, Adam {micro(c.step)} "
          f"+ {micro(c.step_per_worker)} a worker, {c.steps} steps")  # fmt: skip
    print("| workers | model, steps/s | measured | measured / model |\n|---|---|---|---|")
    for workers, predicted in row["predicted"].items():
        measured = row["measured"][workers]
        print(f"| {workers} | {predicted:,.0f} | {measured:,.0f} | {measured / predicted:.2f} |")
    print("speed-up, one core a worker: " + ", ".join(f"{w}: {x:.1f}" for w, x in row["paper"].items()))


class Slowed:
    """A worker whose every call takes SLOWNESS times as long."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._worker, name)

        def call(*args: Any) -> Any:
            began = time.perf_counter()
            answer = method(*args)
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
