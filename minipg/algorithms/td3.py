"""Twin delayed deterministic policy gradient (Fujimoto et al. 2018): DDPG with three cures for critics that overrate.

A gradient step on transitions (s, a, r, s′) from the replay, with target networks θ′ and φ′:

    ã = clip(μ_θ′(s′) + clip(ε, ±c), ±1),  ε ~ N(0, σ²)         smoothed target action
    y = r + γ (1 − terminated) min_k Q_φ′k(s′, ã)               the smaller of two critics      (DP-3)
    φ_k ← φ_k − α_v ∇ mean (Q_φk(s, a) − y)²                                                    (AC-1)

and in every policy_delay-th step, with the first critic,

    θ ← θ + α mean ∇_θ μ(s) ∇_a Q_φ1(s, a)|a=μ(s),   θ′ ← τ θ + (1 − τ) θ′,   φ′ likewise       (DP-1, DP-2)
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

    from minipg.algorithms.settings import TD3Settings


@documented
@dataclass(frozen=True, kw_only=True)
class TD3Config(OffPolicyConfig):
    """Every setting of TD3."""

    policy_delay: int = 2
    """Gradient steps of the critics for each of the policy."""
    target_noise: float = 0.2
    """Standard deviation σ of the noise on target actions, as a share of half the action's range."""
    target_noise_clip: float = 0.5
    """That noise is clipped to ± this."""


def update(
    policy: DeterministicPolicy,
    critic: QNetwork,
    theta: Array,
    state: OffPolicyState,
    critics: CriticState,
    batch: Transitions,
    normals: Array,
    config: TD3Config,
) -> Learnt:
    """One gradient step. What is not finite is not learnt: the given θ, state and critics are returned.

    theta (P,), batch: B transitions, normals (B, A): standard normal numbers.
    """
    backend = policy.backend
    noise = backend.xp.clip(config.target_noise * normals, -config.target_noise_clip, config.target_noise_clip)
    y = targets(
        policy, critic, state.target, state.critic_target, batch.rew, batch.terminated, batch.next_obs, noise,
        config.gamma,
    )  # fmt: skip
    new_critics, losses, finite = critic.fit_step(critics, batch.obs, batch.act, y, config.vf_learning_rate)
    if not finite:
        return Learnt(theta, state, critics, OffPolicyInfo("critic not finite"))
    loss = sum(losses) / len(losses)
    if new_critics.step % config.policy_delay:
        return Learnt(theta, state, new_critics, OffPolicyInfo("ok", critic_loss=loss))

    g, q = deterministic_policy_gradient(policy, critic, theta, new_critics.theta[0], batch.obs)
    new_theta, adam = adam_step(backend, theta, AdamState(*state[:3]), g, config.learning_rate)
    (finite,) = fetch(all_finite(new_theta, *adam[:2]))
    if not finite:
        return Learnt(theta, state, critics, OffPolicyInfo("step not finite", q, loss))
    target = polyak(backend, new_theta, config.tau, state.target)
    critic_target = polyak(backend, new_critics.theta, config.tau, state.critic_target)
    new_state = OffPolicyState(*adam, target, critic_target, state.noise)
    return Learnt(new_theta, new_state, new_critics, OffPolicyInfo("ok", q, loss))


class TD3(OffPolicyAgent[TD3Config]):
    """Twin delayed deterministic policy gradient on an environment with real-valued actions.

    agent = TD3("Pendulum-v1", seed=0)
    agent.learn(total_steps=20_000)
    action, _ = agent.predict(obs)
    """

    name = "td3"
    Config = TD3Config
    n_critics = 2

    if TYPE_CHECKING:

        def __init__(self, env: Any, **settings: Unpack[TD3Settings]) -> None: ...

    def _gradient_step(self, batch: Transitions) -> Learnt:
        normals = self.streams.branching.standard_normal(batch.act.shape, batch.act.dtype.type)
        return update(
            self.actor, self.critic, self.theta, self.state, self.value, batch, self.backend.to_device(normals),
            self.config,
        )  # fmt: skip
