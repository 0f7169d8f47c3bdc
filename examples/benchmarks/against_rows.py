"""The rows of against.py, and how one of them is measured with whichever minipg is imported.

    python against_rows.py ROW THREADS SCALE       # one sample: JSON on standard output

Only public names that every version has are used here: the algorithms' classes, `learn`, `fisher_operator`, policies.
Settings that a row does not name have their defaults, which each sample reports.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

_PPO: dict[str, Any] = {
    "gamma": 0.99, "gae_lambda": 0.95, "hidden": (64, 64), "activation": "tanh", "objective": "clip",
    "clip_range": 0.2, "clip_schedule": "constant", "learning_rate": 3e-4, "vf_learning_rate": 1e-3,
    "schedule": "constant", "ent_coef": 0.0, "max_grad_norm": 0.5, "normalize_advantage": True,
}  # fmt: skip


class Row(NamedTuple):
    """An algorithm, its whole settings, and the environment steps of a sample; or a Fisher product, and its calls."""

    algorithm: str
    settings: dict[str, Any]
    amount: int


ROWS = {
    "ppo-4x128": Row(
        "PPO",
        {**_PPO, "num_envs": 4, "n_steps": 128, "n_epochs": 4, "minibatch_size": 128, "vf_epochs": 4,
         "vf_minibatch_size": 128},
        500_000,
    ),
    "ppo-8x256": Row(
        "PPO",
        {**_PPO, "num_envs": 8, "n_steps": 256, "n_epochs": 10, "minibatch_size": 256, "vf_epochs": 10,
         "vf_minibatch_size": 256},
        250_000,
    ),
    "trpo-8x256": Row(
        "TRPO",
        {"num_envs": 8, "n_steps": 256, "gamma": 0.99, "gae_lambda": 0.95, "hidden": (64, 64), "activation": "tanh",
         "max_kl": 0.01, "damping": 0.1, "cg_iters": 15, "fisher_subsample": 1, "backtrack_coeff": 0.8,
         "backtrack_iters": 10, "vf_optimizer": "adam", "vf_learning_rate": 1e-3, "vf_epochs": 10,
         "vf_minibatch_size": 128, "normalize_advantage": True},
        200_000,
    ),
    "a2c-8x5": Row(
        "A2C",
        {"num_envs": 8, "n_steps": 5, "gamma": 0.99, "gae_lambda": 1.0, "hidden": (64, 64), "activation": "tanh",
         "learning_rate": 7e-4, "vf_learning_rate": 7e-4, "schedule": "constant", "ent_coef": 0.0,
         "max_grad_norm": 0.5, "rms_decay": 0.99, "rms_epsilon": 1e-5, "normalize_advantage": False},
        1_000_000,
    ),
    "fisher-64": Row("Fisher", {"sizes": (11, 64, 64, 3), "rows": 2048, "activation": "tanh"}, 1500),
    "fisher-256": Row("Fisher", {"sizes": (17, 256, 256, 6), "rows": 16384, "activation": "tanh"}, 24),
}  # fmt: skip
ENV, SEED = "CartPole-v1", 0


class Sample(NamedTuple):
    """Environment steps or products a second, by the clock and by the processor's time, of the minipg at `path`."""

    rate: float
    processor_rate: float
    path: str
    settings: dict[str, Any]


Seconds = tuple[float, float]  # by the clock, and of the processor in all threads


def measure(name: str, threads: int, scale: float) -> Sample:
    """One sample of a row on so many threads, compiled and warm, of `scale` times as many steps as usual."""
    import minipg

    row = ROWS[name]
    amount = max(int(row.amount * scale), 1)
    done, seconds, settings = (_product if row.algorithm == "Fisher" else _training)(row, threads, amount)
    return Sample(done / seconds[0], done / seconds[1], str(minipg.__file__), settings)


def _training(row: Row, threads: int, steps: int) -> tuple[int, Seconds, dict[str, Any]]:
    """The environment steps that `learn` took, and its time; two updates before are not counted."""
    import minipg

    kind, config = getattr(minipg, row.algorithm), getattr(minipg, f"{row.algorithm}Config")(**row.settings)
    agent = kind(ENV, seed=SEED, config=config, threads=threads)
    agent.learn(2 * config.num_envs * config.n_steps, progress=False)
    first, seconds = agent.steps, _seconds(lambda: agent.learn(steps, progress=False))
    return agent.steps - first, seconds, dataclasses.asdict(agent.config)


def _product(row: Row, threads: int, calls: int) -> tuple[int, Seconds, dict[str, Any]]:
    """Fisher–vector products of a Gaussian policy in float32, over a forward pass made once, and their time."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    from minipg import MLP, Backend, GaussianPolicy, fisher_operator

    policy = GaussianPolicy(MLP(row.settings["sizes"], row.settings["activation"], Backend("numba", threads)))
    rng = np.random.default_rng(SEED)
    theta, v = 0.1 * rng.standard_normal((2, policy.layout.size), np.float32)
    obs = rng.standard_normal((row.settings["rows"], row.settings["sizes"][0]), np.float32)
    with threadpool_limits(1):  # as minipg does while it learns: its own threads use the cores
        product = fisher_operator(policy, theta, policy.forward(theta, obs))
        product(v)
        return calls, _seconds(lambda: [product(v) for _ in range(calls)]), row.settings


def _seconds(work: Callable[[], object]) -> Seconds:
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))._asdict()))
