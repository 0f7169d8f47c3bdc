"""The vanilla policy gradient: one Adam step along E[∇log π(a|s) Â]  (PG-9, PG-12), and several for the critic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from minipg.algorithms.advantages import Samples, estimate_advantages, normalize
from minipg.algorithms.agent import Agent
from minipg.algorithms.config import ActorCriticConfig
from minipg.algorithms.critic import account, fit_critic
from minipg.algorithms.optimizers import AdamState, StepInfo, adam_step, begin_adam, policy_step
from minipg.checks import Array
from minipg.policy import Policy
from minipg.rollout import Batch


@dataclass(frozen=True, kw_only=True)
class VPGConfig(ActorCriticConfig):
    """Every setting of VPG."""

    learning_rate: float = 1e-2
    """Adam's step size for the policy."""
    ent_coef: float = 0.0
    """Weight of the entropy bonus."""
    max_grad_norm: float = math.inf
    """A longer policy gradient is shortened to this norm."""


def update(
    policy: Policy, theta: Array, state: AdamState, samples: Samples, config: VPGConfig
) -> tuple[Array, AdamState, StepInfo]:
    """One policy step: θ′, Adam's state, and an account; where its numbers are not finite, what came in."""
    adv = normalize(samples.adv) if config.normalize_advantage else samples.adv
    climb = lambda g: adam_step(policy.backend, theta, state, g, config.learning_rate, config.max_grad_norm)
    return policy_step(policy, theta, state, samples.obs, samples.act, adv, config.ent_coef, climb)


class VPG(Agent[VPGConfig]):
    """The vanilla policy gradient on a Gymnasium environment.

    agent = VPG("CartPole-v1", seed=0)
    agent.learn(total_steps=100_000)
    action, _ = agent.predict(obs, deterministic=True)
    """

    name = "vpg"
    Config = VPGConfig

    def _begin(self) -> AdamState:
        return begin_adam(self.theta)

    def _update(self, batch: Batch, progress: float) -> dict[str, Any]:
        config, state = self.config, self.state
        samples = estimate_advantages(self.critic, self.value.theta, batch, config.gamma, config.gae_lambda)
        (self.theta, self.state, info), fit = self.backend.both(
            lambda: update(self.actor, self.theta, state, samples, config),
            lambda: fit_critic(self.critic, self.value, samples, config, self.streams.shuffling),
        )
        self.value = fit.value
        return account(info, fit, samples)
