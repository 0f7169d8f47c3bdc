"""The settings that algorithms share, and the allowed values of every number among them."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias, TypeVar

from minipg.checks import declared_type, require, require_types
from minipg.errors import ConfigError
from minipg.field_docs import documented

C = TypeVar("C", bound="AgentConfig")
_warn = logging.getLogger("minipg").warning
_AT_LEAST_ONE = (lambda x: 1 <= x < 2**31, f"an integer from 1 to {2**31 - 1}")
_UNIT = (lambda x: 0 <= x <= 1, "a number from 0 to 1")
_POSITIVE = (lambda x: 0 < x < math.inf, "a finite number > 0")
_NOT_NEGATIVE = (lambda x: 0 <= x < math.inf, "a finite number ≥ 0")
_LIMIT = (lambda x: x > 0, "a number > 0, inf for none")


# field name → (test, the allowed values in words), in every config
RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(
        ("n_steps", "episodes", "n_epochs", "minibatch_size", "cg_iters", "backtrack_iters",
         "fisher_subsample", "vf_minibatch_size", "vine_states", "vine_length", "buffer_size", "batch_size",
         "train_freq", "gradient_steps", "policy_delay", "interval"), _AT_LEAST_ONE),
    "workers": (lambda x: 1 <= x <= 1024, "an integer from 1 to 1024"),
    "num_envs": (lambda x: 1 <= x <= 2**20, f"an integer from 1 to {2**20}"),
    "vine_branches": (lambda x: x >= 2, "an integer ≥ 2: one branch has no other to be compared with"),
    **dict.fromkeys(("vf_epochs", "learning_starts", "drop"), (lambda x: x >= 0, "an integer ≥ 0")),
    **dict.fromkeys(("gamma", "gae_lambda", "rms_decay", "tau"), _UNIT),
    **dict.fromkeys(("max_kl", "learning_rate", "vf_learning_rate", "rms_epsilon", "dual_learning_rate",
                     "action_step"), _POSITIVE),
    **dict.fromkeys(
        ("damping", "vf_l2", "ent_coef", "kl_coef", "dual_init", "action_noise_std", "target_noise",
         "target_noise_clip"), _NOT_NEGATIVE),
    **dict.fromkeys(("clip_range", "vf_clip_range", "max_grad_norm", "target_kl", "env_timeout"), _LIMIT),
    "backtrack_coeff": (lambda x: 0 < x < 1, "a number between 0 and 1"),
    "accept_ratio": (lambda x: 0 <= x < 1, "a number from 0 to 1"),
    "hidden": (lambda x: all(n >= 1 for n in x), "layer widths ≥ 1"),
    "log_std_init": (lambda x: -20 <= x <= 2, "a number from -20 to 2"),
}  # fmt: skip

_CRITIC = ("vf_optimizer", "vf_learning_rate", "vf_epochs", "vf_minibatch_size", "vf_l2")
# field name and value → the settings that have no effect beside it
WITHOUT_EFFECT: dict[tuple[str, str], tuple[str, ...]] = {
    ("solver", "dual"): ("damping", "cg_iters", "fisher_subsample", "backtrack_coeff", "backtrack_iters",
                         "accept_ratio"),
    ("solver", "conjugate-gradient"): ("learning_rate", "n_epochs", "minibatch_size", "dual_init",
                                       "dual_learning_rate"),
    ("sampling", "single-path"): ("vine_states", "vine_branches", "vine_length"),
    ("step_rule", "normalized"): ("learning_rate",),
    ("step_rule", "fixed"): ("max_kl",),
    ("direction", "natural"): ("learning_rate",),
    ("direction", "plain"): ("action_step",),
    ("objective", "unclipped"): ("clip_range", "clip_schedule", "kl_coef"),
    ("objective", "clip"): ("kl_coef",),
    ("objective", "kl"): ("clip_range", "clip_schedule"),
    ("objective", "adaptive-kl"): ("clip_range", "clip_schedule"),
    ("baseline", "none"): _CRITIC,
    ("baseline", "average"): _CRITIC,
    ("vf_optimizer", "adam"): ("vf_l2",),
    ("vf_optimizer", "lbfgs"): ("vf_learning_rate", "vf_schedule", "vf_minibatch_size", "vf_clip_range"),
    **{("vec", name): ("env_timeout",) for name in ("auto", "compiled", "device", "gymnasium", "envpool")},
}  # fmt: skip


class LogRange(NamedTuple):
    """The numbers from `low` to `high`, on a log scale."""

    low: float
    high: float


Choices: TypeAlias = tuple[Any, ...]

# field name → what `minipg tune` tries in every config that has the field
SEARCH: dict[str, LogRange | Choices] = {
    **dict.fromkeys(("learning_rate", "vf_learning_rate"), LogRange(1e-5, 3e-2)),
    "max_kl": LogRange(1e-3, 0.1),
    "damping": LogRange(1e-3, 1),
    "action_step": LogRange(0.01, 1),
    "tau": LogRange(1e-3, 0.05),
    "schedule": ("constant", "linear"),
    "n_steps": (8, 16, 32, 64, 128, 256, 512, 1024, 2048),
    "episodes": (1, 2, 4, 8, 16),
    **dict.fromkeys(("n_epochs", "vf_epochs"), (1, 3, 5, 10, 20)),
    **dict.fromkeys(("minibatch_size", "vf_minibatch_size", "batch_size"), (32, 64, 128, 256, 512)),
    "gamma": (0.9, 0.95, 0.98, 0.99, 0.995, 0.999),
    "gae_lambda": (0.8, 0.9, 0.95, 0.98, 1.0),
    "clip_range": (0.1, 0.2, 0.3, 0.4),
    "ent_coef": (0.0, 1e-4, 1e-3, 1e-2, 0.1),
    "action_noise_std": (0.05, 0.1, 0.2, 0.5),
    "normalize_obs": (False, True),
}  # fmt: skip


@documented
@dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """The settings of every agent: environments, discount, networks and normalisation."""

    num_envs: int = 8
    """Environments stepped side by side."""
    vec: Literal["auto", "compiled", "device", "gymnasium", "process", "envpool"] = "auto"
    """How they are stepped: auto (compiled if there is a kernel, on the device with backend cupy), compiled, device,
    gymnasium, process or envpool."""
    env_timeout: float = 60.0
    """Seconds without an answer after which an environment in a process is restarted and its episode dropped."""
    gamma: float = 0.99
    """Discount γ."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers of the policy and of the critic."""
    activation: Literal["tanh", "relu"] = "tanh"
    """Of the hidden layers."""

    def __post_init__(self) -> None:
        if isinstance(self.hidden, list):
            object.__setattr__(self, "hidden", tuple(self.hidden))
        require_types(self)
        object.__setattr__(self, "hidden", tuple(map(int, self.hidden)))
        for field in dataclasses.fields(self):  # one type for each setting, so that kernels are compiled once
            kind = {"int": int, "float": float, "bool": bool}.get(declared_type(field), lambda value: value)
            value = kind(getattr(self, field.name))
            object.__setattr__(self, field.name, value)
            if field.name in RULES:
                allowed, expected = RULES[field.name]
                require(allowed(value), field.name, expected, value)

    FOLLOWERS: ClassVar[dict[str, str]] = {}
    """Settings that take the value of another one where that is given and they are not."""

    def following(self: C, given: Collection[str]) -> C:
        """The same with FOLLOWERS applied, where the settings called `given` were set by the user."""
        followers = {name: other for name, other in self.FOLLOWERS.items() if other in given and name not in given}
        return dataclasses.replace(self, **{name: getattr(self, other) for name, other in followers.items()})

    def log_idle(self, given: Collection[str]) -> None:
        """Log a line for each of the settings called `given` that has no effect."""
        for (name, value), idle in WITHOUT_EFFECT.items():
            for other in idle:
                if other in given and hasattr(self, other) and getattr(self, name, None) == value:
                    _warn(f"{other} has no effect with {name}={value}")

    def search_space(self, fixed: Collection[str] = ()) -> dict[str, LogRange | Choices]:
        """The part of SEARCH for this config, without the settings called `fixed`.

        Settings that have no effect here are left out, and FOLLOWERS of a searched setting, which keep following it.
        Of the choices, those that the config does not take are left out.
        """
        idle = {other for (name, value), others in WITHOUT_EFFECT.items()
                if getattr(self, name, None) == value for other in others}  # fmt: skip
        names = {field.name for field in dataclasses.fields(self)} - {*fixed} - idle
        followers = {name for name, other in self.FOLLOWERS.items() if other in names & SEARCH.keys()}
        space: dict[str, LogRange | Choices] = {}
        for name in SEARCH.keys() & names - followers:
            taken = tuple(value for value in SEARCH[name] if self._takes(name, value))
            if len(taken) > 1:
                space[name] = LogRange(*taken) if isinstance(SEARCH[name], LogRange) else taken
        return {name: space[name] for name in SEARCH if name in space}

    def _takes(self, name: str, value: Any) -> bool:
        try:
            dataclasses.replace(self, **{name: value})
        except ConfigError:
            return False
        return True


