"""What A3C's workers gain, and what they lose, without a lock.

    python examples/benchmarks/asynchronous.py speed [--rounds 5] [--n-steps 5] [--num-envs 1] [--engine processes]
    python examples/benchmarks/asynchronous.py additions [--seconds 10]

`speed`: steps/s of compiled CartPole with one worker, with two, and of two independent runs of one worker side by side,
in turns; the last is what the machine allows. `additions`: two workers learn, and after every step each adds 1 to every
number of one more shared array, by the same instructions with which θ is changed. The sum tells how many were lost.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
import warnings
from functools import partial
from typing import Any

import numba
import numpy as np

from minipg import A3C
from minipg.algorithms.a3c import Worker
from minipg.algorithms.advantages import Samples
from minipg.checks import Array
from minipg.runtime.engine import ProcessEngine, ThreadEngine
from minipg.runtime.shared_arrays import SharedArrays, Spec

WARM, STEPS = 4000, 300_000


def learner(workers: int, options: argparse.Namespace) -> A3C:
    """An agent whose workers have been started and whose kernels have been loaded."""
    agent = A3C(
        "CartPole-v1", workers=workers, engine=options.engine, n_steps=options.n_steps, num_envs=options.num_envs
    )
    agent.learn(WARM)
    return agent


def rate(agent: A3C, steps: int) -> float:
    """Steps/s."""
    began = time.perf_counter()
    agent.learn(steps)
    return steps / (time.perf_counter() - began)


def side_by_side(options: argparse.Namespace) -> float:
    """Steps/s of two independent runs together: both are made first, and then begin at the same time."""
    flags = ["--n-steps", options.n_steps, "--num-envs", options.num_envs, "--engine", options.engine]
    command = [sys.executable, __file__, "one", *map(str, flags)]
    runs = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    pipes = [(run.stdin, run.stdout) for run in runs]
    for _, out in pipes:
        out.readline()
    for to, _ in pipes:
        to.write("go\n")
        to.flush()
    return sum(float(out.readline()) for _, out in pipes)


def speed(options: argparse.Namespace) -> None:
    """Print a line for each round, and the medians."""
    found = []
    for _ in range(options.rounds):
        one, two = (rate(learner(workers, options), workers * STEPS) for workers in (1, 2))
        apart = side_by_side(options)
        found.append((one, two / one, apart / one, two / apart))
        print(
            "one worker {:,.0f} steps/s; two {:.2f} ×, two runs {:.2f} ×; ratio {:.2f}".format(*found[-1]), flush=True
        )
    print(
        "medians: {:,.0f} steps/s; {:.2f} ×, {:.2f} ×; ratio {:.2f}".format(
            *map(statistics.median, zip(*found, strict=True))
        )
    )


@numba.njit(nogil=True)
def add_one(array: Array) -> None:
    """array + 1 in place, number by number."""
    for i in range(array.shape[0]):
        array[i] += 1


class Adding(Worker):
    """A worker that adds 1 to every number of one more array after each of its steps."""

    def __init__(self, number: int, *, sums: SharedArrays, **options: Any) -> None:
        super().__init__(number, **options)
        self._sums = sums

    def apply(self, samples: Samples) -> None:
        """See `Worker`."""
        super().apply(samples)
        add_one(self._sums.arrays[0])


def additions(options: argparse.Namespace) -> None:
    """Print the share of additions that were lost."""
    agent = learner(2, options)
    sums, engine = SharedArrays([Spec(agent.theta.shape, agent.theta.dtype.str)]), agent._engine
    make = partial(
        Adding, env="CartPole-v1", config=agent.config, seed=0, backend="numba", block=agent._block, sums=sums
    )
    engine.close()
    agent._engine = {"processes": ProcessEngine, "threads": ThreadEngine}[options.engine](make, 2)
    updates, until = 0, time.perf_counter() + options.seconds
    while time.perf_counter() < until:
        agent.learn(agent.config.interval)
        updates += int(agent._shared.updates.sum())
    missing = updates - sums.arrays[0].astype(np.int64)
    whole = updates * len(missing)
    print(f"{updates:,} updates of {len(missing):,} numbers: {missing.sum():,} of {whole:,} additions lost, "
          f"{missing.sum() / whole:.4%}; of one number at most {missing.max():,}")  # fmt: skip


def one(options: argparse.Namespace) -> None:
    """A run of one worker that waits for a line: what `side_by_side` starts."""
    agent = learner(1, options)
    print("ready", flush=True)
    sys.stdin.readline()
    print(rate(agent, STEPS), flush=True)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "linear schedules")
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=("speed", "additions", "one"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--n-steps", type=int, default=5)
    parser.add_argument("--num-envs", type=int, default=1)
    parser.add_argument("--engine", choices=("processes", "threads"), default="processes")
    chosen = parser.parse_args()
    {"speed": speed, "additions": additions, "one": one}[chosen.what](chosen)
