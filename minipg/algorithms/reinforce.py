"""REINFORCE (Williams 1992): whole episodes, no bootstrap, one Adam step along E[∇log π(a|s) (weight − baseline)].

The weight of an action is one of

    return           R(τ) = Σ_t γᵗ r_t, the same for all of an episode       (PG-5)
    reward-to-go     G_t = r_t + γ G_{t+1}, the return after the action      (PG-7)
    until-reward     the same, and no further than the next reward that is not 0: the episodes are the points of a game
    discounted       γᵗ G_t, the unbiased gradient of the start value        (PG-9 for J₁)

and the baseline is 0, the mean weight of the batch, or V(s); for `discounted` it is γᵗ V(s)  (PG-6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from minipg.algorithms.advantages import Samples, normalize, rescale
from minipg.algorithms.agent import Agent
from minipg.algorithms.config import CriticConfig, OnPolicyConfig
from minipg.algorithms.critic import Outcome, fit_critic
from minipg.algorithms.optimizers import AdamState, StepInfo, new_adam, policy_step, shuffled
from minipg.checks import Array, namespace
from minipg.field_docs import documented
from minipg.policy import Policy
from minipg.returns import discounted_returns
from minipg.rollout import Batch, Collector, episode_starts
from minipg.runtime.backend import Backend
from minipg.value import ValueNetwork

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from minipg.algorithms.settings import REINFORCESettings


@documented
@dataclass(frozen=True, kw_only=True)
class REINFORCEConfig(CriticConfig, OnPolicyConfig):
    """Every setting of REINFORCE."""

    n_steps: int = 32
    """Steps of each environment at a time, until every one has played its episodes."""
    episodes: int = 2
    """Whole episodes of each environment per update."""
    weight: Literal["return", "reward-to-go", "until-reward", "discounted"] = "reward-to-go"
    """The weight of an action: return, reward-to-go, until-reward (begins anew at every nonzero reward: Pong) or
    discounted."""
    baseline: Literal["none", "average", "value"] = "value"
    """The baseline subtracted from the weight: none, average or value."""
    normalize_advantage: bool = True
    """Centre weight − baseline and divide by its standard deviation; with baseline none, scale it without centring."""
    learning_rate: float = 1e-2
    """Adam's step size for the policy."""
    ent_coef: float = 0.0
    """Weight of the entropy bonus."""
    max_grad_norm: float = math.inf
    """A longer policy gradient is scaled to this norm."""


def discounts(batch: Batch, gamma: float) -> Array:
    """γᵗ, with t counted from the start of the episode.   → (T, N)."""
    xp, starts = namespace(batch.rew), episode_starts(batch)
    power, now = xp.empty_like(batch.rew), xp.ones_like(batch.rew[0])
    for t in range(len(starts)):
        power[t] = now = xp.where(starts[t], now.dtype.type(1), now.dtype.type(gamma) * now)
    return power


def weights(batch: Batch, gamma: float, kind: str, backend: Backend) -> tuple[Array, Array]:
    """The weight of every action, and G_t, the target of a critic.   → (T, N), (T, N).

    Episodes are whole, so nothing is bootstrapped; a truncated episode counts with the rewards it had.
    """
    xp, done = backend.xp, batch.terminated | batch.truncated
    if kind == "until-reward":
        done = done | (batch.rew != 0)
    G = discounted_returns(batch.rew, xp.zeros_like(batch.rew), done, xp.zeros_like(done), gamma, backend)
    if kind in ("reward-to-go", "until-reward"):
        return G, G
    if kind == "discounted":
        return discounts(batch, gamma) * G, G
    starts, weight, whole = episode_starts(batch), xp.empty_like(G), xp.zeros_like(G[0])
    for t in range(len(starts)):
        weight[t] = whole = xp.where(starts[t], G[t], whole)
    return weight, G


def samples_of(batch: Batch, critic: ValueNetwork, value_theta: Array, config: REINFORCEConfig) -> Samples:
    """The valid rows: obs, act, weight − baseline as `adv`, G as `ret`, and V(s) if it is the baseline, else 0."""
    backend = critic.mlp.backend
    keep = backend.to_device(np.flatnonzero(batch.valid))
    flat = lambda array: array.reshape(batch.rew.size, *array.shape[2:])[keep]
    weight, G = (flat(part) for part in weights(batch, config.gamma, config.weight, backend))
    obs = flat(batch.obs)
    value = critic.predict(value_theta, obs) if config.baseline == "value" else backend.xp.zeros_like(weight)
    baseline = weight.mean() if config.baseline == "average" else value
    if config.weight == "discounted" and config.baseline == "value":
        baseline = flat(discounts(batch, config.gamma)) * value
    return Samples(obs, flat(batch.act), weight - baseline, G, value, flat(batch.params))


def update(
    policy: Policy, theta: Array, state: AdamState, samples: Samples, config: REINFORCEConfig
) -> tuple[Array, AdamState, StepInfo]:
    """One policy step: θ′, Adam's state, metrics. If they are not finite, the given θ and state are returned."""
    weight = samples.adv
    if config.normalize_advantage:  # centring would be a baseline
        weight = rescale(weight) if config.baseline == "none" else normalize(weight, policy.backend)
    rows = samples._replace(adv=weight)
    return policy_step(policy, theta, state, rows, config.ent_coef, config.learning_rate, config.max_grad_norm)


class REINFORCE(Agent[REINFORCEConfig]):
    """REINFORCE on a Gymnasium environment whose episodes end; `n_steps` is the length of one rollout."""

    name = "reinforce"
    Config = REINFORCEConfig

    if TYPE_CHECKING:

        def __init__(self, env: Any, **settings: Unpack[REINFORCESettings]) -> None: ...

    def _initial_state(self) -> AdamState:
        return new_adam(self.theta)

    def _collect(self, collector: Collector) -> Batch:
        return collector.collect_episodes(self.theta, self.config.episodes, self.config.n_steps)

    def _update(self, batch: Batch, progress: float, measure: bool = True) -> Outcome:
        config, state = self.config, self.state
        samples = samples_of(batch, self.critic, self.value.theta, config)
        self.theta, self.state, info = update(self.actor, self.theta, state, samples, config)
        if config.baseline != "value":
            return Outcome(info)
        order = shuffled(self.backend, self.streams.shuffling, config.vf_epochs, len(samples.obs))
        fit = fit_critic(self.critic, self.value, samples, config, order)
        self.value = fit.value
        return Outcome(info, fit, samples)
