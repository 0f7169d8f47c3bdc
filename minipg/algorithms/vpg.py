"""The vanilla policy gradient: one Adam step along E[∇log π(a|s) Â]  (PG-9, PG-12), and a fit of the critic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minipg.algorithms.advantages import Samples, estimate_advantages, normalize
from minipg.algorithms.agent import Agent
from minipg.algorithms.config import ActorCriticConfig
from minipg.algorithms.critic import Outcome, fit_critic
from minipg.algorithms.optimizers import AdamState, StepInfo, new_adam, policy_step, shuffled
from minipg.checks import Array
from minipg.field_docs import documented
from minipg.policy import Policy
from minipg.rollout import Batch

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from minipg.algorithms.settings import VPGSettings


@documented
@dataclass(frozen=True, kw_only=True)
class VPGConfig(ActorCriticConfig):
    """Every setting of VPG."""

    learning_rate: float = 1e-2
    """Adam's step size for the policy."""
    ent_coef: float = 0.0
    """Weight of the entropy bonus."""
    max_grad_norm: float = math.inf
    """A longer policy gradient is scaled to this norm."""


def update(
    policy: Policy, theta: Array, state: AdamState, samples: Samples, config: VPGConfig
) -> tuple[Array, AdamState, StepInfo]:
    """One policy step: θ′, Adam's state, metrics. If they are not finite, the given θ and state are returned."""
    adv = normalize(samples.adv, policy.backend) if config.normalize_advantage else samples.adv
    rows = samples._replace(adv=adv)
    return policy_step(policy, theta, state, rows, config.ent_coef, config.learning_rate, config.max_grad_norm)


class VPG(Agent[VPGConfig]):
    """The vanilla policy gradient on a Gymnasium environment. See `Agent`."""

    name = "vpg"
    Config = VPGConfig

    if TYPE_CHECKING:

        def __init__(self, env: Any, **settings: Unpack[VPGSettings]) -> None: ...

    def _initial_state(self) -> AdamState:
        return new_adam(self.theta)

    def _update(self, batch: Batch, progress: float, measure: bool = True) -> Outcome:
        config = self.config
        samples = estimate_advantages(self.critic, self.value.theta, batch, config.gamma, config.gae_lambda)
        order = shuffled(self.backend, self.streams.shuffling, config.vf_epochs, len(samples.obs))
        (self.theta, self.state, info), fit = self.backend.both(
            lambda: update(self.actor, self.theta, self.state, samples, config),
            lambda: fit_critic(self.critic, self.value, samples, config, order),
        )
        self.value = fit.value
        return Outcome(info, fit, samples)
