"""Proximal policy optimisation (Schulman et al. 2017), with four objectives.

An update makes several epochs over the batch. Every shuffled minibatch gives one Adam step uphill on

    unclipped     E[r Â]                              (PP-1)
    clip          E[min(r Â, clip(r, 1 ± ε) Â)]       (PP-2)
    kl            E[r Â] − β mean KL(π_old‖π_θ)       (PP-3)
    adaptive-kl   the same, with β adapted to a target   (PP-4)

plus an entropy bonus. Â is normalised once for the whole batch, in the kernel (surrogate_epochs.py). The critic has
separate parameters and is fitted at the same time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from minipg.algorithms.advantages import Samples, estimate_advantages
from minipg.algorithms.agent import Agent
from minipg.algorithms.config import ActorCriticConfig
from minipg.algorithms.critic import Outcome, fit_critic
from minipg.algorithms.optimizers import AdamState, new_adam, scheduled, shuffled
from minipg.algorithms.surrogate_epochs import ascend
from minipg.checks import Array, require
from minipg.field_docs import documented
from minipg.kernels.arguments import SurrogateTerms
from minipg.objective import adapted_beta
from minipg.policy import Policy
from minipg.rollout import Batch

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from minipg.algorithms.settings import PPOSettings


@documented
@dataclass(frozen=True, kw_only=True)
class PPOConfig(ActorCriticConfig):
    """Every setting of PPO."""

    objective: Literal["unclipped", "clip", "kl", "adaptive-kl"] = "clip"
    """unclipped, clip, kl (fixed penalty) or adaptive-kl."""
    learning_rate: float = 3e-4
    """Adam's step size for the policy."""
    schedule: Literal["constant", "linear"] = "constant"
    """Of both learning rates: constant, or linear down to 0 over the run."""
    n_epochs: int = 10
    """Passes over the batch. If it is set and vf_epochs is not (by name or flag), the critic's follow it."""
    minibatch_size: int = 64
    """Rows of a minibatch. If it is set and vf_minibatch_size is not (by name or flag), the critic's follow it."""
    clip_range: float = 0.2
    """ε: a ratio above 1 + ε (for Â > 0) or below 1 − ε (for Â < 0) has no gradient (clip)."""
    clip_schedule: Literal["constant", "linear"] = "constant"
    """Of the clip range: constant, or linear down to 0 over the run."""
    kl_coef: float = 1.0
    """β: the penalty on the KL (kl), or its first value (adaptive-kl)."""
    target_kl: float = math.inf
    """Stop the epochs before a step if the minibatch's mean KL exceeds 1.5 times this. adaptive-kl adapts β to it; its
    default is 0.01."""
    ent_coef: float = 0.0
    """Weight of the entropy bonus."""
    max_grad_norm: float = 0.5
    """A longer gradient is scaled to this norm, the policy's and the critic's (adam) each."""
    vf_clip_range: float = math.inf
    """How far V may move from its value before the update (adam)."""
    vf_minibatch_size: int = 64
    """Rows of a critic minibatch."""

    FOLLOWERS: ClassVar[dict[str, str]] = {"vf_epochs": "n_epochs", "vf_minibatch_size": "minibatch_size"}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.objective == "adaptive-kl":
            require(self.kl_coef > 0, "kl_coef", "a number > 0 for adaptive-kl", self.kl_coef)
            if self.target_kl == math.inf:
                object.__setattr__(self, "target_kl", 0.01)

    def terms(self, beta: float, progress: float) -> SurrogateTerms:
        """The weights of the objective's terms, with penalty weight `beta`, after a share `progress` of the run."""
        clip_range = self.clip_range * scheduled(self.clip_schedule, progress)
        clip_range = clip_range if self.objective == "clip" else math.inf
        beta = beta if self.objective in ("kl", "adaptive-kl") else 0.0
        return SurrogateTerms(clip_range, beta, self.ent_coef)


class PPOState(NamedTuple):
    """Adam's moments and step count, and the penalty β."""

    first: Array
    second: Array
    step: int
    beta: float


class PPOInfo(NamedTuple):
    """Metrics of one policy update; `kl` and `entropy` are after it.

    `status` is ok, `target KL` if the epochs stopped early, or `step not finite`.
    """

    status: str
    kl: float
    clip_fraction: float
    policy_steps: int
    beta: float
    entropy: float


def update(
    policy: Policy,
    theta: Array,
    state: PPOState,
    samples: Samples,
    config: PPOConfig,
    order: Array,
    progress: float = 0.0,
    measure: bool = True,
) -> tuple[Array, PPOState, PPOInfo]:
    """All epochs over one batch: θ′, the new state, metrics. If not finite, the given θ and state are returned.

    theta (P,), order (E, B): the permutation of the rows in each epoch, `progress`: the share of the run that has
    passed. Without `measure` the metrics' kl and entropy are NaN.
    """
    adaptive, beta = config.objective == "adaptive-kl", state.beta
    found = ascend(
        policy, theta, AdamState(*state[:3]), samples.acted, config.terms(beta, progress), order,
        config.minibatch_size, config.learning_rate * scheduled(config.schedule, progress),
        normalize=config.normalize_advantage, measure=measure or adaptive, max_grad_norm=config.max_grad_norm,
        max_kl=math.inf if adaptive else 1.5 * config.target_kl,
    )  # fmt: skip
    if not found.finite:
        return theta, state, PPOInfo("step not finite", 0.0, 0.0, 0, beta, math.nan)
    if adaptive and found.steps:  # without a step the KL is no evidence about β
        beta = adapted_beta(beta, found.kl, config.target_kl)  # PP-4
    wanted = len(order) * -(-order.shape[1] // config.minibatch_size)
    status = "ok" if found.steps == wanted else "target KL"
    info = PPOInfo(status, found.kl, found.clip_fraction, found.steps, beta, found.entropy)
    return found.theta, PPOState(*found.adam, beta), info


class PPO(Agent[PPOConfig]):
    """Proximal policy optimisation on a Gymnasium environment. See `Agent`."""

    name = "ppo"
    Config = PPOConfig

    if TYPE_CHECKING:

        def __init__(self, env: Any, **settings: Unpack[PPOSettings]) -> None: ...

    def _initial_state(self) -> PPOState:
        return PPOState(*new_adam(self.theta), self.config.kl_coef)

    def _update(self, batch: Batch, progress: float, measure: bool = True) -> Outcome:
        config = self.config
        samples = estimate_advantages(self.critic, self.value.theta, batch, config.gamma, config.gae_lambda)
        order = shuffled(self.backend, self.streams.shuffling, config.n_epochs, len(samples.obs))
        vf_order = shuffled(self.backend, self.streams.shuffling, config.vf_epochs, len(samples.obs))
        (self.theta, self.state, info), fit = self.backend.both(
            lambda: update(self.actor, self.theta, self.state, samples, config, order, progress, measure),
            lambda: fit_critic(
                self.critic, self.value, samples, config, vf_order,
                learning_rate=config.vf_learning_rate * scheduled(config.schedule, progress),
                clip_range=config.vf_clip_range, max_grad_norm=config.max_grad_norm,
            ),
        )  # fmt: skip
        self.value = fit.value
        return Outcome(info, fit, samples)
