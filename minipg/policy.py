"""Policies: a network and a distribution over one flat θ.

All kinds answer the same calls, so whatever stands above them (gradients, Fisher products, algorithms) never asks
which it has. J is the Jacobian of the distribution's parameters (B, D) in θ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from minipg.backend import Backend
from minipg.checks import Array, as_array, as_flat, require
from minipg.distribution import Distribution, categorical, gaussian, squashed
from minipg.mlp import MLP, Tape
from minipg.parameters import Layout

LOG_STD_RANGE = (-20.0, 2.0)


class PolicyTape(NamedTuple):
    """The network's tape, and the parameters (B, D) of every row's distribution."""

    mlp: Tape
    params: Array


@dataclass(frozen=True)
class NetworkPolicy:
    """π(a|s), whose parameters are the network's outputs: of whatever family `distribution` is."""

    mlp: MLP
    distribution: Distribution
    form: ClassVar[int] = 0
    """How kernels get from the network to a distribution: 0 its outputs, 1 and log σ from θ, 2 its outputs, bounded."""

    def __post_init__(self) -> None:
        outputs = self.mlp.sizes[-1]
        require(outputs == self.distribution.n_params, "mlp", f"{self.distribution.n_params} outputs", outputs)

    @property
    def backend(self) -> Backend:
        """The twin that computes."""
        return self.mlp.backend

    @property
    def layout(self) -> Layout:
        """Names and shapes inside θ."""
        return self.mlp.layout

    @property
    def in_kernels(self) -> tuple[Any, ...]:
        """What kernels know it by: form, bounds of log σ, the distribution's options, sizes, activation."""
        return (self.form, LOG_STD_RANGE, self.distribution.options, *self.mlp.spec)

    def init(self, rng: np.random.Generator, dtype: type = np.float32) -> Array:
        """θ (P,) of a nearly uniform policy: the last layer is small."""
        return self.mlp.init(rng, last_gain=0.01, dtype=dtype)

    def project(self, theta: Array) -> Array:
        """The nearest allowed θ: every θ is."""
        return theta

    def spread(self, theta: Array) -> dict[str, float]:
        """σ, where it is the same in every state: it is not."""
        return {}

    def forward(self, theta: Array, obs: Array) -> PolicyTape:
        """theta (P,), obs (B, O) → the distributions of every row."""
        tape = self.mlp.forward(theta, obs)
        return PolicyTape(tape, tape.out)

    def jvp(self, theta: Array, tape: PolicyTape, v: Array) -> Array:
        """J v.   v (P,) → (B, D)."""
        return self.mlp.jvp(theta, tape.mlp, v)

    def vjp(self, theta: Array, tape: PolicyTape, g: Array) -> Array:
        """Jᵀ g, summed over the batch.   g (B, D) → (P,)."""
        return self.mlp.vjp(theta, tape.mlp, g)

    def fisher_product(self, theta: Array, tape: PolicyTape, v: Array) -> Array:
        """Σ Jᵀ M J v over the batch  (TR-9).   theta, v (P,) → (P,)."""
        if self.distribution.name == "categorical":
            return _fused_product("categorical_product", self, theta, tape, v)
        MJv = self.distribution.fisher_product(tape.params, self.jvp(theta, tape, v))
        return self.vjp(theta, tape, MJv)


@dataclass(frozen=True)
class CategoricalPolicy(NetworkPolicy):
    """π(a|s) = softmax(f_θ(s))_a: the network's outputs are the logits."""

    distribution: Distribution = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "distribution", categorical(self.mlp.sizes[-1], self.backend))


