"""Learning curves of minipg's TRPO beside sb3-contrib's, with the same settings: the picture in the README.

    pip install 'minipg-rl[bench]'
    python examples/benchmarks/curve_beside_peer.py run [--seeds 0 1 2] [--threads 1]    # train what is missing
    python examples/benchmarks/curve_beside_peer.py draw [--clock processor]             # the picture, from the file

Both train on CartPole-v1 with the settings of RL Baselines3 Zoo, seed by seed in turns, each run in a process of its
own. A run is one JSON line, appended when it ends, so a stopped script continues where it stopped. Seconds count from
the call of `learn`; imports are left out, and minipg's kernels are compiled before. The file also has seconds of
processor time, which other work on the machine hardly changes. A point is the mean return of the episodes that ended
during one update.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.runs.pictures import BLUE, VERMILLION, label_steps, picture

CLOCKS = {"wall": "seconds since learn() was called", "processor": "seconds of processor time"}
RUNS = Path(__file__).with_suffix(".jsonl")
PICTURE = Path(__file__).with_suffix(".png")
ENV, STEPS, NUM_ENVS, N_STEPS, GAMMA, GAE_LAMBDA = "CartPole-v1", 100_000, 2, 512, 0.99, 0.98
MAX_KL, DAMPING, CG_ITERS, VF_EPOCHS, VF_MINIBATCH_SIZE, VF_LEARNING_RATE = 0.01, 1e-3, 15, 20, 512, 1e-3
Point = tuple[int, float, float, float]  # steps, seconds, processor seconds, mean return of the update's episodes


class Clock:
    """Seconds, and seconds of processor time, since it was made."""

    def __init__(self) -> None:
        self.began = time.perf_counter(), time.process_time()

    def elapsed(self) -> tuple[float, float]:
        """(seconds, processor seconds)."""
        return time.perf_counter() - self.began[0], time.process_time() - self.began[1]


def train_minipg(seed: int, threads: int, steps: int = STEPS) -> list[Point]:
    """The learning curve of one run of minipg."""
    from minipg import TRPO, TRPOConfig

    config = TRPOConfig(
        num_envs=NUM_ENVS, n_steps=N_STEPS, gamma=GAMMA, gae_lambda=GAE_LAMBDA, max_kl=MAX_KL, damping=DAMPING,
        cg_iters=CG_ITERS, vf_epochs=VF_EPOCHS, vf_minibatch_size=VF_MINIBATCH_SIZE, vf_learning_rate=VF_LEARNING_RATE,
    )  # fmt: skip
    agent, points = TRPO(ENV, seed=seed, config=config, threads=threads), []
    clock = Clock()

    def on_update(_: Any, row: dict[str, Any]) -> None:
        points.append((row["steps"], *clock.elapsed(), row["batch_return"]))

    agent.learn(steps, on_update=on_update, progress=False)
    return points


def train_peer(seed: int, threads: int, steps: int = STEPS) -> list[Point]:
    """The learning curve of one run of sb3-contrib."""
    import torch
    from sb3_contrib import TRPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

    torch.set_num_threads(threads)
    envs = make_vec_env(ENV, n_envs=NUM_ENVS, seed=seed)
    agent = TRPO(
        "MlpPolicy", envs, seed=seed, device="cpu", n_steps=N_STEPS, gamma=GAMMA, gae_lambda=GAE_LAMBDA,
        target_kl=MAX_KL, cg_damping=DAMPING, cg_max_steps=CG_ITERS, n_critic_updates=VF_EPOCHS,
        batch_size=VF_MINIBATCH_SIZE, learning_rate=VF_LEARNING_RATE,
    )  # fmt: skip
    points: list[Point] = []

    class Curve(BaseCallback):  # type: ignore[misc]
        """A point after every update: when the next rollout starts, or training ends."""

        def __init__(self) -> None:
            super().__init__()
            self.returns: list[float] = []

        def _on_step(self) -> bool:
            self.returns += [info["episode"]["r"] for info in self.locals["infos"] if "episode" in info]
            return True

        def _on_rollout_start(self) -> None:
            if self.num_timesteps:
                mean = sum(self.returns) / len(self.returns) if self.returns else math.nan
                points.append((self.num_timesteps, *clock.elapsed(), mean))
                self.returns = []

        _on_training_end = _on_rollout_start

    clock = Clock()
    agent.learn(steps, callback=Curve())
    return points


SYSTEMS: dict[str, tuple[str, Callable[..., list[Point]], str]] = {
    "minipg": ("minipg-rl", train_minipg, BLUE),
    "sb3-contrib": ("sb3-contrib", train_peer, VERMILLION),
}


def on_file() -> dict[tuple[str, int, int], list[Point]]:
    """(system, seed, threads) → the curve of every finished run; an incomplete last line is skipped."""
    made = {}
    for line in RUNS.read_text(encoding="utf-8").splitlines() if RUNS.exists() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        made[row["system"], row["seed"], row["threads"]] = [tuple(point) for point in row["curve"]]
    return made


def in_a_process(train: Callable[..., list[Point]], *arguments: int) -> list[Point]:
    """Call it in a fresh process, so that no run finds what an earlier one left in memory."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(train, *arguments).result()


