"""The ids of the compiled environments: minipg/CartPole-v1 and so on, and the ids of Gymnasium's that they replace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from minipg.envs.problems import problem_of
from minipg.errors import ConfigError
from minipg.kernels.cpu.classic_control import PROBLEMS

_NAMESPACE = "minipg/"
_GYMNASIUM = "gymnasium.envs.classic_control."
_ENTRY_POINT = "minipg.envs.compiled:CompiledEnv"


def register() -> None:
    """Register the minipg/ ids with Gymnasium, once. The environments' module is imported when one is made."""
    for name, problem in PROBLEMS.items():
        if _NAMESPACE + name not in gym.registry:
            gym.register(
                _NAMESPACE + name, entry_point=_ENTRY_POINT, kwargs={"name": name},
                vector_entry_point="minipg.envs.compiled:CompiledVectorEnv",
                max_episode_steps=problem.time_limit, reward_threshold=problem.solved,
            )  # fmt: skip


def compiled_spec(name: str, time_limit: int, physics: dict[str, Any]) -> EnvSpec:
    """The specification of a vector of the compiled problem `name`, as `gymnasium.make_vec` leaves it."""
    spec = gym.registry[_NAMESPACE + name]
    kwargs = {**spec.kwargs, **physics, "vectorization_mode": "vector_entry_point"}
    return replace(spec, max_episode_steps=time_limit, kwargs=kwargs)


def compiled_arguments(env: Any) -> dict[str, Any] | None:
    """The arguments of the `CompiledVectorEnv` that equals an environment, an id or a recipe; None if there is none.

    An id of Gymnasium's counts only while it means a class of Gymnasium's: anyone may register it again.
    """
    spec = gym.registry.get(env) if isinstance(env, str) else getattr(env, "spec", None)
    if spec is None or getattr(env, "wrappers", None) or spec.additional_wrappers:
        return None
    name, limit = spec.id.removeprefix(_NAMESPACE), spec.max_episode_steps
    physics = {key: value for key, value in spec.kwargs.items() if key != "render_mode"}
    if name not in PROBLEMS or type(limit) is not int or not 1 <= limit < 2**63 or not spec.order_enforce:
        return None
    entry_point, own = str(spec.entry_point), name != spec.id
    if own and (entry_point != _ENTRY_POINT or physics.pop("name", None) != name):
        return None
    if not own and not entry_point.startswith(_GYMNASIUM):
        return None
    try:
        problem_of(name, physics)
    except ConfigError:
        if any(isinstance(value, str) or value is None for value in physics.values()):
            raise  # Gymnasium's class takes texts, and fails in a step
        return None
    return {"name": name, "max_episode_steps": limit, **physics}
