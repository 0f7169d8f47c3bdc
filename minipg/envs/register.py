"""The compiled environments under names of their own: gymnasium.make("minipg/CartPole-v1")."""

from __future__ import annotations

import gymnasium as gym

from minipg.kernels.cpu.classic_control import PROBLEMS

NAMESPACE = "minipg/"


def register() -> None:
    """Tell Gymnasium of them, once. Nothing is imported until one is made."""
    for name, problem in PROBLEMS.items():
        if NAMESPACE + name not in gym.registry:
            gym.register(
                NAMESPACE + name,
                entry_point="minipg.envs.compiled:CompiledEnv",
                vector_entry_point="minipg.envs.compiled:CompiledVectorEnv",
                max_episode_steps=problem.time_limit,
                reward_threshold=problem.solved,
                kwargs={"name": name},
            )
