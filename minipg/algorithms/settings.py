"""The settings of every algorithm as types: PPO("CartPole-v1", max_lk=1) is an error for mypy.

Written by tests/audit/typed_settings.py from the configs, where the meaning of each setting is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypedDict


class AgentOptions(TypedDict, total=False):
    """What an agent takes besides settings; see `Agent`."""

    seed: int
    config: Any
    preset: str | None
    backend: str
    threads: int | None


class AgentSettings(AgentOptions, total=False):
    """As in AgentConfig."""

    num_envs: int
    vec: Literal["auto", "compiled", "device", "gymnasium", "process", "envpool"]
    env_timeout: float
    gamma: float
    hidden: Sequence[int]
    activation: Literal["tanh", "relu"]


class OnPolicySettings(AgentSettings, total=False):
    """As in OnPolicyConfig."""

    n_steps: int
    log_std_init: float
    state_dependent_std: bool
    conv: Sequence[str]
    sparse_input: bool
    squash: bool
    mask_actions: bool
    normalize_obs: bool
    normalize_reward: bool
    clip_reward: bool


class CriticSettings(AgentSettings, total=False):
    """As in CriticConfig."""

    vf_optimizer: Literal["adam", "lbfgs"]
    vf_learning_rate: float
    vf_epochs: int
    vf_minibatch_size: int
    vf_l2: float


class REINFORCESettings(CriticSettings, OnPolicySettings, total=False):
    """As in REINFORCEConfig."""

    episodes: int
    weight: Literal["return", "reward-to-go", "until-reward", "discounted"]
    baseline: Literal["none", "average", "value"]
    normalize_advantage: bool
    learning_rate: float
    ent_coef: float
    max_grad_norm: float


class AdvantageSettings(OnPolicySettings, total=False):
    """As in AdvantageConfig."""

    gae_lambda: float
    normalize_advantage: bool


class ActorCriticSettings(CriticSettings, AdvantageSettings, total=False):
    """As in ActorCriticConfig."""


class VPGSettings(ActorCriticSettings, total=False):
    """As in VPGConfig."""

    learning_rate: float
    ent_coef: float
    max_grad_norm: float


class A2CSettings(AdvantageSettings, total=False):
    """As in A2CConfig."""

    learning_rate: float
    vf_learning_rate: float
    schedule: Literal["constant", "linear"]
    ent_coef: float
    max_grad_norm: float
    rms_decay: float
    rms_epsilon: float


class A3CSettings(A2CSettings, total=False):
    """As in A3CConfig."""

    workers: int
    engine: Literal["processes", "threads"]
    interval: int


class NaturalSettings(ActorCriticSettings, total=False):
    """As in NaturalConfig."""

    max_kl: float
    damping: float
    cg_iters: int
    fisher_subsample: int
    vf_schedule: Literal["constant", "linear"]


class NPGSettings(NaturalSettings, total=False):
    """As in NPGConfig."""

    step_rule: Literal["normalized", "fixed"]
    learning_rate: float


class DualSettings(ActorCriticSettings, total=False):
    """As in DualConfig."""

    max_kl: float
    solver: Literal["conjugate-gradient", "dual"]
    learning_rate: float
    n_epochs: int
    minibatch_size: int
    dual_init: float
    dual_learning_rate: float


class VineSettings(OnPolicySettings, total=False):
    """As in VineConfig."""

    sampling: Literal["single-path", "vine"]
    vine_states: int
    vine_branches: int
    vine_length: int


class TRPOSettings(NaturalSettings, VineSettings, DualSettings, total=False):
    """As in TRPOConfig."""

    backtrack_coeff: float
    backtrack_iters: int
    accept_ratio: float


class PPOSettings(ActorCriticSettings, total=False):
    """As in PPOConfig."""

    objective: Literal["unclipped", "clip", "kl", "adaptive-kl"]
    learning_rate: float
    schedule: Literal["constant", "linear"]
    n_epochs: int
    minibatch_size: int
    clip_range: float
    clip_schedule: Literal["constant", "linear"]
    kl_coef: float
    target_kl: float
    ent_coef: float
    max_grad_norm: float
    vf_clip_range: float


class DPPOSettings(PPOSettings, total=False):
    """As in DPPOConfig."""

    workers: int
    drop: int
    engine: Literal["processes", "threads", "ray"]
    ray_address: str


class DPGSettings(CriticSettings, total=False):
    """As in DPGConfig."""

    n_steps: int
    gae_lambda: float
    direction: Literal["natural", "plain"]
    action_step: float
    learning_rate: float
    schedule: Literal["constant", "linear"]
    action_noise_std: float
    cg_iters: int
    damping: float


class OffPolicySettings(AgentSettings, total=False):
    """As in OffPolicyConfig."""

    learning_rate: float
    vf_learning_rate: float
    buffer_size: int
    batch_size: int
    learning_starts: int
    replay_on_disk: bool
    train_freq: int
    gradient_steps: int
    tau: float
    action_noise: Literal["normal", "ornstein-uhlenbeck"]
    action_noise_std: float


class DDPGSettings(OffPolicySettings, total=False):
    """As in DDPGConfig."""


class TD3Settings(OffPolicySettings, total=False):
    """As in TD3Config."""

    policy_delay: int
    target_noise: float
    target_noise_clip: float
