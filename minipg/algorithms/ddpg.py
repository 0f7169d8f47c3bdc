"""Deep deterministic policy gradient (Lillicrap et al. 2016): a deterministic policy and Q(s, a), learnt from a replay.

A gradient step on transitions (s, a, r, s′) from the replay, with target networks θ′ and φ′:

    y = r + γ (1 − terminated) Q_φ′(s′, μ_θ′(s′))                                             (DP-2)
    φ ← φ − α_v ∇ mean (Q_φ(s, a) − y)²                                                       (AC-1)
    θ ← θ + α mean ∇_θ μ(s) ∇_a Q_φ(s, a)|a=μ(s),   θ′ ← τ θ + (1 − τ) θ′,   φ′ likewise      (DP-1, DP-2)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minipg.algorithms.config import OffPolicyConfig
from minipg.algorithms.off_policy import Learnt, OffPolicyAgent, OffPolicyInfo, OffPolicyState
from minipg.algorithms.optimizers import AdamState, adam_step, all_finite, polyak
from minipg.checks import Array
from minipg.deterministic import DeterministicPolicy, deterministic_policy_gradient, targets
from minipg.field_docs import documented
from minipg.q_value import CriticState, QNetwork
from minipg.rollout.replay import Transitions
from minipg.runtime.backend import fetch

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from minipg.algorithms.settings import DDPGSettings


@documented
@dataclass(frozen=True, kw_only=True)
class DDPGConfig(OffPolicyConfig):
    """Every setting of DDPG."""


def update(
    policy: DeterministicPolicy,
    critic: QNetwork,
    theta: Array,
    state: OffPolicyState,
    critics: CriticState,
    batch: Transitions,
    config: DDPGConfig,
) -> Learnt:
    """One gradient step. What is not finite is not learnt: the given θ, state and critic are returned.

    theta (P,), batch: B transitions.
    """
    backend, no_noise = policy.backend, policy.backend.xp.zeros_like(batch.act)
    y = targets(
        policy, critic, state.target, state.critic_target, batch.rew, batch.terminated, batch.next_obs, no_noise,
        config.gamma,
    )  # fmt: skip
    new_critics, (loss,), finite = critic.fit_step(critics, batch.obs, batch.act, y, config.vf_learning_rate)
    if not finite:
        return Learnt(theta, state, critics, OffPolicyInfo("critic not finite"))
    g, q = deterministic_policy_gradient(policy, critic, theta, new_critics.theta[0], batch.obs)
    new_theta, adam = adam_step(backend, theta, AdamState(*state[:3]), g, config.learning_rate)
    (finite,) = fetch(all_finite(new_theta, *adam[:2]))
    if not finite:
        return Learnt(theta, state, critics, OffPolicyInfo("step not finite", q, loss))
    target = polyak(backend, new_theta, config.tau, state.target)
    critic_target = polyak(backend, new_critics.theta, config.tau, state.critic_target)
    new_state = OffPolicyState(*adam, target, critic_target, state.noise)
    return Learnt(new_theta, new_state, new_critics, OffPolicyInfo("ok", q, loss))


class DDPG(OffPolicyAgent[DDPGConfig]):
    """Deep deterministic policy gradient on an environment with real-valued actions.

    agent = DDPG("Pendulum-v1", seed=0)
    agent.learn(total_steps=20_000)
    action, _ = agent.predict(obs)
    """

    name = "ddpg"
    Config = DDPGConfig

    if TYPE_CHECKING:

        def __init__(self, env: Any, **settings: Unpack[DDPGSettings]) -> None: ...

    def _gradient_step(self, batch: Transitions) -> Learnt:
        return update(self.actor, self.critic, self.theta, self.state, self.value, batch, self.config)