@dataclass(frozen=True)
class StateGaussianPolicy(NetworkPolicy):
    """π(a|s) = N(μ(s), diag σ(s)²), squashed or not: the network's outputs are (μ, z), and z is bounded to log σ.

    log σ = h tanh(z/h), where h is the distance from 0 to the end of LOG_STD_RANGE on z's side: the identity near 0,
    twice continuously differentiable everywhere, where a clip would have kinks. Its derivative 1 − tanh²(z/h) is a
    factor of J; where tanh rounds to ±1 it is 0, and log σ is not moved.
    """

    log_std_init: float = 0.0
    form: ClassVar[int] = 2

    def init(self, rng: np.random.Generator, dtype: type = np.float32) -> Array:
        """θ (P,) with means near 0 and log σ near log_std_init, which is kept 0.1 inside its range."""
        theta, size = super().init(rng, dtype), self.distribution.size
        inside = np.clip(self.log_std_init, LOG_STD_RANGE[0] + 0.1, LOG_STD_RANGE[1] - 0.1)
        theta[-size:] = _reach(inside) * np.arctanh(inside / _reach(inside))
        return theta

    def forward(self, theta: Array, obs: Array) -> PolicyTape:
        """theta (P,), obs (B, O) → the distributions of every row."""
        tape, size = self.mlp.forward(theta, obs), self.distribution.size
        params, z = tape.out.copy(), tape.out[:, size:]
        params[:, size:] = _reach(z) * np.tanh(z / _reach(z))
        return PolicyTape(tape, params)

    def jvp(self, theta: Array, tape: PolicyTape, v: Array) -> Array:
        """J v.   v (P,) → (B, D)."""
        return self._slope(tape) * super().jvp(theta, tape, v)

    def vjp(self, theta: Array, tape: PolicyTape, g: Array) -> Array:
        """Jᵀ g, summed over the batch.   g (B, D) → (P,)."""
        return super().vjp(theta, tape, self._slope(tape) * g)

    def _slope(self, tape: PolicyTape) -> Array:
        """∂(μ, log σ)/∂(μ, z), a diagonal (B, D)."""
        slope, z = np.ones_like(tape.params), tape.mlp.out[:, self.distribution.size :]
        slope[:, -z.shape[1] :] = 1 - np.tanh(z / _reach(z)) ** 2
        return slope


@dataclass(frozen=True)
class GaussianPolicy:
    """π(a|s) = N(f_θ(s), diag σ²), squashed or not: log σ, the same in every state, is the tail of θ."""

    mlp: MLP
    log_std_init: float = 0.0
    squash: bool = False
    form: ClassVar[int] = 1

    @property
    def backend(self) -> Backend:
        """The twin that computes."""
        return self.mlp.backend

    @cached_property
    def distribution(self) -> Distribution:
        """The diagonal Gaussian whose mean is the network's output, or its tanh."""
        return (squashed if self.squash else gaussian)(self.mlp.sizes[-1], self.backend)

    @cached_property
    def layout(self) -> Layout:
        """Names and shapes inside θ: the network's, then log_std (A,)."""
        return Layout((*self.mlp.layout.entries, ("log_std", (self.mlp.sizes[-1],))))

    @property
    def in_kernels(self) -> tuple[Any, ...]:
        """What kernels know it by: form, bounds of log σ, the distribution's options, sizes, activation."""
        return (self.form, LOG_STD_RANGE, self.distribution.options, *self.mlp.spec)

    def _split(self, theta: Array) -> tuple[Array, Array]:
        theta = as_flat("theta", theta, self.layout.size)
        return theta[: self.mlp.layout.size], theta[self.mlp.layout.size :]

    def init(self, rng: np.random.Generator, dtype: type = np.float32) -> Array:
        """θ (P,) with means near 0 (the last layer is small) and log σ = log_std_init."""
        log_std: Array = np.full(self.mlp.sizes[-1], self.log_std_init, dtype)
        return np.concatenate([self.mlp.init(rng, last_gain=0.01, dtype=dtype), log_std])

    def project(self, theta: Array) -> Array:
        """The nearest θ with log σ in LOG_STD_RANGE: applied after a step, so that no derivative has a kink there."""
        network, log_std = self._split(theta)
        return np.concatenate([network, np.clip(log_std, *LOG_STD_RANGE)])

    def spread(self, theta: Array) -> dict[str, float]:
        """σ of each action, before any squashing, by the name of its column; of more than 8 their extremes and mean."""
        std = [math.exp(value) for value in theta[-self.mlp.sizes[-1] :].tolist()]
        if len(std) <= 8:
            return {f"std_{action}": value for action, value in enumerate(std)}
        return {"std_min": min(std), "std_mean": sum(std) / len(std), "std_max": max(std)}

    def forward(self, theta: Array, obs: Array) -> PolicyTape:
        """theta (P,), obs (B, O) → the distributions of every row."""
        network, log_std = self._split(theta)
        tape = self.mlp.forward(network, obs)
        return PolicyTape(tape, self._beside(tape.out, log_std))

    def jvp(self, theta: Array, tape: PolicyTape, v: Array) -> Array:
        """J v.   v (P,) → (B, D)."""
        (network, _), (v_network, v_log_std) = self._split(theta), self._split(v)
        return self._beside(self.mlp.jvp(network, tape.mlp, v_network), v_log_std)

    def vjp(self, theta: Array, tape: PolicyTape, g: Array) -> Array:
        """Jᵀ g, summed over the batch.   g (B, D) → (P,)."""
        size = self.mlp.sizes[-1]
        network = self.mlp.vjp(self._split(theta)[0], tape.mlp, g[:, :size])
        return np.concatenate([network, g[:, size:].sum(axis=0)])

    def fisher_product(self, theta: Array, tape: PolicyTape, v: Array) -> Array:
        """Σ Jᵀ M J v over the batch  (TR-9).   theta, v (P,) → (P,)."""
        return _fused_product("gaussian_product", self, theta, tape, v)

    def _beside(self, mean: Array, log_std: Array) -> Array:
        params = np.empty((len(mean), 2 * len(log_std)), mean.dtype)
        params[:, : len(log_std)] = mean
        params[:, len(log_std) :] = log_std
        return params