@documented
@dataclass(frozen=True, kw_only=True)
class OnPolicyConfig(AgentConfig):
    """Rollouts, and the stochastic policy that is learnt from them."""

    n_steps: int = 256
    """Steps of each environment per update."""
    log_std_init: float = 0.0
    """Initial log σ of a Gaussian policy."""
    state_dependent_std: bool = False
    """Let the network give log σ as well; otherwise it is the same in every state. Box actions only."""
    conv: tuple[str, ...] = ()
    """Convolutions before the hidden layers, for observations that are images: FILTERSxKERNEL/STRIDE, as 16x4/2, each.
    16x4/2same has zeros around the image."""
    sparse_input: bool = True
    """Skip the zeros of long observations that are mostly zero (numba only)."""
    squash: bool = False
    """Bound actions by tanh, scaled to the action space; otherwise they are clipped to it. Box actions only."""
    mask_actions: bool = True
    """Choose among allowed actions only, in an environment that says which they are (action_mask, action_masks)."""
    normalize_obs: bool = False
    """Standardise observations with running statistics."""
    normalize_reward: bool = False
    """Divide rewards by the running standard deviation of the discounted return."""
    clip_reward: bool = False
    """Learn from the sign of a reward alone: −1, 0 or 1. Returns are those of the environment."""


