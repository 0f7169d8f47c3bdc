"""The compiled environments: which ids they stand for, and names of their own, such as minipg/CartPole-v1."""

from __future__ import annotations

import gymnasium as gym

from minipg.kernels.cpu.classic_control import PROBLEMS

_NAMESPACE = "minipg/"
_GYMNASIUM = "gymnasium.envs.classic_control."


def register() -> None:
    """Tell Gymnasium of them, once. None of them is imported until it is made."""
    for name, problem in PROBLEMS.items():
        if _NAMESPACE + name not in gym.registry:
            gym.register(
                _NAMESPACE + name,
                entry_point="minipg.envs.compiled:CompiledEnv",
                vector_entry_point="minipg.envs.compiled:CompiledVectorEnv",
                max_episode_steps=problem.time_limit,
                reward_threshold=problem.solved,
                kwargs={"name": name},
            )


def compiled_name(env_id: str) -> str | None:
    """The compiled problem that is the environment of this id, or None.

    An id of Gymnasium's counts only as long as it means what Gymnasium registered: anyone may register it again.
    """
    name = env_id.removeprefix(_NAMESPACE)
    spec = gym.registry.get(env_id)
    if name not in PROBLEMS or spec is None:
        return None
    if name == env_id:
        ours = spec.max_episode_steps == PROBLEMS[name].time_limit and not spec.kwargs and not spec.additional_wrappers
        return name if ours and str(spec.entry_point).startswith(_GYMNASIUM) else None
    return name
