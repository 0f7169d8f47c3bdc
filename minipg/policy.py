"""Policies: a network and a distribution over one flat θ.

All policies have the same methods, so gradients, Fisher products and algorithms work with any of them. J is the
Jacobian of the distribution's parameters (B, D) in θ.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, NamedTuple, TypeAlias

import numpy as np

from minipg.checks import Array, as_array, as_flat, require
from minipg.distribution import Distribution, categorical, gaussian, squashed
from minipg.kernels import arguments
from minipg.network import MLP, Images, Tape
from minipg.parameters import Layout
from minipg.runtime.backend import Backend, to_host

LOG_STD_RANGE = (-20.0, 2.0)


class PolicyTape(NamedTuple):
    """The network's tape, and the parameters (B, D) of every row's distribution."""

    mlp: Tape
    params: Array

    def tile(self, rows: slice) -> PolicyTape:
        """Views of the rows of one tile of the batch."""
        return PolicyTape(self.mlp.tile(rows), self.params[rows])

    @property
    def forward_pass(self) -> arguments.ForwardPass:
        """The forward pass as an argument of kernels."""
        return arguments.ForwardPass(*self.mlp, self.params)


@dataclass(frozen=True)
class NetworkPolicy:
    """π(a|s): the network's outputs are the parameters of `distribution`, of any family."""

    mlp: MLP
    distribution: Distribution
    form: ClassVar[int] = 0
    """How outputs become parameters (kernels/*/distribution_params.py). 0: the outputs are the parameters. 1: the
    outputs are μ, and log σ is the tail of θ. 2: the outputs are (μ, z), and log σ is computed from z. 3: the outputs
    are logits, of which those of forbidden actions are replaced."""

    def __post_init__(self) -> None:
        outputs = self.mlp.sizes[-1]
        require(outputs == self.distribution.n_params, "mlp", f"{self.distribution.n_params} outputs", outputs)

    @property
    def backend(self) -> Backend:
        """The backend of the network."""
        return self.mlp.backend

    @property
    def layout(self) -> Layout:
        """Names and shapes inside θ."""
        return self.mlp.layout

    @cached_property
    def spec(self) -> arguments.PolicySpec:
        """The policy as an argument of kernels."""
        return arguments.PolicySpec(self.mlp.spec, self.distribution.family, self.form, LOG_STD_RANGE)

    def init(self, rng: np.random.Generator, dtype: type = np.float32) -> Array:
        """θ (P,) of a nearly uniform policy: the last layer is small."""
        return self.mlp.init(rng, last_gain=0.01, dtype=dtype)

    def project(self, theta: Array) -> Array:
        """Project θ onto the feasible set (no constraint here)."""
        return theta

    def spread(self, theta: Array) -> dict[str, float]:
        """σ of each action, if it is the same in every state: none here, so {}."""
        return {}

    def forward(self, theta: Array, obs: Array) -> PolicyTape:
        """The distribution of every row, and the tape for the derivatives.   theta (P,), obs (B, O)."""
        network, log_std = self._split(theta)
        tape = self.mlp.forward(network, obs)
        if self.form == 0:
            return PolicyTape(tape, tape.out)
        params: Array = self.backend.xp.empty((len(obs), self.distribution.n_params), theta.dtype)
        kernels = self.backend.kernels("distribution_params")
        kernels.parameters(self.form, LOG_STD_RANGE, tape.obs, tape.out, log_std, params)
        return PolicyTape(tape, params)

    def acting(self, theta: Array, rows: int) -> Callable[[Array, Array, Array, Array], None]:
        """A function that samples a ~ π_θ(·|s) again and again, for loops over time steps.   theta (P,).

        → f(obs, noise, params, act) of obs (B, O), noise (B, …) from `distribution.noise`; it fills params (B, D) and
        act (B, …), B ≤ rows. It checks nothing: arrays must be C-contiguous, in θ's dtype (obs may be bytes), and
        where the backend computes. One thread at a time may call it.
        """
        theta = as_flat("theta", theta, self.layout.size, self.backend.xp)
        kernels, spec = self.backend.kernels("act"), self.spec
        work: Array = self.backend.xp.empty(kernels.work_size(self.mlp.sizes, len(theta), rows), theta.dtype)
        return lambda obs, noise, params, act: kernels.act(spec, theta, obs, noise, params, act, work)

    def jvp(self, theta: Array, tape: PolicyTape, v: Array) -> Array:
        """J v.   theta (P,), tape from `forward`, v (P,) → (B, D)."""
        (network, _), (v_network, v_log_std) = self._split(theta), self._split(v)
        d_out, d_params = self.mlp.jvp(network, tape.mlp, v_network), self.backend.xp.empty_like(tape.params)
        kernels = self.backend.kernels("distribution_params")
        kernels.push_forward(self.form, LOG_STD_RANGE, tape.mlp.obs, tape.mlp.out, d_out, v_log_std, d_params)
        return d_params

    def vjp(self, theta: Array, tape: PolicyTape, g: Array) -> Array:
        """Jᵀ g, summed over the batch.   theta (P,), tape from `forward`, g (B, D) → (P,)."""
        xp, tail = self.backend.xp, self.layout.size - self.mlp.layout.size
        (network, _), log_std_grad = self._split(theta), xp.zeros(tail, theta.dtype)
        g, g_out = as_array("g", g, tape.params.shape, theta.dtype, xp), xp.empty_like(tape.mlp.out)
        kernels = self.backend.kernels("distribution_params")
        kernels.pull_back(self.form, LOG_STD_RANGE, tape.mlp.obs, tape.mlp.out, g, g_out, log_std_grad)
        return xp.concatenate([self.mlp.vjp(network, tape.mlp, g_out), log_std_grad])

    def fisher_product(self, theta: Array, tape: PolicyTape, v: Array) -> Array:
        """Σ Jᵀ M J v over the batch  (TR-9).   theta, v (P,) → (P,)."""
        xp, kernels = self.backend.xp, self.backend.kernels("fisher")
        theta = as_flat("theta", theta, self.layout.size, xp)
        v = as_array("v", v, theta.shape, theta.dtype, xp)

        def on_tile(rows: slice) -> Array:
            forward, out = tape.tile(rows).forward_pass, xp.empty_like(theta)
            work = xp.empty(kernels.work_size(self.mlp.sizes, len(theta), len(forward.obs)), theta.dtype)
            kernels.fisher_product(self.spec, theta, forward, v, out, work)
            return out

        return sum(self.backend.map_rows(on_tile, len(tape.params)), start=xp.zeros_like(theta))

    def _split(self, theta: Array) -> tuple[Array, Array]:
        theta = as_flat("theta", theta, self.layout.size, self.backend.xp)
        return theta[: self.mlp.layout.size], theta[self.mlp.layout.size :]


