"""The deterministic policy gradient with a compatible critic (Silver et al. 2014): the plain form, without a replay.

Environments are stepped with a = μ_θ(s) + ε, ε ~ N(0, σ²). The critic is linear in ε, and has a weight for each number
of θ:

    Q_w(s, a) = A_w(s, a) + V(s),   A_w(s, a) = εᵀ ∇_θ μ(s)ᵀ w                                     (DP-1c)

    w ← argmin E[(Â − A_w(s, a))²] + damping ‖w‖²,  by conjugate gradients                         (TR-10)
    V ← a fit to Â + V(s) − A_w(s, a), the value of μ itself                                       (AC-1)

Its slope in the action is ∇_θ μ(s)ᵀ w, so the policy gradient and the natural one, in the metric M, are

    g = E[∇_θ μ(s) ∇_a Q_w(s, a)] = M w,   M = E[∇_θ μ(s) ∇_θ μ(s)ᵀ]                               (DP-1)
    M⁻¹ g = w

A plain step is Adam along g. It hardly moves the actions that tanh has brought near a bound, because ∇_θ μ is small
there. A natural step is along w, as far as changes actions by `action_step` in the root mean square.

With λ = 0, Â + V(s) is r + γ V(s′). It does not depend on the noise after this step: this is Q-learning, off-policy.
With λ > 0 the noise of later steps is in Â.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import gymnasium as gym
import numpy as np

from minipg.algorithms.advantages import Samples, estimate_advantages
from minipg.algorithms.agent import Agent
from minipg.algorithms.config import CriticConfig
from minipg.algorithms.critic import Outcome, fit_critic
from minipg.algorithms.optimizers import AdamState, adam_step, all_finite, new_adam, norm, scheduled, shuffled
from minipg.checks import Array, namespace
from minipg.conjugate_gradient import CGResult, conjugate_gradient
from minipg.deterministic import DeterministicPolicy, DeterministicTape
from minipg.envs import ActionCodec
from minipg.field_docs import documented
from minipg.network import MLP
from minipg.rollout import Batch, Collector
from minipg.rollout.exploration import Explorer, NormalNoise
from minipg.runtime.backend import choose, fetch
from minipg.value import ValueNetwork

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from minipg.algorithms.settings import DPGSettings


@documented
@dataclass(frozen=True, kw_only=True)
class DPGConfig(CriticConfig):
    """Every setting of DPG."""

    n_steps: int = 256
    """Steps of each environment per update."""
    gae_lambda: float = 0.9
    """Trace λ of the advantages that A_w is fitted to: 0 is Q-learning, off-policy; 1 trusts the noisy returns."""
    direction: Literal["natural", "plain"] = "natural"
    """Of a step of the policy: natural (along w) or plain (Adam along g)."""
    action_step: float = 0.1
    """Root mean square change of actions by a natural step, as a share of half the action's range."""
    learning_rate: float = 1e-3
    """Adam's step size for a plain step."""
    schedule: Literal["constant", "linear"] = "constant"
    """Of action_step and learning_rate: constant, or linear down to 0 over the run."""
    action_noise_std: float = 0.5
    """Standard deviation σ of the exploration noise, as a share of half the action's range."""
    cg_iters: int = 10
    """Products of the conjugate gradient that solves for w."""
    damping: float = 0.01
    """Added to the diagonal of E[φφᵀ], φ = ∇_θ μ(s) ε, in that fit."""


class DPGInfo(NamedTuple):
    """Metrics of one update of the policy; `grad_norm` is ‖g‖."""

    status: str
    grad_norm: float
    cg_iterations: int
    cg_residual: float


def compatible_advantage(
    policy: DeterministicPolicy, theta: Array, tape: DeterministicTape, act: Array, w: Array
) -> Array:
    """A_w(s, a) = (a − μ(s))ᵀ ∇_θ μ(s)ᵀ w  (DP-1c).   theta, w (P,), tape from `forward`, act (B, A) → (B,)."""
    advantage: Array = ((act - tape.params) * policy.jvp(theta, tape, w)).sum(axis=1)
    return advantage


