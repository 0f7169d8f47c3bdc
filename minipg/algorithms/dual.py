"""The trust region as a penalty with a dual variable  (TR-12).

    θ ← argmax  L(θ) − λ (KL(θ) − δ)          by one pass of minibatch Adam
    λ ← max(0, λ + α (KL(θ) − δ))             after every pass

A KL above δ raises λ, a KL below δ lowers it. No Fisher matrix and no line search is needed. The constraint holds on
average, not after every step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from minipg.algorithms.advantages import Samples, normalize
from minipg.algorithms.config import ActorCriticConfig
from minipg.algorithms.optimizers import AdamState, new_adam
from minipg.algorithms.surrogate_epochs import ascend
from minipg.checks import Array
from minipg.field_docs import documented
from minipg.kernels.arguments import SurrogateTerms
from minipg.policy import Policy
from minipg.runtime.backend import fetch


class DualState(NamedTuple):
    """Adam's moments and step count, and the dual variable λ."""

    first: Array
    second: Array
    step: int
    multiplier: float


@documented
@dataclass(frozen=True, kw_only=True)
class DualConfig(ActorCriticConfig):
    """The settings of the dual form."""

    max_kl: float = 0.01
    """Trust-region radius δ."""
    solver: Literal["conjugate-gradient", "dual"] = "conjugate-gradient"
    """conjugate-gradient (natural step and line search) or dual (penalty whose weight λ is adapted)."""
    learning_rate: float = 1e-3
    """Adam's step size for the policy (dual)."""
    n_epochs: int = 10
    """Passes over the batch, each followed by a step of λ (dual)."""
    minibatch_size: int = 256
    """Rows of a policy minibatch (dual)."""
    dual_init: float = 1.0
    """The first λ (dual)."""
    dual_learning_rate: float = 20.0
    """α: the step of λ along KL − δ after every pass (dual)."""


class DualInfo(NamedTuple):
    """Metrics of one policy update, after its last pass; `entropy` is before the first."""

    status: str
    improvement: float
    kl: float
    multiplier: float
    entropy: float


def next_multiplier(multiplier: float, kl: float, max_kl: float, rate: float) -> float:
    """max(0, λ + α (KL − δ))  (TR-12)."""
    return max(0.0, multiplier + rate * (kl - max_kl))


def new_dual(theta: Array, config: DualConfig) -> DualState:
    """The state before the first update."""
    return DualState(*new_adam(theta), config.dual_init)


def dual_update(
    policy: Policy, theta: Array, state: DualState, samples: Samples, config: DualConfig, order: Array
) -> tuple[Array, DualState, DualInfo]:
    """All passes over a batch: θ′, the new state, metrics. If they are not finite, the given θ and state are returned.

    theta (P,), order (E, B): the permutation of the rows in each pass.
    """
    adv = normalize(samples.adv, policy.backend) if config.normalize_advantage else samples.adv
    acted = samples.acted._replace(adv=adv)
    entropies = policy.distribution.entropy(samples.params)
    entropy, before = map(float, fetch(entropies.mean(), adv.mean(dtype=np.float64)))
    new, adam, multiplier, value, kl = theta, AdamState(*state[:3]), state.multiplier, before, 0.0
    for k in range(len(order)):
        terms = SurrogateTerms(math.inf, multiplier, 0.0)
        new, adam, _, _, value, kl, _, finite = ascend(
            policy, new, adam, acted, terms, order[k : k + 1], config.minibatch_size, config.learning_rate
        )
        if not (finite and math.isfinite(value) and math.isfinite(kl)):
            return theta, state, DualInfo("step not finite", 0.0, 0.0, state.multiplier, entropy)
        multiplier = next_multiplier(multiplier, kl, config.max_kl, config.dual_learning_rate)
    return new, DualState(*adam, multiplier), DualInfo("ok", value - before, kl, multiplier, entropy)
