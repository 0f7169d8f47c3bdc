"""Tuned settings by algorithm and environment. A field that is not named keeps the config's default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minipg.algorithms.preset_file import read_preset
from minipg.errors import unknown_name

_NORMALIZED: dict[str, Any] = {"normalize_obs": True, "normalize_reward": True}
_MUJOCO: dict[str, Any] = {**_NORMALIZED, "log_std_init": -0.5}
# a random policy seldom reaches the goal; a wide σ makes most actions as large as allowed
_PUSHING: dict[str, Any] = {**_NORMALIZED, "num_envs": 4, "n_steps": 512, "log_std_init": 2.0}

_TRPO_MUJOCO: dict[str, Any] = {
    **_MUJOCO, "num_envs": 2, "n_steps": 1024, "gae_lambda": 0.95, "cg_iters": 25, "damping": 0.1, "vf_epochs": 20,
}  # fmt: skip
# a balanced pendulum's observations hardly vary: standardised by them, those of a fall are extreme
_TRPO_PENDULUM: dict[str, Any] = {**_TRPO_MUJOCO, "normalize_obs": False, "num_envs": 4}
_TRPO_WALKER: dict[str, Any] = {**_TRPO_MUJOCO, "num_envs": 4, "vf_epochs": 10}
_CARTPOLE: dict[str, Any] = {
    "num_envs": 8, "n_steps": 256, "gae_lambda": 0.98, "damping": 1e-3, "vf_epochs": 20, "vf_minibatch_size": 512,
}  # fmt: skip
# two convolutions and a layer of 20 units, as Schulman et al. 2015 have for Atari
_ATARI: dict[str, Any] = {
    "num_envs": 16, "n_steps": 256, "conv": ("16x4/2", "16x4/2"), "hidden": (20,), "activation": "relu",
    "clip_reward": True, "vf_minibatch_size": 256,
}  # fmt: skip
_TRPO: dict[str, dict[str, Any]] = {
    "default": {},
    "mujoco": _TRPO_MUJOCO,
    "CartPole-v1": {**_CARTPOLE, "vine_length": 25},
    "Acrobot-v1": {**_NORMALIZED, "num_envs": 2, "n_steps": 1024, "gamma": 0.995, "damping": 0.05},
    "MountainCar-v0": {**_NORMALIZED, "num_envs": 2, "n_steps": 1024, "max_kl": 0.02, "damping": 0.01,
                       "vf_epochs": 20},
    "MountainCarContinuous-v0": {**_PUSHING, "max_kl": 0.04},
    "Pendulum-v1": {"num_envs": 2, "n_steps": 1024, "gamma": 0.9, "vf_epochs": 30},
    "LunarLander-v3": {"num_envs": 16, "n_steps": 512, "gamma": 0.999, "gae_lambda": 0.95, "max_kl": 0.03,
                       "damping": 0.1, "vf_epochs": 20},
    "Hopper-v5": {**_TRPO_MUJOCO, "gamma": 0.995, "gae_lambda": 0.97},
    "HalfCheetah-v5": {**_TRPO_MUJOCO, "max_kl": 0.04},
    "Walker2d-v5": _TRPO_WALKER,
    "Swimmer-v5": {**_TRPO_MUJOCO, "gamma": 0.9999, "gae_lambda": 0.98, "log_std_init": 0.0},
    "Ant-v5": _TRPO_MUJOCO,
    "InvertedPendulum-v5": _TRPO_PENDULUM,
    "InvertedDoublePendulum-v5": _TRPO_PENDULUM,
    "Reacher-v5": _TRPO_MUJOCO,
    # from 4096 decisions the direction is mostly noise, and steps of the same KL make the policy certain too early
    "atari": {**_ATARI, "n_steps": 1024, "gae_lambda": 0.95, "cg_iters": 10, "fisher_subsample": 16, "damping": 0.01,
              "vf_epochs": 2},
}  # fmt: skip

_PPO_MUJOCO: dict[str, Any] = {
    **_MUJOCO, "num_envs": 2, "n_steps": 1024, "schedule": "linear", "vf_learning_rate": 3e-4,
}  # fmt: skip
_PPO: dict[str, dict[str, Any]] = {
    "default": {},
    "mujoco": _PPO_MUJOCO,
    "CartPole-v1": {"num_envs": 8, "n_steps": 32, "gamma": 0.98, "gae_lambda": 0.8, "n_epochs": 20,
                    "minibatch_size": 256, "learning_rate": 1e-3, "schedule": "linear", "clip_schedule": "linear",
                    "vf_epochs": 20, "vf_minibatch_size": 256},
    "Acrobot-v1": {**_NORMALIZED, "num_envs": 16, "n_steps": 256, "gamma": 0.995, "gae_lambda": 0.94},
    "MountainCar-v0": {**_NORMALIZED, "num_envs": 16, "n_steps": 128, "gae_lambda": 0.98, "n_epochs": 4,
                       "vf_epochs": 4, "learning_rate": 1e-3, "schedule": "linear"},
    "MountainCarContinuous-v0": {**_PUSHING, "num_envs": 8, "n_steps": 256, "learning_rate": 1e-3},
    "Pendulum-v1": {"num_envs": 4, "n_steps": 1024, "gamma": 0.9, "schedule": "linear", "learning_rate": 2e-3,
                    "vf_learning_rate": 2e-3},
    "LunarLander-v3": {"num_envs": 16, "n_steps": 1024, "gamma": 0.999, "gae_lambda": 0.98, "n_epochs": 4,
                       "vf_epochs": 4, "ent_coef": 0.01},
    **{f"{name}-v5": _PPO_MUJOCO for name in ("Hopper", "Walker2d", "Ant", "InvertedPendulum", "Reacher")},
    "HalfCheetah-v5": {**_PPO_MUJOCO, "num_envs": 8, "n_steps": 256, "gamma": 0.98, "gae_lambda": 0.92,
                       "minibatch_size": 256, "vf_minibatch_size": 256, "learning_rate": 1e-3,
                       "vf_learning_rate": 1e-3, "activation": "relu"},
    "InvertedDoublePendulum-v5": {**_PPO_MUJOCO, "normalize_obs": False, "log_std_init": 0.0, "target_kl": 0.02,
                                  "num_envs": 8, "n_steps": 512, "minibatch_size": 256, "vf_minibatch_size": 256,
                                  "learning_rate": 1e-3, "vf_learning_rate": 1e-3},
    "Swimmer-v5": {**_PPO_MUJOCO, "num_envs": 4, "gamma": 0.9999, "gae_lambda": 0.98, "minibatch_size": 256,
                   "learning_rate": 6e-4, "vf_learning_rate": 6e-4, "log_std_init": 0.0},
    "atari": {**_ATARI, "n_steps": 128, "n_epochs": 4, "vf_epochs": 4, "minibatch_size": 256, "ent_coef": 0.01,
              "learning_rate": 1e-3, "schedule": "linear"},
    "pong": {"num_envs": 16, "hidden": (200,), "activation": "relu", "n_epochs": 4, "minibatch_size": 1024,
             "vf_epochs": 4, "vf_minibatch_size": 1024, "learning_rate": 1e-3, "ent_coef": 0.01},
}  # fmt: skip

# of each worker: two have PPO's batch and minibatch together
_DPPO: dict[str, dict[str, Any]] = {
    name: {**settings, **{size: settings.get(size, 64) // 2
                          for size in ("n_steps", "minibatch_size", "vf_minibatch_size")}} if settings else {}
    for name, settings in _PPO.items()
}  # fmt: skip
_DPPO["CartPole-v1"] |= {"n_epochs": 5, "target_kl": 0.02}  # 20 epochs need a clip range

_NPG: dict[str, dict[str, Any]] = {
    **{name: settings for name, settings in _TRPO.items() if not name.endswith("-v5")},
    "mujoco": _TRPO_MUJOCO,
    "CartPole-v1": {**_CARTPOLE, "damping": 0.1},
    **{f"{name}-v5": _TRPO_MUJOCO for name in ("Hopper", "HalfCheetah", "Ant")},
    "Walker2d-v5": _TRPO_WALKER,
}

_A2C_MUJOCO: dict[str, Any] = {
    **_MUJOCO, "n_steps": 32, "gae_lambda": 0.95, "normalize_advantage": True, "learning_rate": 4e-3,
    "vf_learning_rate": 4e-3, "schedule": "linear",
}  # fmt: skip
_A2C: dict[str, dict[str, Any]] = {
    "default": {},
    "mujoco": _A2C_MUJOCO,
    "CartPole-v1": {"num_envs": 8, "learning_rate": 2e-3, "vf_learning_rate": 3e-3, "schedule": "linear"},
    "Acrobot-v1": {**_NORMALIZED, "num_envs": 16, "learning_rate": 2e-3, "vf_learning_rate": 2e-3,
                   "schedule": "linear"},
    "MountainCar-v0": {**_NORMALIZED, "num_envs": 16, "learning_rate": 4e-3, "vf_learning_rate": 4e-3,
                       "schedule": "linear"},
    "MountainCarContinuous-v0": {**_PUSHING, "n_steps": 16, "learning_rate": 2e-3, "vf_learning_rate": 2e-3},
    "Pendulum-v1": {**_NORMALIZED, "num_envs": 8, "n_steps": 8, "gamma": 0.9, "gae_lambda": 0.9,
                    "learning_rate": 4e-3, "vf_learning_rate": 4e-3, "schedule": "linear", "log_std_init": 1.0},
    "LunarLander-v3": {**_NORMALIZED, "num_envs": 16, "n_steps": 32, "gamma": 0.999, "gae_lambda": 0.98,
                       "learning_rate": 8e-3, "vf_learning_rate": 8e-3, "schedule": "linear", "ent_coef": 0.01},
    **{f"{name}-v5": _A2C_MUJOCO for name in ("HalfCheetah", "Ant")},
    "Walker2d-v5": {**_A2C_MUJOCO, "learning_rate": 2e-3, "vf_learning_rate": 2e-3},
    "Hopper-v5": {**_A2C_MUJOCO, "num_envs": 16, "learning_rate": 2e-3},
}  # fmt: skip

# each worker is an A2C agent, with the environments of one
_A3C: dict[str, dict[str, Any]] = {
    "default": {},
    **{name: {"schedule": "constant", "ent_coef": 0.0, **settings} for name, settings in _A2C.items() if settings},
}

_REINFORCE_MUJOCO: dict[str, Any] = {
    "normalize_obs": True, "log_std_init": -0.5, "num_envs": 4, "weight": "discounted", "learning_rate": 3e-3,
}  # fmt: skip
_REINFORCE: dict[str, dict[str, Any]] = {
    "default": {},
    "mujoco": _REINFORCE_MUJOCO,
    # until an episode reaches the goal all returns are equal and the gradient is noise: small steps, more entropy
    "Acrobot-v1": {"ent_coef": 0.1, "learning_rate": 3e-3},
    **{f"{name}-v5": _REINFORCE_MUJOCO for name in ("Hopper", "HalfCheetah", "Walker2d", "Ant")},
}

_FAST: dict[str, Any] = {"gamma": 0.98, "learning_rate": 1e-3, "vf_learning_rate": 1e-3, "buffer_size": 200_000}
_OFF_POLICY: dict[str, dict[str, Any]] = {
    "default": {},
    "mujoco": {"learning_starts": 25_000},
    "Pendulum-v1": {**_FAST, "learning_starts": 1000},
    "LunarLanderContinuous-v3": _FAST,
    # without noise that keeps its direction the car never reaches the goal, and the best is to stand still
    "MountainCarContinuous-v0": {**_FAST, "gamma": 0.99, "action_noise": "ornstein-uhlenbeck", "action_noise_std": 0.5},
    **{f"{name}-v5": {"learning_starts": 25_000} for name in ("HalfCheetah", "Hopper", "Walker2d", "Ant")},
    "Swimmer-v5": {"learning_starts": 25_000, "gamma": 0.9999},
}

_DPG: dict[str, dict[str, Any]] = {
    "default": {},
    "Pendulum-v1": {"n_steps": 128, "gamma": 0.9, "vf_learning_rate": 3e-3, "schedule": "linear"},
}

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "reinforce": _REINFORCE, "vpg": {"default": {}}, "a2c": _A2C, "a3c": _A3C, "npg": _NPG, "trpo": _TRPO, "ppo": _PPO,
    "dppo": _DPPO, "dpg": _DPG, "ddpg": _OFF_POLICY, "td3": _OFF_POLICY,
}  # fmt: skip


def preset_for(algorithm: Any, env_id: str, preset: str | None = None) -> dict[str, Any]:
    """The fields of the preset of a class of agents: of the file or the name `preset`, else of the environment's.

    That is `default` for environments without one. A name that ends in .json is a file. Raises UnknownNameError, and
    ConfigError for a file without usable settings.
    """
    if preset is not None and preset.endswith(".json"):
        return read_preset(Path(preset), algorithm)
    presets = PRESETS.get(algorithm.name, {"default": {}})
    if preset is not None and preset not in presets:
        raise unknown_name("preset", preset, presets)
    # "CartPole" and "some_module:CartPole-v1" are CartPole-v1 too
    name = env_id.rpartition(":")[2]
    latest = max((known for known in presets if known.rpartition("-v")[0] == name), default=name)
    return dict(presets[preset] if preset is not None else presets.get(latest, presets["default"]))
