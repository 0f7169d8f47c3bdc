"""A deterministic policy μ(s) = tanh f_θ(s), its gradient through a critic, and the targets of its critics.

Actions are numbers from −1 to 1; the environment's bounds are applied where it is stepped (minipg/envs).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minipg.checks import Array, as_array, as_flat, require
from minipg.network import MLP
from minipg.parameters import Layout
from minipg.q_value import QNetwork
from minipg.runtime.backend import Backend, fetch

HALVES = 64  # rows: a larger batch is computed in two halves, which two threads share


class Actions:
    """The actions of a deterministic policy, under the names that distributions have."""

    name, discrete = "deterministic", False

    def __init__(self, size: int) -> None:
        self.size = self.n_params = size
        self.act_shape = (size,)

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: type = np.float32) -> Array:
        """No randomness: zeros, shape + act_shape."""
        return np.zeros(shape + self.act_shape, dtype)

    def mode(self, params: Array) -> Array:
        """The action μ(s) itself."""
        return params

    def sample(self, params: Array, noise: Array) -> Array:
        """The action μ(s) itself: exploration noise is a matter of learning."""
        return params


class DeterministicTape(NamedTuple):
    """A forward pass: obs (B, O), the network's activations, and μ(s) (B, A) as `params`."""

    obs: Array
    hidden: Array
    params: Array


@dataclass(frozen=True)
class DeterministicPolicy:
    """μ(s) = tanh f_θ(s): `mlp` has an output for each number of an action."""

    mlp: MLP

    @property
    def backend(self) -> Backend:
        """The backend of the network."""
        return self.mlp.backend

    @property
    def layout(self) -> Layout:
        """Names and shapes inside θ."""
        return self.mlp.layout

    @property
    def distribution(self) -> Actions:
        """The form of its actions."""
        return Actions(self.mlp.sizes[-1])

    def init(self, rng: np.random.Generator, dtype: type = np.float32) -> Array:
        """θ (P,) of a policy near 0 everywhere: the last layer is small."""
        return self.mlp.init(rng, last_gain=0.01, dtype=dtype)

    def spread(self, theta: Array) -> dict[str, float]:
        """{}: there is no σ."""
        return {}

    def forward(self, theta: Array, obs: Array) -> DeterministicTape:
        """μ(s) of every row, and the tape for the derivatives.   theta (P,), obs (B, O)."""
        xp, kernels = self.backend.xp, self.backend.kernels("deterministic")
        theta = as_flat("theta", theta, self.layout.size, xp)
        obs = as_array("obs", obs, (None, self.mlp.sizes[0]), theta.dtype, xp)
        hidden = xp.empty(len(obs) * sum(self.mlp.sizes[1:-1]), theta.dtype)
        out = xp.empty((len(obs), self.mlp.sizes[-1]), theta.dtype)
        kernels.act(self.mlp.spec, theta, obs, out, hidden)
        return DeterministicTape(obs, hidden, out)

    def jvp(self, theta: Array, tape: DeterministicTape, v: Array) -> Array:
        """The derivative of μ along v.   theta, v (P,), tape from `forward` → (B, A)."""
        xp, kernels = self.backend.xp, self.backend.kernels("deterministic")
        v, out = as_array("v", v, theta.shape, theta.dtype, xp), xp.empty_like(tape.params)
        work = xp.empty(3 * len(out) * max(self.mlp.sizes), theta.dtype)
        kernels.jvp(self.mlp.spec, theta, tape.obs, tape.hidden, tape.params, v, out, work)
        return out

    def vjp(self, theta: Array, tape: DeterministicTape, u: Array) -> Array:
        """Σ ∇_θ μ(s)ᵀ u over the batch.   theta (P,), tape from `forward`, u (B, A) → (P,)."""
        xp, kernels = self.backend.xp, self.backend.kernels("deterministic")
        u, out = as_array("u", u, tape.params.shape, theta.dtype, xp), xp.empty_like(theta)
        work = xp.empty(len(theta) + len(u) * (u.shape[1] + 2 * max(self.mlp.sizes)), theta.dtype)
        kernels.vjp(self.mlp.spec, theta, tape.obs, tape.hidden, tape.params, u, out, work)
        return out

    def acting(self, theta: Array, rows: int) -> Callable[[Array, Array, Array, Array], None]:
        """A function f(obs, noise, params, act) for loops over time steps: it fills params and act with μ(s)."""
        return explorer(self, theta)