def fit_compatible(
    policy: DeterministicPolicy, theta: Array, tape: DeterministicTape, act: Array, adv: Array, config: DPGConfig
) -> CGResult:
    """w that minimises E[(Â − A_w(s, a))²] + damping ‖w‖²  (DP-1c): (E[φφᵀ] + damping) w = E[φ Â], φ = ∇_θ μ(s) ε."""
    noise, damping = act - tape.params, theta.dtype.type(config.damping)

    def mean_of_features(weight: Array) -> Array:  # E[φ weight]
        return policy.vjp(theta, tape, weight[:, None] * noise) / len(weight)

    def product(w: Array) -> Array:
        return mean_of_features(compatible_advantage(policy, theta, tape, act, w)) + damping * w

    return conjugate_gradient(product, mean_of_features(adv), config.cg_iters)


def natural_step(w: Array, slope: Array, action_step: float) -> Array:
    """c w with the c for which the root mean square of ∇_θ μᵀ c w is `action_step`; 0 if it is always 0.

    w (P,), slope: ∇_θ μᵀ w (B, A) → (P,).
    """
    real, xp = w.dtype.type, namespace(w)
    size = xp.sqrt(xp.square(slope.astype(np.float64)).mean()).astype(w.dtype)
    return w * (real(action_step) / choose(size == 0, real(math.inf), size))


def update(
    policy: DeterministicPolicy,
    theta: Array,
    adam: AdamState,
    samples: Samples,
    config: DPGConfig,
    progress: float = 0.0,
) -> tuple[Array, AdamState, Array, DPGInfo]:
    """One step of the policy: θ′, Adam's state, A_w(s, a) of every row, metrics.

    theta (P,); `progress`, from 0 to 1, is the share of the run that has passed. If the step is not finite,
    the given θ and state are returned, and A_w is 0.
    """
    tape = policy.forward(theta, samples.obs)
    cg = fit_compatible(policy, theta, tape, samples.act, samples.adv, config)
    slope = policy.jvp(theta, tape, cg.x)  # ∇_a Q_w(s, a)
    g = policy.vjp(theta, tape, slope) / len(slope)  # DP-1
    share = scheduled(config.schedule, progress)
    if config.direction == "natural":
        new, after = theta + natural_step(cg.x, slope, share * config.action_step), adam
    else:
        new, after = adam_step(policy.backend, theta, adam, g, share * config.learning_rate)
    advantage = ((samples.act - tape.params) * slope).sum(axis=1)  # A_w(s, a)
    grad_norm, finite = fetch(norm(g), all_finite(new, after.second, advantage))
    if cg.status == "not finite" or not (finite and math.isfinite(grad_norm)):
        nothing = policy.backend.xp.zeros_like(advantage)
        return theta, adam, nothing, DPGInfo("step not finite", math.nan, cg.iterations, cg.residual)
    return new, after, advantage, DPGInfo("ok", float(grad_norm), cg.iterations, cg.residual)


class DPG(Agent[DPGConfig]):
    """The deterministic policy gradient on an environment with real-valued actions. See `Agent`."""

    name = "dpg"
    Config = DPGConfig

    if TYPE_CHECKING:

        def __init__(self, env: Any, **settings: Unpack[DPGSettings]) -> None: ...

    def _action_codec(self, space: gym.Space[Any]) -> ActionCodec:
        return ActionCodec(space, scale=True)

    def _networks(self) -> tuple[DeterministicPolicy, ValueNetwork]:
        config, inputs = self.config, self.observations.size
        actor = MLP((inputs, *config.hidden, self.actions.size), config.activation, self.backend)
        critic = MLP((inputs, *config.hidden, 1), config.activation, self.backend)
        return DeterministicPolicy(actor), ValueNetwork(critic)

    def _statistics(self) -> tuple[None, None]:
        return None, None

    def _initial_state(self) -> AdamState:
        return new_adam(self.theta)

    def _collect(self, collector: Collector) -> Batch:
        collector.policy = Explorer(self.actor, NormalNoise(self.config.action_noise_std))
        return collector.collect(self.theta, self.config.n_steps)

    def _update(self, batch: Batch, progress: float, measure: bool = True) -> Outcome:
        config = self.config
        samples = estimate_advantages(self.critic, self.value.theta, batch, config.gamma, config.gae_lambda)
        self.theta, self.state, advantage, info = update(self.actor, self.theta, self.state, samples, config, progress)
        samples = samples._replace(ret=samples.ret - advantage)  # the target of V
        order = shuffled(self.backend, self.streams.shuffling, config.vf_epochs, len(samples.obs))
        fit = fit_critic(self.critic, self.value, samples, config, order)
        self.value = fit.value
        return Outcome(info, fit, samples)
