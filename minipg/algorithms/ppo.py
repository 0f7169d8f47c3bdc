"""Proximal policy optimisation (Schulman et al. 2017), in its four forms.

The batch is met several times, a shuffled minibatch at a time, and every minibatch takes one Adam step uphill on

    unclipped     E[r Â]                              (PP-1)
    clip          E[min(r Â, clip(r, 1 ± ε) Â)]       (PP-2)
    kl            E[r Â] − β mean KL(π_old‖π_θ)       (PP-3)
    adaptive-kl   the same, with β held to a target   (PP-4)

plus an entropy bonus. The critic is fitted beside it, on parameters of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from minipg.algorithms.advantages import Samples, estimate_advantages, normalize
from minipg.algorithms.compiled import CompiledAgent
from minipg.algorithms.compiled_ppo import PPOInKernels
from minipg.algorithms.config import ActorCriticConfig
from minipg.algorithms.critic import account, fit_critic
from minipg.algorithms.optimizers import AdamState, begin_adam, scheduled, shuffled
from minipg.algorithms.surrogate import Climb, Surrogate
from minipg.checks import Array, require
from minipg.objective import adapted_beta
from minipg.policy import Policy
from minipg.rollout import Batch


@dataclass(frozen=True, kw_only=True)
class PPOConfig(ActorCriticConfig):
    """Every setting of PPO."""

    objective: str = "clip"
    """unclipped, clip, kl (fixed penalty) or adaptive-kl."""
    learning_rate: float = 3e-4
    """Adam's step size for the policy."""
    schedule: str = "constant"
    """Of both learning rates: constant, or linear down to 0 over the run."""
    n_epochs: int = 10
    """Passes of the policy over the batch; vf_epochs are the critic's."""
    minibatch_size: int = 64
    """Rows of a policy minibatch."""
    clip_range: float = 0.2
    """ε: how far the ratio may leave 1 before its gradient ends (clip)."""
    clip_schedule: str = "constant"
    """Of the clip range: constant, or linear down to 0 over the run."""
    kl_coef: float = 1.0
    """β: the penalty on the KL (kl), or its first value (adaptive-kl)."""
    target_kl: float = math.inf
    """Stop the epochs before a step once a minibatch's mean KL exceeds 1.5 times this; adaptive-kl aims β at it, by
    default at 0.01."""
    ent_coef: float = 0.0
    """Weight of the entropy bonus."""
    max_grad_norm: float = 0.5
    """Longer gradients are shortened to this norm, policy's and critic's (adam) each."""
    vf_clip_range: float = math.inf
    """How far V may leave its value before the update (adam)."""
    vf_minibatch_size: int = 64
    """Rows of a critic minibatch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.objective == "adaptive-kl":
            require(self.kl_coef > 0, "kl_coef", "a number > 0 for adaptive-kl", self.kl_coef)
            if self.target_kl == math.inf:
                object.__setattr__(self, "target_kl", 0.01)

    @property
    def stop_kl(self) -> float:
        """Beyond this mean KL of a minibatch the epochs end."""
        return 1.5 * self.target_kl if self.objective != "adaptive-kl" else math.inf

    def limits(self, beta: float, progress: Any) -> tuple[Any, float]:
        """What holds a policy near to the one that acted: the clip range, or the penalty `beta` on the KL."""
        clip_range = self.clip_range * scheduled(self.clip_schedule, progress)
        return clip_range if self.objective == "clip" else math.inf, beta if "kl" in self.objective else 0.0


class PPOState(NamedTuple):
    """What one update leaves for the next: Adam's moments and step count, and the penalty β."""

    first: Array
    second: Array
    step: int
    beta: float


class PPOInfo(NamedTuple):
    """What one policy update did. `status` is ok, or why it ended early."""

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
) -> tuple[Array, PPOState, PPOInfo]:
    """All epochs of one batch: θ′, the state after them, and an account. Nothing that came in is changed.

    theta (P,), order (E, B) the rows as each epoch visits them, `progress` the share of the run that is over.
    """
    adv = normalize(samples.adv) if config.normalize_advantage else samples.adv
    surrogate = Surrogate.of(policy, samples.obs, samples.act, adv, samples.params)
    found = surrogate.climb(
        theta, AdamState(*state[:3]), (*config.limits(state.beta, progress), config.ent_coef), order,
        config.minibatch_size, config.learning_rate * scheduled(config.schedule, progress),
        max_kl=config.stop_kl, max_grad_norm=config.max_grad_norm,
    )  # fmt: skip
    return after(surrogate, theta, state, found, config)


def after(
    surrogate: Surrogate, theta: Array, state: PPOState, found: Climb, config: PPOConfig
) -> tuple[Array, PPOState, PPOInfo]:
    """What comes of a climb from theta (P,): θ′, the state with the next penalty β  (PP-4), and an account."""
    beta, taken = state.beta, found.adam.step - state.step
    if not found.finite:
        return theta, state, PPOInfo("step not finite", 0.0, 0.0, 0, beta, math.nan)
    reached = surrogate.worth(found.theta)
    if config.objective == "adaptive-kl" and taken:  # a batch that moved nothing says nothing about β
        beta = adapted_beta(beta, reached.kl, config.target_kl)
    info = PPOInfo(found.status, reached.kl, found.clip_fraction, taken, beta, reached.entropy)
    return found.theta, PPOState(*found.adam, beta), info


class PPO(CompiledAgent[PPOConfig]):
    """Proximal policy optimisation on a Gymnasium environment.

    agent = PPO("CartPole-v1", seed=0)
    agent.learn(total_steps=100_000)
    action, _ = agent.predict(obs, deterministic=True)
    """

    name = "ppo"
    Config = PPOConfig
    _in_kernels = PPOInKernels()

    _after = staticmethod(after)

    def _begin(self) -> PPOState:
        return PPOState(*begin_adam(self.theta), self.config.kl_coef)

    def _update(self, batch: Batch, progress: float) -> dict[str, Any]:
        config, state = self.config, self.state
        samples = estimate_advantages(self.critic, self.value.theta, batch, config.gamma, config.gae_lambda)
        order = shuffled(self.backend, self.streams.shuffling, config.n_epochs, len(samples.obs))
        share = scheduled(config.schedule, progress)
        (self.theta, self.state, info), fit = self.backend.both(
            lambda: update(self.actor, self.theta, state, samples, config, order, progress),
            lambda: fit_critic(
                self.critic, self.value, samples, config, self.streams.shuffling, share=share,
                clip_range=config.vf_clip_range, max_grad_norm=config.max_grad_norm,
            ),
        )  # fmt: skip
        self.value = fit.value
        return account(info, fit, samples)