def explorer(policy: DeterministicPolicy, theta: Array) -> Callable[[Array, Array, Array, Array], None]:
    """f(obs, noise, params, act): params ← μ(s), act ← μ(s) + noise, clipped to ±1.   all (B, A)."""

    def act_with_noise(obs: Array, noise: Array, params: Array, act: Array) -> None:
        params[...] = policy.forward(theta, obs).params
        act[...] = policy.backend.xp.clip(params + noise, -1, 1)

    return act_with_noise


class PolicyGradient(NamedTuple):
    """∇J (P,), and mean Q(s, μ(s)) on the host."""

    gradient: Array
    value: float


def deterministic_policy_gradient(
    policy: DeterministicPolicy, critic: QNetwork, theta: Array, theta_q: Array, obs: Array
) -> PolicyGradient:
    """∇J = mean ∇_θ μ(s) ∇_a Q(s, a) at a = μ(s)  (DP-1), and mean Q(s, μ(s)).   theta (P,), theta_q, obs (B, O)."""
    backend, xp = policy.backend, policy.backend.xp
    theta = as_flat("theta", theta, policy.layout.size, xp)
    obs = as_array("obs", obs, (None, policy.mlp.sizes[0]), theta.dtype, xp)
    kernels = backend.kernels("deterministic")

    def on_half(rows: slice) -> tuple[Array, Any]:
        x, grad, value = obs[rows], xp.empty_like(theta), xp.empty(1)
        work = xp.empty(kernels.work_size(policy.mlp.sizes, critic.mlp.sizes, len(x)), theta.dtype)
        kernels.gradient(policy.mlp.spec, critic.mlp.spec, theta, theta_q, x, grad, value, work)
        return grad, value[0]

    gradients, values = zip(*backend.map(on_half, halves(len(obs))), strict=True)
    (value,) = fetch(sum(values) / len(obs))
    return PolicyGradient(sum(gradients) / len(obs), float(value))


def targets(
    policy: DeterministicPolicy,
    critic: QNetwork,
    theta: Array,
    thetas_q: Array,
    rew: Array,
    terminated: Array,
    next_obs: Array,
    noise: Array,
    gamma: float,
) -> Array:
    """y = r + γ (1 − terminated) min_k Q_k(s′, ã), with ã = μ(s′) + noise clipped to ±1  (DP-2, DP-3) → (B,).

    theta (P,), thetas_q (K, P_q): of the target networks; rew, terminated (B,), next_obs (B, O), noise (B, A).
    """
    backend, xp = policy.backend, policy.backend.xp
    require(thetas_q.ndim == 2, "thetas_q", "one row for each critic", thetas_q.shape)
    kernels, out = backend.kernels("deterministic"), xp.empty(len(rew), theta.dtype)

    def on_half(rows: slice) -> None:
        work = xp.empty(kernels.work_size(policy.mlp.sizes, critic.mlp.sizes, len(out[rows])), theta.dtype)
        kernels.targets(
            policy.mlp.spec, critic.mlp.spec, theta, thetas_q, rew[rows], terminated[rows], next_obs[rows],
            noise[rows], float(gamma), out[rows], work,
        )  # fmt: skip

    backend.map(on_half, halves(len(rew)))
    return out


def halves(rows: int) -> list[slice]:
    """The rows in two halves, or in one part if they are few."""
    half = rows // 2
    return [slice(0, half), slice(half, rows)] if rows > HALVES else [slice(0, rows)]