@documented
@dataclass(frozen=True, kw_only=True)
class OffPolicyConfig(AgentConfig):
    """A replay, exploration, and a deterministic policy with critics Q(s, a)."""

    num_envs: int = 1
    """Environments stepped side by side."""
    hidden: tuple[int, ...] = (256, 256)
    """Widths of the hidden layers of the policy and of the critics."""
    activation: Literal["tanh", "relu"] = "relu"
    """Of the hidden layers."""
    learning_rate: float = 3e-4
    """Adam's step size for the policy. If it is set and vf_learning_rate is not, the critics' follows it."""
    vf_learning_rate: float = 3e-4
    """Adam's step size for the critics."""
    buffer_size: int = 1_000_000
    """Transitions that the replay holds."""
    batch_size: int = 256
    """Transitions of a gradient step, drawn from the replay."""
    learning_starts: int = 10_000
    """Environment steps with uniformly random actions, before the first gradient step."""
    replay_on_disk: bool = True
    """Keep the replay in files of the run folder too, so that a resumed run has it; otherwise it fills again first."""
    train_freq: int = 1
    """Steps of each environment between two times of learning."""
    gradient_steps: int = 1
    """Gradient steps per environment step, whatever the number of environments."""
    tau: float = 0.005
    """Share τ of the new parameters that a target network takes over in a gradient step."""
    action_noise: Literal["normal", "ornstein-uhlenbeck"] = "normal"
    """Exploration noise: normal, or ornstein-uhlenbeck, which is correlated in time."""
    action_noise_std: float = 0.1
    """Its standard deviation, as a share of half the action's range."""

    FOLLOWERS: ClassVar[dict[str, str]] = {"vf_learning_rate": "learning_rate"}

    @property
    def n_steps(self) -> int:
        """Steps of each environment per update: train_freq."""
        return self.train_freq


@documented
@dataclass(frozen=True, kw_only=True)
class AdvantageConfig(OnPolicyConfig):
    """How advantages are estimated."""

    gae_lambda: float = 0.95
    """Trace λ of the advantage estimate: 0 trusts the critic, 1 trusts the returns."""
    normalize_advantage: bool = True
    """Centre the advantages and divide by their standard deviation."""


@documented
@dataclass(frozen=True, kw_only=True)
class CriticConfig(AgentConfig):
    """How a critic is fitted to a batch."""

    vf_optimizer: Literal["adam", "lbfgs"] = "adam"
    """How the critic is fitted: adam (minibatches) or lbfgs (whole batch, L2 penalty)."""
    vf_learning_rate: float = 1e-3
    """Adam's step size for the critic."""
    vf_epochs: int = 10
    """Passes over the batch (adam) or iterations (lbfgs) of a critic fit."""
    vf_minibatch_size: int = 128
    """Rows of a critic minibatch."""
    vf_l2: float = 1e-3
    """L2 penalty of the lbfgs critic fit."""


@documented
@dataclass(frozen=True, kw_only=True)
class ActorCriticConfig(CriticConfig, AdvantageConfig):
    """The settings of advantages and of the critic."""
