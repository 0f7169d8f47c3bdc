"""Advantage actor-critic, synchronous (Mnih et al. 2016): one step of RMSProp a batch, for policy and critic each.

All environments take k steps, Â_t is the k-step advantage (PG-11; with λ < 1, GAE), and

    θ   ← θ  + α · (E[∇log π(a|s) Â] + c ∇H),      θ_v ← θ_v − α_v ∇E[(V(s) − (Â + V_old(s)))²].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from minipg.algorithms.advantages import Samples, estimate_advantages, normalize
from minipg.algorithms.compiled import CompiledAgent
from minipg.algorithms.compiled_a2c import A2CInKernels
from minipg.algorithms.config import AdvantageConfig
from minipg.algorithms.critic import CriticFit, account
from minipg.algorithms.optimizers import StepInfo, all_finite, policy_step, rmsprop_step, scheduled
from minipg.checks import Array
from minipg.policy import Policy
from minipg.rollout import Batch
from minipg.runtime.backend import told
from minipg.value import ValueNetwork, ValueState


@dataclass(frozen=True, kw_only=True)
class A2CConfig(AdvantageConfig):
    """Every setting of A2C."""

    n_steps: int = 5
    """Steps k of each environment per update."""
    gae_lambda: float = 1.0
    """Trace λ: 1 gives the k-step advantage."""
    normalize_advantage: bool = False
    """Centre the advantages and divide by their standard deviation."""
    learning_rate: float = 7e-4
    """RMSProp's step size for the policy."""
    vf_learning_rate: float = 7e-4
    """RMSProp's step size for the critic."""
    schedule: str = "constant"
    """Of both learning rates: constant, or linear down to 0 over the run."""
    ent_coef: float = 0.0
    """Weight of the entropy bonus."""
    max_grad_norm: float = 0.5
    """Longer gradients are shortened to this norm, policy's and critic's each."""
    rms_decay: float = 0.99
    """RMSProp's memory of squared gradients."""
    rms_epsilon: float = 1e-5
    """RMSProp's ε, under the root."""


class A2CState(NamedTuple):
    """RMSProp's running squares of the policy's gradient (P,)."""

    second: Array


def update(
    policy: Policy, theta: Array, state: A2CState, samples: Samples, config: A2CConfig, progress: float = 0.0
) -> tuple[Array, A2CState, StepInfo]:
    """One policy step: θ′, the new statistics, and an account; where its numbers are not finite, what came in."""
    adv = normalize(samples.adv) if config.normalize_advantage else samples.adv
    rate = config.learning_rate * scheduled(config.schedule, progress)

    def climb(g: Array) -> tuple[Array, A2CState]:
        new, second = rmsprop_step(policy.backend, theta, state.second, g, rate, config)
        return new, A2CState(second)

    return policy_step(policy, theta, state, samples.obs, samples.act, adv, config.ent_coef, climb)


def critic_step(
    critic: ValueNetwork, state: ValueState, samples: Samples, config: A2CConfig, progress: float = 0.0
) -> CriticFit:
    """One RMSProp step down the squared error  (AC-1): the new state, or the old if not finite, and the loss before."""
    loss, gradient = critic.loss_and_gradient(state.theta, samples.obs, samples.ret)
    rate = config.vf_learning_rate * scheduled(config.schedule, progress)
    theta, second = rmsprop_step(critic.mlp.backend, state.theta, state.second, -gradient, rate, config)
    finite, loss = told(all_finite(theta, second), loss)
    if not finite:
        return CriticFit(state, math.nan, "critic not finite")
    return CriticFit(state._replace(theta=theta, second=second, step=state.step + 1), float(loss), "ok")


class A2C(CompiledAgent[A2CConfig]):
    """Synchronous advantage actor-critic on a Gymnasium environment.

    agent = A2C("CartPole-v1", seed=0)
    agent.learn(total_steps=300_000)
    action, _ = agent.predict(obs, deterministic=True)
    """

    name = "a2c"
    Config = A2CConfig
    _in_kernels = A2CInKernels()

    def _begin(self) -> A2CState:
        return A2CState(self.backend.xp.zeros_like(self.theta))

    def _update(self, batch: Batch, progress: float) -> dict[str, Any]:
        config = self.config
        samples = estimate_advantages(self.critic, self.value.theta, batch, config.gamma, config.gae_lambda)
        self.theta, self.state, info = update(self.actor, self.theta, self.state, samples, config, progress)
        fit = critic_step(self.critic, self.value, samples, config, progress)
        self.value = fit.value
        return account(info, fit, samples)
