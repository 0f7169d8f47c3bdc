"""TRPO of sb3-contrib and PPO of stable-baselines3, with tuned settings, beside our scores on four MuJoCo environments.

    pip install 'minipg-rl[bench,mujoco]'
    python examples/benchmarks/beside_peer.py run [--algorithms trpo ppo] [--envs Hopper-v5] [--seeds 0 1 2] [--jobs 2]
    python examples/benchmarks/beside_peer.py table       # beside_peer.md and beside_peer.png, from the runs on file

The settings are those of RL Baselines3 Zoo for the v4 environments; `normalize` of the zoo is VecNormalize of
observations and rewards with the algorithm's γ. A run trains for a million steps on one thread, then plays 20 whole
episodes deterministically with frozen statistics, as scores.py does. Our runs are those of scores.py.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scores
from resumable import make, rows_on_file

FOLDER = Path(__file__).parent / "beside_peer"
RUNS, PICTURE, TABLE = FOLDER / "runs.jsonl", FOLDER / "beside_peer.png", FOLDER / "beside_peer.md"
STEPS, SEEDS = 1_000_000, (0, 1, 2)
PACKAGES = {"trpo": "sb3-contrib", "ppo": "stable-baselines3"}
ENVS = ("Hopper-v5", "HalfCheetah-v5", "Walker2d-v5", "Swimmer-v5")

_TRPO: dict[str, Any] = {
    "n_envs": 2, "n_steps": 1024, "batch_size": 128, "gamma": 0.99, "gae_lambda": 0.95, "sub_sampling_factor": 1,
    "cg_max_steps": 25, "cg_damping": 0.1, "n_critic_updates": 20, "learning_rate": 1e-3,
}  # fmt: skip
_WIDE: dict[str, Any] = {
    "n_envs": 1, "n_steps": 512,
    "policy_kwargs": {"log_std_init": -2, "ortho_init": False, "activation_fn": "ReLU",
                      "net_arch": {"pi": [256, 256], "vf": [256, 256]}},
}  # fmt: skip
# algorithm → environment → the zoo's settings
ZOO: dict[str, dict[str, dict[str, Any]]] = {
    "trpo": {
        "Hopper-v5": _TRPO,
        "HalfCheetah-v5": {**_TRPO, "target_kl": 0.04},
        "Walker2d-v5": _TRPO,
        "Swimmer-v5": {**_TRPO, "gamma": 0.9999},
    },
    "ppo": {
        "Hopper-v5": {**_WIDE, "batch_size": 32, "gamma": 0.999, "learning_rate": 9.80828e-05, "ent_coef": 0.00229519,
                      "clip_range": 0.2, "n_epochs": 5, "gae_lambda": 0.99, "max_grad_norm": 0.7, "vf_coef": 0.835671},
        "HalfCheetah-v5": {**_WIDE, "batch_size": 64, "gamma": 0.98, "learning_rate": 2.0633e-05,
                           "ent_coef": 0.000401762, "clip_range": 0.1, "n_epochs": 20, "gae_lambda": 0.92,
                           "max_grad_norm": 0.8, "vf_coef": 0.58096},
        # the zoo names no network for Walker2d and Swimmer: the package's 64-64 tanh
        "Walker2d-v5": {"n_envs": 1, "n_steps": 512, "batch_size": 32, "gamma": 0.99, "learning_rate": 5.05041e-05,
                        "ent_coef": 0.000585045, "clip_range": 0.1, "n_epochs": 20, "gae_lambda": 0.95,
                        "max_grad_norm": 1.0, "vf_coef": 0.871923},
        "Swimmer-v5": {"n_envs": 4, "n_steps": 1024, "batch_size": 256, "gamma": 0.9999, "learning_rate": 6e-4,
                       "gae_lambda": 0.98},
    },
}  # fmt: skip


class Run(NamedTuple):
    """One training run of the peer: what tells it from every other."""

    algorithm: str
    env: str
    seed: int
    steps: int
    settings: str


def wanted(options: argparse.Namespace) -> Iterator[Run]:
    """The runs asked for, seed by seed."""
    for seed in options.seeds:
        for env in options.envs:
            for algorithm in options.algorithms:
                settings = json.dumps(ZOO[algorithm][env], sort_keys=True)
                yield Run(algorithm, env, seed, options.steps, settings)


def play(run: Run) -> dict[str, Any]:
    """Train and evaluate the peer; runs in a process of its own."""
    import sb3_contrib
    import stable_baselines3
    import torch
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import VecNormalize

    from minipg.runs.evaluate import first_seed

    class Curve(BaseCallback):  # type: ignore[misc]
        """The mean return of the last 100 episodes, after each rollout."""

        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            returns = [episode["r"] for episode in self.model.ep_info_buffer]
            points.append((self.num_timesteps, float(np.mean(returns)) if returns else math.nan))

    torch.set_num_threads(1)
    points: list[tuple[int, float]] = []
    settings = json.loads(run.settings)
    if "policy_kwargs" in settings:
        settings["policy_kwargs"]["activation_fn"] = getattr(torch.nn, settings["policy_kwargs"]["activation_fn"])
    algorithm = {"trpo": sb3_contrib.TRPO, "ppo": stable_baselines3.PPO}[run.algorithm]
    envs = make_vec_env(run.env, n_envs=settings.pop("n_envs"), seed=run.seed)
    envs = VecNormalize(envs, gamma=settings["gamma"])
    agent = algorithm("MlpPolicy", envs, seed=run.seed, device="cpu", **settings)
    began = time.perf_counter()
    agent.learn(run.steps, callback=Curve())
    seconds = time.perf_counter() - began

    fresh = VecNormalize(make_vec_env(run.env, n_envs=8, seed=first_seed(0) % 2**31), training=False, norm_reward=False)
    fresh.obs_rms = envs.obs_rms
    returns, _ = evaluate_policy(agent, fresh, scores.EPISODES, deterministic=True, return_episode_rewards=True)
    every = max(1, len(points) // scores.POINTS)
    curve = [[steps, round(mean, 2)] for steps, mean in points[every - 1 :: every] if math.isfinite(mean)]
    package = PACKAGES[run.algorithm]
    return {
        **run._asdict(), "package": package, "version": version(package), "episodes": len(returns),
        "mean_return": float(np.mean(returns)), "std_return": float(np.std(returns)), "min_return": min(returns),
        "max_return": max(returns), "seconds": round(seconds, 1), "curve": curve,
    }  # fmt: skip


def on_file() -> dict[Run, dict[str, Any]]:
    """Every run of the peer that has been made, by what tells it from the others."""
    return {Run(*(row[name] for name in Run._fields)): row for row in rows_on_file(RUNS)}


Rows = dict[tuple[str, str], list[dict[str, Any]]]  # by environment and algorithm


def both(options: argparse.Namespace) -> tuple[Rows, Rows]:
    """(ours, theirs): the runs on file with today's settings."""
    made, theirs = on_file(), {}
    for run in wanted(options):
        if run in made:
            theirs.setdefault((run.env, run.algorithm), []).append(made[run])
    ours = scores.scored(argparse.Namespace(algorithms=options.algorithms, envs=options.envs, seeds=[]))
    return ours, theirs