@dataclass(frozen=True)
class CategoricalPolicy(NetworkPolicy):
    """π(a|s) = softmax(f_θ(s))_a: the network's outputs are the logits."""

    distribution: Distribution = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "distribution", categorical(self.mlp.sizes[-1], self.backend))


@dataclass(frozen=True)
class GaussianPolicy(NetworkPolicy):
    """π(a|s) = N(f_θ(s), diag σ²), squashed or not. log σ is the tail of θ: the same in every state."""

    distribution: Distribution = field(init=False)
    log_std_init: float = 0.0
    squash: bool = False
    form: ClassVar[int] = 1

    def __post_init__(self) -> None:
        distribution = (squashed if self.squash else gaussian)(self.mlp.sizes[-1], self.backend)
        object.__setattr__(self, "distribution", distribution)

    @cached_property
    def layout(self) -> Layout:
        """Names and shapes inside θ: the network's, then log_std (A,)."""
        return Layout((*self.mlp.layout.entries, ("log_std", (self.mlp.sizes[-1],))))

    def init(self, rng: np.random.Generator, dtype: type = np.float32) -> Array:
        """θ (P,) with means near 0 (the last layer is small) and log σ = log_std_init."""
        log_std: Array = self.backend.xp.full(self.mlp.sizes[-1], self.log_std_init, dtype)
        return self.backend.xp.concatenate([super().init(rng, dtype), log_std])

    def project(self, theta: Array) -> Array:
        """Clip log σ to LOG_STD_RANGE. Applied after a step, so that no derivative has a kink there."""
        network, log_std = self._split(theta)
        xp = self.backend.xp
        return xp.concatenate([network, xp.clip(log_std, *LOG_STD_RANGE)])

    def spread(self, theta: Array) -> dict[str, float]:
        """σ of each action, before any squashing: {"std_0": …}; of more than 8 their minimum, mean and maximum."""
        std = [math.exp(value) for value in to_host(self._split(theta)[1]).tolist()]
        if len(std) <= 8:
            return {f"std_{action}": value for action, value in enumerate(std)}
        return {"std_min": min(std), "std_mean": sum(std) / len(std), "std_max": max(std)}


