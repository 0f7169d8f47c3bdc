"""Final scores of every algorithm on every environment, over seeds: runs, a table and a picture.

    python examples/benchmarks/scores.py run [--algorithms trpo ppo] [--envs CartPole-v1] [--seeds 0 1 2] [--again]
    python examples/benchmarks/scores.py table        # the table, and scores.png, from the runs on file

Every run trains with the preset of its environment, then plays 20 whole episodes deterministically. What it scored is
one JSON line in scores/runs.jsonl, written when the run ends: a stopped script goes on where it stopped, and a run
whose settings have changed since is made again. What a change of the code does to a score is seen in no setting: with
--again, the runs that are asked for are taken off the file first. `Ours` is the mean over seeds ± their standard
deviation.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from resumable import make, rows_on_file

FOLDER = Path(__file__).parent / "scores"
RUNS, PICTURE, TABLE = FOLDER / "runs.jsonl", FOLDER / "scores.png", FOLDER / "scores.md"
EPISODES, POINTS = 20, 60


class Goal(NamedTuple):
    """What an algorithm is to reach: the best published score, or near it, after so many steps."""

    score: float
    steps: int
    seeds: int = 0  # 0: as many as the environment's other algorithms


# environment: seeds, and the goal of each algorithm
K, M = 1_000, 1_000_000
GOALS: dict[str, tuple[int, dict[str, Goal]]] = {
    "CartPole-v1": (10, {"reinforce": Goal(475, 500 * K), "a2c": Goal(490, 300 * K), "a3c": Goal(475, 300 * K),
                         "npg": Goal(490, 100 * K),
                         "trpo": Goal(500, 100 * K), "ppo": Goal(500, 100 * K), "dppo": Goal(500, 100 * K)}),
    "Acrobot-v1": (10, {"reinforce": Goal(-100, 500 * K), "a2c": Goal(-84, 500 * K), "a3c": Goal(-100, 500 * K),
                        "npg": Goal(-85, 100 * K),
                        "trpo": Goal(-83, 100 * K), "ppo": Goal(-80, 200 * K)}),
    "MountainCar-v0": (10, {"a2c": Goal(-111, M), "npg": Goal(-110, 200 * K), "trpo": Goal(-107, 100 * K),
                            "ppo": Goal(-110, M)}),
    "MountainCarContinuous-v0": (10, {"a2c": Goal(91, 100 * K), "npg": Goal(92, 100 * K), "trpo": Goal(92.5, 50 * K),
                                      "ppo": Goal(92, 50 * K), "ddpg": Goal(93, 300 * K, 3),
                                      "td3": Goal(93, 300 * K, 3)}),
    "Pendulum-v1": (10, {"a2c": Goal(-165, M), "npg": Goal(-175, 200 * K), "trpo": Goal(-170, 100 * K),
                         "ppo": Goal(-170, 100 * K), "ddpg": Goal(-155, 20 * K, 5), "td3": Goal(-155, 20 * K, 5)}),
    "LunarLanderContinuous-v3": (3, {"ddpg": Goal(230, 300 * K), "td3": Goal(207, 300 * K)}),
    "LunarLander-v3": (5, {"a2c": Goal(156, M), "npg": Goal(150, 500 * K, 10), "trpo": Goal(200, 500 * K, 10),
                           "ppo": Goal(242, M)}),
    "Hopper-v5": (5, {"reinforce": Goal(396, M), "a2c": Goal(1253, M), "a3c": Goal(1253, M), "npg": Goal(1915, M),
                      "trpo": Goal(3372, M),
                      "ppo": Goal(2609, M), "td3": Goal(3305, M, 3)}),
    "HalfCheetah-v5": (5, {"a2c": Goal(1830, M), "npg": Goal(3485, M), "trpo": Goal(4471, M), "ppo": Goal(5784, M, 10),
                           "ddpg": Goal(10374, M, 2), "td3": Goal(9533, M, 3)}),
    "Walker2d-v5": (5, {"a2c": Goal(1092, M), "npg": Goal(2503, M), "trpo": Goal(4502, M), "ppo": Goal(3589, M),
                        "td3": Goal(4565, M, 3)}),
    "Swimmer-v5": (5, {"trpo": Goal(359, M), "ppo": Goal(282, M), "td3": Goal(355, M, 3)}),
    "Ant-v5": (3, {"a2c": Goal(3485, M), "npg": Goal(2358, M), "trpo": Goal(3554, M), "ppo": Goal(3258, M),
                   "td3": Goal(4185, M, 2)}),
    "InvertedPendulum-v5": (5, {"trpo": Goal(1000, M), "ppo": Goal(1000, M), "td3": Goal(982, 300 * K, 3)}),
    "InvertedDoublePendulum-v5": (5, {"trpo": Goal(8435, M), "ppo": Goal(9231, M, 10),
                                       "td3": Goal(8745, 300 * K, 3)}),
    "Reacher-v5": (5, {"trpo": Goal(-5.1, M), "ppo": Goal(-4.1, M), "td3": Goal(-4.1, 300 * K, 3)}),
}  # fmt: skip


class Run(NamedTuple):
    """One training run: what tells it from every other."""

    algorithm: str
    env: str
    seed: int
    steps: int
    config: str


def wanted(options: argparse.Namespace) -> Iterator[Run]:
    """The runs asked for, seed by seed, so that a stopped script has something of everything."""
    from minipg import ALGORITHMS
    from minipg.algorithms.presets import preset_for

    for seed in options.seeds or range(max(seeds for seeds, _ in GOALS.values())):
        for env, (seeds, goals) in GOALS.items():
            for algorithm, goal in goals.items():
                if options.envs and env not in options.envs:
                    continue
                if options.algorithms and algorithm not in options.algorithms:
                    continue
                if options.seeds or seed < (goal.seeds or seeds):
                    config = ALGORITHMS[algorithm].Config(**preset_for(ALGORITHMS[algorithm], env))
                    settings = json.dumps(dataclasses.asdict(config), sort_keys=True)
                    yield Run(algorithm, env, seed, goal.steps, settings)


def play(run: Run) -> dict[str, Any]:
    """Train and evaluate; runs in a process of its own."""
    from minipg import ALGORITHMS
    from minipg.runs import evaluate

    rows: list[tuple[int, float]] = []
    algorithm = ALGORITHMS[run.algorithm]
    agent = algorithm(run.env, seed=run.seed, config=algorithm.Config(**json.loads(run.config)), threads=1)
    began = time.perf_counter()
    agent.learn(run.steps, on_update=lambda _, row: rows.append((row["steps"], row["mean_return"])), progress=False)
    seconds = time.perf_counter() - began
    every = max(1, len(rows) // POINTS)
    curve = [[steps, round(mean, 2)] for steps, mean in rows[every - 1 :: every] if math.isfinite(mean)]
    score = evaluate(agent, EPISODES)
    return {**score, **run._asdict(), "seconds": round(seconds, 1), "curve": curve}  # the seed is the run's


def on_file() -> dict[Run, dict[str, Any]]:
    """Every run that has been made, by what tells it from the others; a torn last line is passed over."""
    from minipg import ALGORITHMS, MinipgError

    made = {}
    for row in rows_on_file(RUNS):
        try:  # a setting that the line does not know yet had its default
            config = ALGORITHMS[row["algorithm"]].Config(**json.loads(row["config"]))
        except (MinipgError, TypeError):
            continue
        row["config"] = json.dumps(dataclasses.asdict(config), sort_keys=True)
        made[Run(*(row[name] for name in Run._fields))] = row
    return made


def forget(runs: set[Run]) -> None:
    """Have the file without these runs."""
    from minipg.runtime.storage import write_whole

    kept = "".join(json.dumps(row) + "\n" for run, row in on_file().items() if run not in runs)
    write_whole(RUNS, lambda file: file.write(kept.encode()))


def run_all(options: argparse.Namespace) -> None:
    """Make what is missing, `jobs` at a time, and append each as it ends."""
    if options.again:
        forget(set(wanted(options)))
    made = on_file()
    todo = [run for run in wanted(options) if run not in made]
    make(
        todo, play, RUNS, options.jobs,
        lambda run, row: f"{run.algorithm} {run.env} seed {run.seed}: {row['mean_return']:.1f} "
        f"(goal {GOALS[run.env][1][run.algorithm].score:g})",
    )  # fmt: skip


def scored(options: argparse.Namespace) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The runs on file with today's settings, by environment and algorithm."""
    made, found = on_file(), {}
    for run in wanted(options):
        if run in made:
            found.setdefault((run.env, run.algorithm), []).append(made[run])
    return found