def run(seeds: list[int], threads: int) -> None:
    """Train every run that is not on file yet, and append each when it ends."""
    made = on_file()
    in_a_process(train_minipg, 0, threads, NUM_ENVS * N_STEPS)  # compiles the kernels
    for seed in seeds:
        for system, (package, train, _) in SYSTEMS.items():
            if (system, seed, threads) in made:
                continue
            curve = in_a_process(train, seed, threads)
            rounded = [(steps, round(wall, 3), round(cpu, 3), round(mean, 1)) for steps, wall, cpu, mean in curve]
            row = {"system": system, "version": version(package), "seed": seed, "threads": threads, "curve": rounded}
            with RUNS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            _, wall, cpu, mean = curve[-1]
            print(f"{system} seed {seed}: {wall:.1f} s, {cpu:.1f} s of processor time, return {mean:.0f}", flush=True)


def draw(threads: int, clock: str) -> None:
    """Mean and quartiles of the seeds, against steps and against seconds of that clock."""
    made = on_file()
    with picture(PICTURE, 2, columns=2, size=(4.8, 3.4)) as (figure, panels):
        for system, (_, _, colour) in SYSTEMS.items():
            runs = [curve for (name, _, count), curve in sorted(made.items()) if (name, count) == (system, threads)]
            if not runs:
                raise SystemExit(f"no run of {system} with {threads} threads in {RUNS}")
            steps, *times, returns = np.array(runs).transpose(2, 0, 1)  # every run has the same steps
            seconds = np.median(times[list(CLOCKS).index(clock)], axis=0)
            curves = np.stack([smoothed(row) for row in returns])
            mean, (low, high) = curves.mean(axis=0), np.percentile(curves, (25, 75), axis=0)
            for panel, x in zip(panels, (steps[0], seconds), strict=True):
                panel.plot(x, mean, color=colour, lw=2, label=system)
                panel.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)
            end = {"xytext": (5, 0), "textcoords": "offset points", "va": "center", "color": colour}
            panels[1].annotate(f"{seconds[-1]:.2g} s", (seconds[-1], mean[-1]), **end)
            wall, cpu = (np.median(part[:, -1]) for part in times)
            print(f"{system}: median {wall:.1f} s, {cpu:.1f} s of processor time, mean return {mean[-1]:.0f}")
        panels[0].set(ylabel="return of an episode", xlim=(0, STEPS))
        label_steps(panels[0])
        panels[0].legend(loc="lower right")
        panels[1].set(xlabel=CLOCKS[clock], xscale="log", xlim=(None, 2 * seconds[-1]))
        panels[1].xaxis.set_major_formatter("{x:g}")
        each = f"{threads} thread{'s' * (threads > 1)} each"
        figure.suptitle(f"TRPO on {ENV}, {STEPS:,} steps: mean and quartiles of {len(runs)} seeds, {each}", fontsize=13)


def smoothed(returns: Array, window: int = 5) -> Array:
    """The mean over the last updates in which an episode ended, at most `window`.   (U,) → (U,)."""
    ended = ~np.isnan(returns)
    known = returns[ended]
    means = np.array([known[max(0, k + 1 - window) : k + 1].mean() for k in range(len(known))])
    return means[np.maximum(ended.cumsum() - 1, 0)]


def main() -> None:
    """Run, or draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "draw"))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(10)))
    parser.add_argument("--threads", type=int, default=1, help="of each system")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="of the picture")
    options = parser.parse_args()
    if options.command == "run":
        run(options.seeds, options.threads)
    else:
        draw(options.threads, options.clock)


if __name__ == "__main__":
    main()
