"""Advantage actor-critic, synchronous (Mnih et al. 2016): one step of RMSProp per batch, for policy and critic each.

All environments take k steps, Â_t is the k-step advantage (PG-11; with λ < 1, GAE), and

    θ   ← θ  + α · (E[∇log π(a|s) Â] + c ∇H),      θ_v ← θ_v − α_v ∇E[(V(s) − (Â + V_old(s)))²].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from minipg.algorithms.advantages import Samples, estimate_advantages
from minipg.algorithms.agent import Agent
from minipg.algorithms.config import AdvantageConfig
from minipg.algorithms.critic import CriticFit, Outcome
from minipg.algorithms.optimizers import StepInfo, scheduled
from minipg.checks import Array
from minipg.field_docs import documented
from minipg.kernels.arguments import RMSProp
from minipg.policy import Policy
from minipg.rollout import Batch
from minipg.runtime.backend import to_host
from minipg.value import ValueNetwork, ValueState

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from minipg.algorithms.settings import A2CSettings


@documented
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
    schedule: Literal["constant", "linear"] = "constant"
    """Of both learning rates: constant, or linear down to 0 over the run."""
    ent_coef: float = 0.0
    """Weight of the entropy bonus."""
    max_grad_norm: float = 0.5
    """A longer gradient is scaled to this norm, the policy's and the critic's each."""
    rms_decay: float = 0.99
    """RMSProp's decay ρ of the squared gradients."""
    rms_epsilon: float = 1e-5
    """RMSProp's ε, under the root."""

    def rmsprop(self, learning_rate: float, progress: float) -> RMSProp:
        """RMSProp's settings after a share `progress` of the run."""
        return RMSProp(learning_rate * scheduled(self.schedule, progress), self.rms_decay, self.rms_epsilon)


class A2CState(NamedTuple):
    """RMSProp's running squares of the policy's gradient (P,)."""

    second: Array


def update(
    policy: Policy, theta: Array, state: A2CState, samples: Samples, config: A2CConfig, progress: float = 0.0
) -> tuple[Array, A2CState, StepInfo]:
    """One policy step: θ′, the new squares, metrics. If they are not finite, the given θ and state are returned.

    theta (P,); `progress`, from 0 to 1, is the share of the run that has passed.
    """
    new, second = theta.copy(), state.second.copy()
    info = step(policy, theta, samples, config, progress, new, second)
    return (new, A2CState(second), info) if info.status == "ok" else (theta, state, info)


def step(
    policy: Policy, at: Array, samples: Samples, config: A2CConfig, progress: float, theta: Array, second: Array
) -> StepInfo:
    """One step of RMSProp with the gradient at θ′ → theta and its squares (P,), changed in place.   at (P,): θ′."""
    backend, kernels = policy.backend, policy.backend.kernels("actor_critic")
    stats = backend.xp.empty(3)
    work = backend.xp.empty(kernels.work_size(policy.mlp.sizes, len(theta), len(samples.adv)), theta.dtype)
    kernels.policy_step(
        policy.spec, at, samples.acted, config.ent_coef, config.normalize_advantage,
        config.rmsprop(config.learning_rate, progress), config.max_grad_norm, theta, second, stats, work,
    )  # fmt: skip
    norm, entropy, finite = to_host(stats).tolist()
    if not finite:
        status = "step not finite" if math.isfinite(norm) else "gradient not finite"
        return StepInfo(status, math.nan, entropy)
    return StepInfo("ok", norm, entropy)


def critic_update(
    critic: ValueNetwork, state: ValueState, samples: Samples, config: A2CConfig, progress: float = 0.0
) -> CriticFit:
    """One critic step: the new state and the loss before. If it is not finite, the given state is returned."""
    theta, second = state.theta.copy(), state.second.copy()
    loss, finite = critic_step(critic, state.theta, samples, config, progress, theta, second)
    if not finite:
        return CriticFit(state, math.nan, "critic not finite")
    return CriticFit(state._replace(theta=theta, second=second, step=state.step + 1), loss, "ok")


def critic_step(
    critic: ValueNetwork, at: Array, samples: Samples, config: A2CConfig, progress: float, theta: Array, second: Array
) -> tuple[float, bool]:
    """One step of RMSProp down the squared error  (AC-1), as `step`. → The loss before, True if all is finite."""
    backend, kernels = critic.mlp.backend, critic.mlp.backend.kernels("actor_critic")
    stats = backend.xp.empty(2)
    work = backend.xp.empty(kernels.work_size(critic.mlp.sizes, len(theta), len(samples.ret)), theta.dtype)
    kernels.critic_step(
        critic.mlp.spec, at, samples.obs, samples.ret, config.rmsprop(config.vf_learning_rate, progress),
        config.max_grad_norm, theta, second, stats, work,
    )  # fmt: skip
    loss, finite = to_host(stats).tolist()
    return loss, bool(finite)


class A2C(Agent[A2CConfig]):
    """Synchronous advantage actor-critic on a Gymnasium environment. See `Agent`."""

    name = "a2c"
    Config = A2CConfig

    if TYPE_CHECKING:

        def __init__(self, env: Any, **settings: Unpack[A2CSettings]) -> None: ...

    def _initial_state(self) -> A2CState:
        return A2CState(self.backend.xp.zeros_like(self.theta))

    def _update(self, batch: Batch, progress: float, measure: bool = True) -> Outcome:
        config = self.config
        samples = estimate_advantages(self.critic, self.value.theta, batch, config.gamma, config.gae_lambda)
        (self.theta, self.state, info), fit = self.backend.both(
            lambda: update(self.actor, self.theta, self.state, samples, config, progress),
            lambda: critic_update(self.critic, self.value, samples, config, progress),
            len(samples.obs),
        )
        self.value = fit.value
        return Outcome(info, fit, samples)