@dataclass(frozen=True)
class StateGaussianPolicy(NetworkPolicy):
    """π(a|s) = N(μ(s), diag σ(s)²), squashed or not: the network's outputs are (μ, z), and z is bounded to log σ.

    log σ = h tanh(z/h), where h is the distance from 0 to the end of LOG_STD_RANGE on z's side. It is the identity
    near 0 and twice continuously differentiable; a clip would have kinks. Its derivative 1 − tanh²(z/h) is a factor of
    J. Where tanh rounds to ±1, the derivative is 0 and log σ does not change.
    """

    log_std_init: float = 0.0
    form: ClassVar[int] = 2

    def init(self, rng: np.random.Generator, dtype: type = np.float32) -> Array:
        """θ (P,) with means near 0 and log σ near log_std_init, which is kept 0.1 inside its range."""
        theta, (low, high) = super().init(rng, dtype), LOG_STD_RANGE
        inside = min(max(self.log_std_init, low + 0.1), high - 0.1)
        reach = high if inside > 0 else -low
        theta[-self.distribution.size :] = reach * math.atanh(inside / reach)
        return theta


@dataclass(frozen=True)
class MaskedPolicy(NetworkPolicy):
    """π(a|s) is the softmax over the actions that s allows: any other has probability 0 and no gradient  (DI-9).

    The first D numbers of an observation are the mask: 1 for an action that is allowed, 0 for one that is not. They are
    inputs of the network too. The distribution is categorical, or multicategorical with the masks of its choices side
    by side.
    """

    form: ClassVar[int] = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        name, inputs = self.distribution.name, self.mlp.sizes[0]
        require("categorical" in name, "distribution", "categorical or multicategorical, with a mask", name)
        require(inputs >= self.distribution.n_params, "mlp", f"{self.distribution.n_params} inputs or more", inputs)


Policy: TypeAlias = NetworkPolicy


def policy_for(
    distribution: Distribution,
    layers: tuple[int, ...],
    activation: str = "tanh",
    *,
    log_std_init: float = 0.0,
    state_dependent_std: bool = False,
    masked: bool = False,
    images: Images = Images(),  # noqa: B008  (a NamedTuple does not change)
) -> Policy:
    """The policy of a distribution: `layers` are the sizes of the network's inputs and hidden layers.

    `images`: how the network reads its inputs. `log_std_init` and `state_dependent_std` apply to Gaussians only,
    `masked` to choices: the observations begin with the mask of allowed actions.
    """
    network = lambda outputs: MLP((*layers, outputs), activation, distribution.backend, *images)
    if masked:
        return MaskedPolicy(network(distribution.n_params), distribution)
    if distribution.name == "categorical":
        return CategoricalPolicy(network(distribution.n_params))
    if distribution.discrete:
        return NetworkPolicy(network(distribution.n_params), distribution)
    if state_dependent_std:
        return StateGaussianPolicy(network(distribution.n_params), distribution, log_std_init)
    return GaussianPolicy(network(distribution.size), log_std_init, distribution.name == "squashed")


class PolicyAt(NamedTuple):
    """A policy and its parameters θ (P,)."""

    model: Policy
    theta: Array