def _reach(z: Array) -> Array:
    """The distance from 0 to the end of LOG_STD_RANGE on the side of each z."""
    return np.where(z < 0, -LOG_STD_RANGE[0], LOG_STD_RANGE[1]).astype(z.dtype)


def _fused_product(
    kernel: str, policy: NetworkPolicy | GaussianPolicy, theta: Array, tape: PolicyTape, v: Array
) -> Array:
    theta = as_flat("theta", theta, policy.layout.size)
    v = as_array("v", v, theta.shape, theta.dtype)
    sizes, activation = policy.mlp.spec
    rows, out = len(tape.params), np.empty_like(theta)
    work = np.empty(2 * len(theta) + rows * (policy.mlp.sizes[-1] + 3 * max(policy.mlp.sizes)), theta.dtype)
    product = getattr(policy.backend.kernels("fisher"), kernel)
    product(theta, sizes, activation, tape.mlp.obs, tape.mlp.hidden, tape.params, v, out, work)
    return out


Policy: TypeAlias = NetworkPolicy | GaussianPolicy


def policy_for(
    distribution: Distribution,
    layers: tuple[int, ...],
    activation: str = "tanh",
    *,
    log_std_init: float = 0.0,
    state_dependent_std: bool = False,
) -> Policy:
    """The policy of a distribution: `layers` are the sizes of the network's inputs and hidden layers.

    `log_std_init` and `state_dependent_std` concern Gaussians only.
    """
    network = lambda outputs: MLP((*layers, outputs), activation, distribution.backend)
    if distribution.name == "categorical":
        return CategoricalPolicy(network(distribution.n_params))
    if distribution.discrete:
        return NetworkPolicy(network(distribution.n_params), distribution)
    if state_dependent_std:
        return StateGaussianPolicy(network(distribution.n_params), distribution, log_std_init)
    return GaussianPolicy(network(distribution.size), log_std_init, distribution.name == "squashed")


class PolicyAt(NamedTuple):
    """A policy at its parameters θ (P,): what an agent has."""

    model: Policy
    theta: Array