def table(runs: dict[tuple[str, str], list[dict[str, Any]]]) -> str:
    """Markdown: a line for each environment and algorithm."""
    lines = [
        "| environment | algorithm | steps | goal | ours | seeds, each | minutes |",
        "|---|---|--:|--:|--:|---|--:|",
    ]
    for (env, algorithm), rows in runs.items():
        goal = GOALS[env][1][algorithm]
        seeds = goal.seeds or GOALS[env][0]
        scores = np.array([row["mean_return"] for row in rows])
        mark = "" if scores.mean() >= goal.score else " ✗"
        each = ", ".join(f"{score:.{1 if abs(score) < 10 else 0}f}" for score in scores)
        each += f" ({len(rows)} of {seeds})" * (len(rows) < seeds)
        lines.append(
            f"| {env} | {algorithm} | {goal.steps:,} | {goal.score:g} | {scores.mean():.1f} ± {scores.std():.1f}{mark} "
            f"| {each} | {np.mean([row['seconds'] for row in rows]) / 60:.1f} |"
        )
    return "\n".join(lines) + "\n"


def picture(runs: dict[tuple[str, str], list[dict[str, Any]]]) -> None:
    """Learning curves: the interquartile mean over seeds and its bootstrap interval, a panel for each environment."""
    from minipg.runs.curves import Curve, draw_curves

    draw_curves(
        [Curve(row["algorithm"], row["env"], row["seed"], *np.transpose(row["curve"]))
         for rows in runs.values() for row in rows],
        PICTURE,
    )  # fmt: skip


def main() -> None:
    """Run, or render."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"))
    parser.add_argument("--algorithms", nargs="+", default=[])
    parser.add_argument("--envs", nargs="+", default=[], choices=[*GOALS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="take these runs off the file first")
    options = parser.parse_args()
    if options.command == "run":
        run_all(options)
        return
    runs = scored(options)
    if not runs:
        parser.error(f"no run with today's settings in {RUNS}")
    rendered = table(runs)
    TABLE.write_text(rendered, encoding="utf-8")
    picture(runs)
    print(rendered)


if __name__ == "__main__":
    main()
