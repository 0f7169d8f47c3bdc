"""Compile an agent's kernels without its environments, for use in another process.

One update on made-up experience calls every kernel that the algorithm's update calls.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from minipg.algorithms.agent import Agent
from minipg.rollout import Batch
from minipg.runtime.backend import Backend

_OF_ENVIRONMENTS = ("env", "envs", "observations", "actions", "_collector", "_snapshots", "_engine", "_calls")
_ROWS = 256


def without_environments(agent: Agent[Any]) -> Agent[Any]:
    """A copy of the agent that can be pickled. It has one thread, so the policy's kernels are compiled first."""
    twin = object.__new__(type(agent))
    parts = {name: part for name, part in vars(agent).items() if name not in _OF_ENVIRONMENTS}
    vars(twin).update(copy.deepcopy(parts, {id(agent.backend): Backend(agent.backend.name, 1)}))
    return twin


def compile_update(agent: Agent[Any]) -> None:
    """Compile the kernels of an update: one update of `without_environments` on a few random rows."""
    agent._update(_made_up(agent), 0.0)


def _made_up(agent: Agent[Any]) -> Batch:
    policy, envs = agent.actor, min(agent.config.num_envs, _ROWS)
    steps = min(agent.config.n_steps, max(_ROWS // envs, 2))
    distribution, rng, dtype = policy.distribution, np.random.default_rng(0), agent.theta.dtype.type
    obs = rng.standard_normal((steps + 1, envs, policy.mlp.sizes[0])).astype(dtype)
    params = policy.forward(agent.theta, obs[:-1].reshape(steps * envs, -1)).params
    act = distribution.sample(params, distribution.noise(rng, (steps * envs,), dtype))
    flag = np.zeros((steps, envs), bool)
    ended = flag.copy()
    ended[-1] = True  # some algorithms learn from whole episodes only
    return Batch(
        obs[:-1], act.reshape(steps, envs, *act.shape[1:]), params.reshape(steps, envs, -1),
        rng.standard_normal((steps, envs)).astype(dtype), ended, flag, ~flag, flag, flag,
        obs[-1], obs[-1][:0], np.zeros(0, np.int64), np.zeros(envs), np.full(envs, steps, np.int64),
    )  # fmt: skip
