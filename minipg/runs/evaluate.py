"""Evaluate an agent: the returns of whole episodes, with frozen statistics."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from minipg.algorithms import Agent
from minipg.checks import Array, as_int
from minipg.envs import closed_after, guarded, infos_of, make_vector, repeatable, resolve
from minipg.errors import EnvironmentFault

_SIDE_BY_SIDE = 8
MAX_STEPS = 100_000


def evaluate(
    agent: Agent[Any],
    episodes: int = 20,
    seed: int = 0,
    deterministic: bool = True,
    max_steps: int = MAX_STEPS,
    env: Any = None,
) -> dict[str, Any]:
    """Play `episodes` whole episodes. Returns mean, standard deviation, minimum and maximum of their returns.

    Nothing is learnt, running statistics neither. `seed` gives the environments seeds that no training uses.
    The environments are new ones like that of training, or `env`, in any form that an agent takes. Every environment
    plays a fixed share of the episodes, so that short ones do not count more often than long ones. Raises
    EnvironmentFault for an episode that has not ended after `max_steps`, and, without `env`, for an agent whose
    environment cannot be made again.
    """
    require_sense(episodes, seed, max_steps)
    config, given = agent.config, resolve(repeatable(agent.env) if env is None else env)
    borrowed = isinstance(given, gym.Env | VectorEnv)
    count, vec = (1, "auto") if borrowed else (min(episodes, _SIDE_BY_SIDE), config.vec)
    envs: VectorEnv[Any, Any, Any] = make_vector(given, count, vec, config.env_timeout, masks=agent.masked)
    agent.require_spaces(envs)
    if borrowed and given is agent.env:  # its episodes end here
        agent.forget_episodes()
    with nullcontext() if borrowed else closed_after(envs):
        return summary(agent, _returns(agent, envs, episodes, seed, deterministic, max_steps), seed)


def require_sense(episodes: int, seed: int, max_steps: int) -> None:
    """Raise ConfigError unless these are possible for an evaluation."""
    as_int("episodes", episodes, 1)
    as_int("seed", seed)
    as_int("max_steps", max_steps, 1)


def first_seed(seed: int) -> int:
    """The seed of the environments of an evaluation, which differs from all seeds of training."""
    return int(np.random.SeedSequence((seed, 1, 1)).generate_state(1)[0] >> 1)


def require_finite(obs: Array, rew: Array) -> None:
    """Raise EnvironmentFault for a number that is not finite.   obs (N, O), rew (N,)."""
    for what, values in (("observation", obs), ("reward", rew[:, None])):
        if bad := np.argwhere(~np.isfinite(values)).tolist():
            raise EnvironmentFault(f"{what} {values[tuple(bad[0])]} from environment {bad[0][0]} in evaluation")


def endless(number: int, max_steps: int) -> EnvironmentFault:
    """The error for environment `number`, whose episode is too long."""
    return EnvironmentFault(
        f"environment {number} has not ended its episode in {max_steps:,} steps of evaluation: whole episodes have to "
        "end; allow more (--max-steps), or set a time limit (max_episode_steps where it is registered)"
    )


def summary(agent: Agent[Any], returns: list[float], seed: int) -> dict[str, Any]:
    """The result of an evaluation, from the returns of its episodes."""
    values = np.array(returns)
    return {
        "env": agent.env_id,
        "episodes": len(returns),
        "seed": seed,
        "mean_return": float(values.mean()),
        "std_return": float(values.std()),
        "min_return": float(values.min()),
        "max_return": float(values.max()),
    }


def _returns(
    agent: Agent[Any], envs: VectorEnv[Any, Any, Any], episodes: int, seed: int, deterministic: bool, max_steps: int
) -> list[float]:
    n, returns = envs.num_envs, []
    left = np.array([episodes // n + (i < episodes % n) for i in range(n)])
    running, steps = np.zeros(n), np.zeros(n, np.int64)
    obs, _ = guarded("in evaluation", envs.reset, seed=first_seed(seed))
    require_finite(guarded("in evaluation", agent.observations.rows, obs, n), np.zeros(n))
    while left.any():
        act, _ = agent.predict(obs, deterministic)
        obs, rew, terminated, truncated, infos = guarded("in evaluation", envs.step, act)
        require_finite(guarded("in evaluation", agent.observations.rows, obs, n), np.asarray(rew))
        running += rew
        steps += 1
        for i in np.flatnonzero(terminated | truncated):
            if left[i]:
                returns.append(running[i])
                left[i] -= 1
            running[i], steps[i] = 0, 0
        for i in np.flatnonzero(infos_of(infos, n).get("minipg.dropped", False)):
            running[i], steps[i] = 0, 0
        if (long := np.flatnonzero((steps >= max_steps) & (left > 0))).size:
            raise endless(long[0], max_steps)
    return returns
