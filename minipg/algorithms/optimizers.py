"""Steps along a gradient, row orders and schedules, as pure functions: arguments are not changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np

from minipg.algorithms.advantages import Samples
from minipg.checks import Array, namespace
from minipg.kernels.arguments import Adam
from minipg.objective import gradient_and_entropy
from minipg.policy import Policy
from minipg.runtime.backend import Backend, fetch


class AdamState(NamedTuple):
    """Adam's moments (P,) each, and the steps taken."""

    first: Array
    second: Array
    step: int


def new_adam(theta: Array) -> AdamState:
    """Adam before the first step."""
    xp = namespace(theta)
    return AdamState(xp.zeros_like(theta), xp.zeros_like(theta), 0)


def adam_step(
    backend: Backend, theta: Array, state: AdamState, g: Array, learning_rate: float, max_grad_norm: float = math.inf
) -> tuple[Array, AdamState]:
    """One step of Adam uphill along g  (AC-3), clipped to norm `max_grad_norm`: θ′ and the new state.   all (P,)."""
    kernels, clipped = backend.kernels("optimizer"), backend.xp.empty_like(g)
    theta, first, second, step = theta.copy(), state.first.copy(), state.second.copy(), state.step + 1
    kernels.clip_global_norm(g, max_grad_norm, clipped)
    kernels.adam(clipped, Adam(learning_rate), step, theta, first, second)
    return theta, AdamState(first, second, step)


def mean(x: Sequence[Any]) -> Any:
    """(1/W) Σ_w x_w of arrays or numbers, added in their order  (PP-5)."""
    return reduce(add, x) / len(x)


def polyak(backend: Backend, theta: Array, tau: float, target: Array) -> Array:
    """τ θ + (1 − τ) θ′, the parameters of a target network  (DP-2).   theta, target (…) → (…)."""
    new = target.copy()
    backend.kernels("optimizer").polyak(theta.reshape(-1), tau, new.reshape(-1))
    return new


def shuffled(backend: Backend, rng: np.random.Generator, epochs: int, rows: int) -> Array:
    """(E, B) int64: a random permutation of the rows for each epoch."""
    order: Array = backend.xp.empty((epochs, rows), np.int64)
    backend.kernels("shuffling").shuffle(rng.integers(2**64, dtype=np.uint64), backend.xp.arange(rows), order)
    return order


def scheduled(schedule: str, progress: float) -> float:
    """The factor of a setting after a share `progress` of all steps: 1 if constant, from 1 to 0 if linear."""
    return max(1.0 - progress, 0.0) if schedule == "linear" else 1.0


def all_finite(*arrays: Array) -> Any:
    """True if every number is finite, on the device if the arrays are.

    Checked for running squares too: after an overflow a coordinate would never change again.
    """
    xp, finite = namespace(arrays[0]), True
    for array in arrays:
        finite = finite & xp.isfinite(array).all()
    return finite


def norm(g: Array) -> Any:
    """‖g‖ in float64, on the device if g (P,) is."""
    g = g.astype(np.float64)
    return namespace(g).sqrt(g.dot(g))


class StepInfo(NamedTuple):
    """Metrics of one step along the policy gradient, before it. `status` is ok, or why θ did not change."""

    status: str
    grad_norm: float
    entropy: float


def policy_step(
    policy: Policy, theta: Array, adam: AdamState, rows: Samples, ent_coef: float, learning_rate: float, max_norm: float
) -> tuple[Array, AdamState, StepInfo]:
    """One step of Adam along g = E[Â ∇log π + c ∇H]  (PG-9, AC-3). If not finite, the given θ and state are returned.

    theta (P,) → θ′ (P,), Adam's new state, metrics.
    """
    g, entropy = gradient_and_entropy(policy, theta, rows.obs, rows.act, rows.adv, ent_coef)
    with np.errstate(over="ignore", invalid="ignore"):  # checked next
        new, after = adam_step(policy.backend, theta, adam, g, learning_rate, max_norm)
    grad_norm, finite, entropy = fetch(norm(g), all_finite(new, after.second), entropy)
    if not (math.isfinite(grad_norm) and finite):
        status = "step not finite" if math.isfinite(grad_norm) else "gradient not finite"
        return theta, adam, StepInfo(status, math.nan, float(entropy))
    return policy.project(new), after, StepInfo("ok", float(grad_norm), float(entropy))
