"""Environments in processes of their own, for those whose steps are slow."""

from __future__ import annotations

import multiprocessing
from functools import partial
from typing import Any

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, AutoresetMode


def in_processes(env: gym.Env[Any, Any], num_envs: int) -> AsyncVectorEnv:
    """`num_envs` environments made as `env` was, which is closed; each in a process, reset in the same step.

    The processes begin anew rather than as a fork, which would copy locks without the threads that hold them. As
    with everything of that kind, a script has to guard its own start with `if __name__ == "__main__":`.
    """
    spec = env.spec
    assert spec is not None  # gymnasium.make leaves it there
    env.close()
    context = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    make = partial(gym.make, spec, disable_env_checker=True)
    return AsyncVectorEnv([make] * num_envs, copy=False, context=context, autoreset_mode=AutoresetMode.SAME_STEP)