def table(ours: Rows, theirs: Rows) -> str:
    """Markdown: a line for each environment and algorithm that the peer has runs of."""
    lines = ["| environment | algorithm | minipg | peer | minutes, minipg | minutes, peer |"]
    lines.append("|---|---|--:|--:|--:|--:|")
    for (env, algorithm), rows in theirs.items():
        cells, minutes = [], []
        for runs in (ours.get((env, algorithm), []), rows):
            returns = np.array([row["mean_return"] for row in runs])
            cells.append(f"{returns.mean():.0f} ± {returns.std():.0f} ({len(runs)} seeds)" if runs else "")
            minutes.append(f"{np.mean([row['seconds'] for row in runs]) / 60:.1f}" if runs else "")
        lines.append("| " + " | ".join([env, algorithm, *cells, *minutes]) + " |")
    versions = sorted({f"{row['package']} {row['version']}" for rows in theirs.values() for row in rows})
    return "\n".join(lines) + f"\n\nPeer: {', '.join(versions)}.\n"


def picture(ours: Rows, theirs: Rows) -> None:
    """Learning curves: the interquartile mean over seeds and its bootstrap interval, a panel for each environment."""
    from minipg.runs.curves import Curve, interquartile
    from minipg.runs.pictures import BLUE, ORANGE, SKY_BLUE, VERMILLION, label_steps, legend_below
    from minipg.runs.pictures import picture as panels_of

    envs = list(dict.fromkeys(env for env, _ in theirs))
    lines = {("trpo", "minipg"): BLUE, ("trpo", "peer"): SKY_BLUE, ("ppo", "minipg"): VERMILLION,
             ("ppo", "peer"): ORANGE}  # fmt: skip
    with panels_of(PICTURE, len(envs), columns=2, size=(5.4, 4.3)) as (figure, panels):
        for panel, env in zip(panels, envs, strict=True):
            for (algorithm, system), colour in lines.items():
                runs = (theirs if system == "peer" else ours).get((env, algorithm), [])
                curves = [Curve(algorithm, env, row["seed"], *np.transpose(row["curve"])) for row in runs]
                if curves:
                    band, name = interquartile(curves), PACKAGES[algorithm] if system == "peer" else system
                    label = f"{algorithm}, {name} ({len(curves)})"
                    panel.plot(band.steps, band.middle, color=colour, lw=2, label=label)
                    panel.fill_between(band.steps, band.low, band.high, color=colour, alpha=0.2, lw=0)
            panel.set(title=env, ylabel="return, last 100 episodes", xlim=(0, None))
            label_steps(panel)
            legend_below(panel, columns=2)
        figure.suptitle("Interquartile mean over seeds (their number), band: 95 % bootstrap interval", fontsize=13)


def main() -> None:
    """Run, or render."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"))
    parser.add_argument("--algorithms", nargs="+", default=[*ZOO], choices=[*ZOO])
    parser.add_argument("--envs", nargs="+", default=[*ENVS], choices=ENVS)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    if options.command == "run":
        made = on_file()
        todo = (run for run in wanted(options) if run not in made)
        make(todo, play, RUNS, options.jobs,
             lambda run, row: f"{run.algorithm} {run.env} seed {run.seed}: {row['mean_return']:.1f}")  # fmt: skip
        return
    ours, theirs = both(options)
    if not theirs:
        parser.error(f"no run with today's settings in {RUNS}")
    rendered = table(ours, theirs)
    TABLE.write_text(rendered, encoding="utf-8")
    picture(ours, theirs)
    print(rendered)


if __name__ == "__main__":
    main()
