"""Steps along a gradient, for the algorithms that take them: Adam's state, and schedules."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from minipg.checks import Array, namespace
from minipg.objective import gradient_and_entropy
from minipg.policy import Policy
from minipg.runtime.backend import Backend, told


class Squares(Protocol):
    """An optimizer's state, whatever else is in it."""

    @property
    def second(self) -> Array: ...


S = TypeVar("S", bound=Squares)


class AdamState(NamedTuple):
    """Adam's moments (P,) each, and the steps taken."""

    first: Array
    second: Array
    step: int


def shuffled(backend: Backend, rng: np.random.Generator, epochs: int, rows: int) -> Array:
    """(E, B) the rows as each epoch visits them, by the random numbers of a key of `rng`'s."""
    order: Array = backend.xp.empty((epochs, rows), np.int64)
    backend.kernels("shuffling").shuffle(keys_of(rng, 1)[0], backend.xp.arange(rows), order)
    return order


def keys_of(rng: np.random.Generator, *shape: int) -> Array:
    """The keys of the next random orders, (shape) uint64."""
    return rng.integers(2**64, size=shape, dtype=np.uint64)


def begin_adam(theta: Array) -> AdamState:
    """Before the first step."""
    xp = namespace(theta)
    return AdamState(xp.zeros_like(theta), xp.zeros_like(theta), 0)


def adam_step(
    backend: Backend, theta: Array, state: AdamState, g: Array, learning_rate: float, max_grad_norm: float = math.inf
) -> tuple[Array, AdamState]:
    """θ′ uphill along g  (AC-3), shortened to `max_grad_norm` first: new arrays, the old ones stay.   all (P,)."""
    kernels, shortened = backend.kernels("optimizer"), backend.xp.empty_like(g)
    theta, first, second, step = theta.copy(), state.first.copy(), state.second.copy(), state.step + 1
    kernels.clip_global_norm(g, max_grad_norm, shortened)
    kernels.adam(shortened, learning_rate, 0.9, 0.999, 1e-8, step, theta, first, second)
    return theta, AdamState(first, second, step)


def all_finite(*arrays: Array) -> Any:
    """Whether every number is, told where they are.

    Running squares that have overflowed would never let a coordinate move again.
    """
    xp, finite = namespace(arrays[0]), True
    for array in arrays:
        finite = finite & xp.isfinite(array).all()
    return finite


def norm(g: Array) -> Any:
    """‖g‖ in float64, where g (P,) is."""
    g = g.astype(np.float64)
    return namespace(g).sqrt(g.dot(g))


class StepInfo(NamedTuple):
    """What one step along the policy gradient did. `status` is ok, or why θ was left as it was."""

    status: str
    grad_norm: float
    entropy: float


def policy_step(
    policy: Policy,
    theta: Array,
    state: S,
    obs: Array,
    act: Array,
    weight: Array,
    ent_coef: float,
    climb: Callable[[Array], tuple[Array, S]],
) -> tuple[Array, S, StepInfo]:
    """One step of `climb`(g) along g = E[weight ∇log π + c ∇H]  (PG-9), or what came in where it is not finite.

    theta (P,), obs (B, O), act (B, …), weight (B,) → θ′ (P,), the optimizer's state after it, and an account.
    """
    g, entropy = gradient_and_entropy(policy, theta, obs, act, weight, ent_coef)
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers that are not finite, which are looked for next
        new, after = climb(g)
    length, finite, entropy = told(norm(g), all_finite(new, after.second), entropy)
    if not math.isfinite(length):
        return theta, state, StepInfo("gradient not finite", math.nan, float(entropy))
    if not finite:
        return theta, state, StepInfo("step not finite", math.nan, float(entropy))
    return policy.project(new), after, StepInfo("ok", float(length), float(entropy))


def scheduled(schedule: str, progress: Any) -> Any:
    """The share of a setting that is left after `progress` of all steps: constant 1, or linear from 1 to 0.

    `progress` is a number or an array of them.
    """
    return np.maximum(1.0 - progress * (schedule == "linear"), 0.0)


class RMSPropSettings(Protocol):
    """What RMSProp is told."""

    @property
    def rms_decay(self) -> float: ...
    @property
    def rms_epsilon(self) -> float: ...
    @property
    def max_grad_norm(self) -> float: ...


def rmsprop_step(
    backend: Backend, theta: Array, second: Array, g: Array, learning_rate: float, settings: RMSPropSettings
) -> tuple[Array, Array]:
    """θ′ uphill along g, and the running squares  (AC-3): new arrays, the old ones stay.   all (P,)."""
    kernels, theta, second = backend.kernels("optimizer"), theta.copy(), second.copy()
    shortened = backend.xp.empty_like(g)
    kernels.clip_global_norm(g, settings.max_grad_norm, shortened)
    kernels.rmsprop(shortened, learning_rate, settings.rms_decay, settings.rms_epsilon, theta, second)
    return theta, second
