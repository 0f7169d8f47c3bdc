"""The trust region in its penalty form, with a dual variable  (TR-12).

    θ ← argmax  L(θ) − λ (KL(θ) − δ)          a pass of minibatch Adam at a time
    λ ← max(0, λ + α (KL(θ) − δ))             after every pass

A KL beyond δ makes the next pass dearer, one below it cheaper; no second derivative and no line search is needed, and
the region is kept on average, not at every step.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import numpy as np

from minipg.algorithms.advantages import Samples
from minipg.algorithms.optimizers import AdamState
from minipg.algorithms.surrogate import Surrogate
from minipg.checks import Array
from minipg.policy import Policy
from minipg.runtime.backend import told


class DualState(NamedTuple):
    """Adam's moments and step count, and the dual variable λ."""

    first: Array
    second: Array
    step: int
    multiplier: float


class DualSettings(Protocol):
    """What the dual form is told."""

    @property
    def max_kl(self) -> float: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def minibatch_size(self) -> int: ...
    @property
    def dual_learning_rate(self) -> float: ...


class DualInfo(NamedTuple):
    """What one policy update did, measured after its last pass."""

    status: str
    improvement: float
    kl: float
    multiplier: float
    entropy: float


def next_multiplier(multiplier: float, kl: float, max_kl: float, rate: float) -> float:
    """max(0, λ + α (KL − δ))  (TR-12)."""
    return max(0.0, multiplier + rate * (kl - max_kl))


def dual_update(
    policy: Policy, theta: Array, state: DualState, samples: Samples, settings: DualSettings, order: Array
) -> tuple[Array, DualState, DualInfo]:
    """One batch's passes over θ and λ: θ′, the state after them, an account; what came in if numbers are not finite.

    theta (P,), samples.adv as it is to be weighed, order (E, B) the rows as each pass visits them.
    """
    adv, entropies = samples.adv, policy.distribution.entropy(samples.params)
    entropy, before = map(float, told(entropies.mean(), adv.mean(dtype=np.float64)))
    surrogate = Surrogate.of(policy, samples.obs, samples.act, adv, samples.params)
    new, adam, multiplier, value, kl = theta, AdamState(*state[:3]), state.multiplier, math.nan, math.nan
    for k in range(len(order)):
        terms = (math.inf, multiplier, 0.0)
        found = surrogate.climb(new, adam, terms, order[k : k + 1], settings.minibatch_size, settings.learning_rate)
        new, adam = found.theta, found.adam
        value, kl, _ = surrogate.worth(new, entropy=False)
        if not (found.finite and math.isfinite(value) and math.isfinite(kl)):
            return theta, state, DualInfo("step not finite", 0.0, 0.0, state.multiplier, entropy)
        multiplier = next_multiplier(multiplier, kl, settings.max_kl, settings.dual_learning_rate)
    return new, DualState(*adam, multiplier), DualInfo("ok", value - before, kl, multiplier, entropy)
