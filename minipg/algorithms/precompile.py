"""What compiles an update's kernels without an environment, so that another process can.

An update on made-up experience, or, of many updates in one call, the kernels by themselves.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np

from minipg.algorithms.agent import Agent
from minipg.algorithms.compiled import CompiledAgent
from minipg.algorithms.compiled_updates import CompiledUpdates
from minipg.envs.problems import Problem
from minipg.rollout import Batch
from minipg.runtime.backend import Backend

_OF_ENVIRONMENTS = ("envs", "observations", "actions", "_collector", "_snapshots", "_compiled")
_ROWS = 256


class Stage(NamedTuple):
    """What kernels are told of compiled environments."""

    problem: Problem
    time_limit: int
    inputs: tuple[Any, ...]

    def in_kernels(self) -> tuple[Any, ...]:
        """As the environments' own."""
        return self.inputs


def understudy(agent: Agent[Any]) -> Agent[Any]:
    """A copy on one thread, so that it compiles the policy's side of an update first, and without environments.

    What kernels are told of compiled ones goes with it.
    """
    twin = object.__new__(type(agent))
    parts = {name: part for name, part in vars(agent).items() if name not in _OF_ENVIRONMENTS}
    vars(twin).update(copy.deepcopy(parts, {id(agent.backend): Backend(agent.backend.name, 1)}))
    if isinstance(agent, CompiledAgent) and agent._compilable() and agent._in_kernels.own(agent) is not None:
        envs: Any = agent.envs
        twin.envs = Stage(envs.problem, envs.time_limit, envs.in_kernels())  # type: ignore[assignment]
    return twin


def rehearse(agent: Agent[Any]) -> None:
    """One update of an understudy, on few rows of the types that a rollout's have; or the kernels that make it."""
    if isinstance(agent, CompiledAgent) and isinstance(getattr(agent, "envs", None), Stage):
        own = agent._in_kernels.own(agent)
        assert own is not None
        CompiledUpdates(agent, own).compile((2, 1, 3, 0))  # first what the run itself compiles last
    else:
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
        rng.standard_normal((steps, envs)).astype(dtype), ended, flag, ~flag, flag,
        obs[-1], obs[-1][:0], np.zeros(0, np.int64), np.zeros(envs), np.full(envs, steps, np.int64),
    )  # fmt: skip
