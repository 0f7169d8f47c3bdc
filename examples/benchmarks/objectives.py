"""The table of objectives in the PPO paper (Schulman et al. 2017, table 1), measured again: runs, a table, a picture.

    pip install 'minipg-rl[mujoco]'
    python examples/benchmarks/objectives.py random       # the scores of random actions: 0 of the scale
    python examples/benchmarks/objectives.py run [--settings clip-0.2] [--envs Hopper-v5] [--seeds 0 1 2] [--jobs 2]
    python examples/benchmarks/objectives.py table        # objectives.md and objectives.png, from the runs on file

Eleven settings of the objective, seven environments, three seeds, a million steps each. A run's score is the mean
return of its last 100 episodes of training. The settings are the paper's: one environment, 2048 steps per update, 10
epochs of minibatches of 64, Adam with 3e-4, γ 0.99, λ 0.95, two hidden layers of 64 tanh, a critic of its own, log σ a
parameter that starts at 0, no entropy bonus. What the paper does not name is left out: observations and rewards are not
normalised, gradients are not clipped. Advantages are normalised in each batch, as the authors' code does: without that
a penalty's weight β would depend on the scale of an environment's rewards. The environments are Gymnasium's v5; the
paper's were of OpenAI Gym in 2017. Runs are made seed by seed, so a stopped script has something of every setting.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from resumable import make, rows_on_file

from minipg.runs.aggregates import Scores, estimate, mean, normalized, pooled

FOLDER = Path(__file__).parent / "objectives"
RUNS, RANDOM = FOLDER / "runs.jsonl", FOLDER / "random.json"
PICTURE, TABLE = FOLDER / "objectives.png", FOLDER / "objectives.md"
STEPS, SEEDS, EPISODES, POINTS = 1_000_000, (0, 1, 2), 100, 60
ENVS = tuple(f"{name}-v5" for name in ("HalfCheetah", "Hopper", "InvertedDoublePendulum", "InvertedPendulum",
                                       "Reacher", "Swimmer", "Walker2d"))  # fmt: skip
COMMON: dict[str, Any] = {
    "num_envs": 1, "vec": "gymnasium", "n_steps": 2048, "gamma": 0.99, "gae_lambda": 0.95, "hidden": (64, 64),
    "activation": "tanh", "log_std_init": 0.0, "learning_rate": 3e-4, "vf_learning_rate": 3e-4, "n_epochs": 10,
    "vf_epochs": 10, "minibatch_size": 64, "vf_minibatch_size": 64, "ent_coef": 0.0, "max_grad_norm": math.inf,
    "normalize_obs": False, "normalize_reward": False, "normalize_advantage": True,
}  # fmt: skip
# name → settings of the objective, and the paper's score
SETTINGS: dict[str, tuple[dict[str, Any], float]] = {
    "unclipped": ({"objective": "unclipped"}, -0.39),
    **{f"clip-{eps}": ({"objective": "clip", "clip_range": eps}, score)
       for eps, score in ((0.1, 0.76), (0.2, 0.82), (0.3, 0.70))},
    **{f"adaptive-kl-{target}": ({"objective": "adaptive-kl", "target_kl": target}, score)
       for target, score in ((0.003, 0.68), (0.01, 0.74), (0.03, 0.71))},
    **{f"kl-{beta:g}": ({"objective": "kl", "kl_coef": beta}, score)
       for beta, score in ((0.3, 0.62), (1.0, 0.71), (3.0, 0.72), (10.0, 0.69))},
}  # fmt: skip


class Run(NamedTuple):
    """One training run: what tells it from every other."""

    setting: str
    env: str
    seed: int
    steps: int
    config: str


def wanted(options: argparse.Namespace) -> Iterator[Run]:
    """The runs asked for, seed by seed."""
    from minipg.algorithms.ppo import PPOConfig

    for seed in options.seeds:
        for setting in options.settings:
            config = json.dumps(dataclasses.asdict(PPOConfig(**COMMON, **SETTINGS[setting][0])), sort_keys=True)
            yield from (Run(setting, env, seed, options.steps, config) for env in options.envs)


def play(run: Run) -> dict[str, Any]:
    """Train; runs in a process of its own."""
    from minipg import PPO

    rows: list[tuple[int, float]] = []
    agent = PPO(run.env, seed=run.seed, config=PPO.Config(**json.loads(run.config)), threads=1)
    began = time.perf_counter()
    agent.learn(run.steps, on_update=lambda _, row: rows.append((row["steps"], row["mean_return"])), progress=False)
    seconds = time.perf_counter() - began
    every = max(1, len(rows) // POINTS)
    curve = [[steps, round(mean, 2)] for steps, mean in rows[every - 1 :: every] if math.isfinite(mean)]
    return {**run._asdict(), "score": rows[-1][1], "seconds": round(seconds, 1), "curve": curve}


def on_file() -> dict[Run, dict[str, Any]]:
    """Every run that has been made, by what tells it from the others."""
    return {Run(*(row[name] for name in Run._fields)): row for row in rows_on_file(RUNS)}


def random_scores(episodes: int = EPISODES) -> dict[str, dict[str, float]]:
    """The mean return of uniformly random actions in each environment, and its standard deviation over episodes."""
    import gymnasium as gym

    found = {}
    for name in ENVS:
        env, returns = gym.make(name), np.zeros(episodes)
        env.action_space.seed(0)
        for episode in range(episodes):
            env.reset(seed=episode)
            ended = False
            while not ended:
                _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
                returns[episode] += float(reward)
                ended = terminated or truncated
        found[name] = {"mean": returns.mean(), "std": returns.std(), "episodes": episodes}
    return found


def best_run(results: Mapping[str, Scores]) -> dict[str, float]:
    """environment → the highest score of any run."""
    return _highest(results, np.max)


def best_setting(results: Mapping[str, Scores]) -> dict[str, float]:
    """environment → the highest mean over seeds of any setting."""
    return _highest(results, np.mean)


def _highest(results: Mapping[str, Scores], of: Any) -> dict[str, float]:
    envs = {env for scores in results.values() for env in scores}
    return {env: max(float(of(scores[env])) for scores in results.values() if env in scores) for env in envs}


READINGS = {"best run is 1": best_run, "best setting is 1": best_setting}


def table(results: Mapping[str, Scores], low: Mapping[str, float]) -> str:
    """Markdown: the score of each setting by both readings, beside the paper's, and the scores by environment."""
    scaled = [normalized(results, low, best(results)) for best in READINGS.values()]
    lines = ["| objective | paper | " + " | ".join(READINGS) + " | runs |", "|---" + "|--:" * (len(READINGS) + 2) + "|"]
    for name, scores in results.items():
        found = (estimate(mean, reading[name]) for reading in scaled)
        shown = " | ".join(f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})" for one in found)
        lines.append(f"| {name} | {SETTINGS[name][1]:.2f} | {shown} | {len(pooled(scores))} |")
    lines += ["", "| objective | " + " | ".join(ENVS) + " |", "|---|" + "--:|" * len(ENVS)]
    lines.append("| random | " + " | ".join(f"{low[env]:.1f}" for env in ENVS) + " |")
    for name, scores in results.items():
        cells = [f"{scores[env].mean():.1f} ± {scores[env].std():.1f}" if env in scores else "" for env in ENVS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def picture(results: Mapping[str, Scores], low: Mapping[str, float]) -> None:
    """A panel for each reading: each setting's score and interval, and the paper's figure."""
    from minipg.runs.pictures import BLUE, VERMILLION, legend_below
    from minipg.runs.pictures import picture as panels_of

    with panels_of(PICTURE, len(READINGS), columns=2, size=(5.4, 5.2)) as (_, panels):
        for panel, (title, best) in zip(panels, READINGS.items(), strict=True):
            scaled = normalized(results, low, best(results))
            for row, (name, scores) in enumerate(scaled.items()):
                found = estimate(mean, scores)
                panel.plot([found.low, found.high], [row, row], color=BLUE, lw=6, alpha=0.35, solid_capstyle="butt")
                panel.plot([found.value], [row], "o", color=BLUE, label="minipg, 95 % interval" if not row else None)
                panel.plot([SETTINGS[name][1]], [row], "D", color=VERMILLION, mfc="none",
                           label="paper" if not row else None)  # fmt: skip
            panel.set_yticks(range(len(scaled)), list(scaled))
            panel.invert_yaxis()
            panel.set(xlabel="score: random is 0", title=title)
            legend_below(panel, columns=2)


def scored(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """setting → environment → the scores of the runs on file with today's settings."""
    made, found = on_file(), {}
    for run in wanted(options):
        if run in made:
            found.setdefault(run.setting, {}).setdefault(run.env, []).append(made[run]["score"])
    return {name: {env: np.array(runs) for env, runs in scores.items()} for name, scores in found.items()}


def main() -> None:
    """Measure random actions, run, or render."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("random", "run", "table"))
    parser.add_argument("--settings", nargs="+", default=[*SETTINGS], choices=[*SETTINGS])
    parser.add_argument("--envs", nargs="+", default=[*ENVS], choices=ENVS)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    if options.command == "random":
        FOLDER.mkdir(exist_ok=True)
        RANDOM.write_text(json.dumps(random_scores(), indent=1) + "\n", encoding="utf-8")
    elif options.command == "run":
        made = on_file()
        todo = (run for run in wanted(options) if run not in made)
        make(todo, play, RUNS, options.jobs, lambda run, row: f"{run.setting} {run.env} {run.seed}: {row['score']:.1f}")
    else:
        results = scored(options)
        if not results or not RANDOM.exists():
            parser.error(f"no run with today's settings in {RUNS}, or no {RANDOM}")
        low = {env: score["mean"] for env, score in json.loads(RANDOM.read_text(encoding="utf-8")).items()}
        rendered = table(results, low)
        TABLE.write_text(rendered, encoding="utf-8")
        picture(results, low)
        print(rendered)


if __name__ == "__main__":
    main()
