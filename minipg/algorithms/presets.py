"""Settings that work, by algorithm and environment. A field that is not named keeps the config's own default."""

from __future__ import annotations

from typing import Any

from minipg.errors import unknown_name

_MUJOCO: dict[str, Any] = {
    "num_envs": 2, "n_steps": 1024, "gae_lambda": 0.95, "cg_iters": 25, "damping": 0.1,
    "vf_epochs": 20, "normalize_obs": True, "normalize_reward": True,
}  # fmt: skip

_NORMALIZED: dict[str, Any] = {"normalize_obs": True, "normalize_reward": True}

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "reinforce": {"default": {}},
    "vpg": {"default": {}},
    "a2c": {"default": {}},
    "npg": {"default": {}},
    "trpo": {
        "default": {},
        "mujoco": _MUJOCO,
        "CartPole-v1": {"num_envs": 8, "n_steps": 256, "gae_lambda": 0.98, "damping": 1e-3, "vf_epochs": 20,
                        "vf_minibatch_size": 512},
        "Acrobot-v1": {"num_envs": 2, "n_steps": 1024, "normalize_obs": True, "normalize_reward": True},
        "MountainCar-v0": {"num_envs": 2, "n_steps": 1024, "vf_epochs": 20, "normalize_obs": True,
                           "normalize_reward": True},
        "Pendulum-v1": {"num_envs": 2, "n_steps": 1024, "gamma": 0.9, "vf_epochs": 15},
        "LunarLander-v3": {"num_envs": 2, "n_steps": 512, "gae_lambda": 0.98, "damping": 0.01, "vf_epochs": 15},
        "Hopper-v5": {**_MUJOCO, "gamma": 0.995, "gae_lambda": 0.97, "log_std_init": -0.5},
        "HalfCheetah-v5": {**_MUJOCO, "max_kl": 0.04},
        "Walker2d-v5": _MUJOCO,
        "Swimmer-v5": {**_MUJOCO, "gamma": 0.9999},
        "Ant-v5": _MUJOCO,
    },
    "ppo": {
        "default": {},
        "CartPole-v1": {"num_envs": 8, "n_steps": 32, "gamma": 0.98, "gae_lambda": 0.8, "n_epochs": 20,
                        "minibatch_size": 256, "learning_rate": 1e-3, "schedule": "linear", "clip_schedule": "linear",
                        "vf_epochs": 20, "vf_minibatch_size": 256},
    },
}  # fmt: skip


def preset_for(algorithm: str, env_id: str, preset: str | None = None) -> dict[str, Any]:
    """The fields of a named preset, or of the environment's own, or of `default`. Raises UnknownNameError."""
    presets = PRESETS[algorithm]
    if preset is not None and preset not in presets:
        raise unknown_name("preset", preset, presets)
    # "CartPole" and "some_module:CartPole-v1" are CartPole-v1 too
    name = env_id.rpartition(":")[2]
    latest = max((known for known in presets if known.rpartition("-v")[0] == name), default=name)
    return dict(presets[preset] if preset is not None else presets.get(latest, presets["default"]))
