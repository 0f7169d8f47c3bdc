"""How a deterministic policy explores: uniform actions at first, then μ(s) plus noise, clipped to ±1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from minipg.checks import Array
from minipg.deterministic import Actions, DeterministicPolicy

OU_RATE, OU_STEP = 0.15, 0.01  # of the Ornstein–Uhlenbeck process: pull to 0, and time of one environment step


class Noise(Protocol):
    """Numbers that are added to actions."""

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: type) -> Array: ...


class NormalNoise:
    """Independent normal numbers with standard deviation `std`, one for each number of an action."""

    def __init__(self, std: float) -> None:
        self.std = std

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: type) -> Array:
        """(T, N, A) numbers."""
        return self.std * rng.standard_normal(shape, dtype)


class OrnsteinUhlenbeckNoise:
    """x ← x − 0.15 x Δt + std √Δt · normal, with Δt = 0.01; `state` (N, A) is x after the last step."""

    def __init__(self, std: float, state: Array) -> None:
        self.std, self.state = std, state

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: type) -> Array:
        """(T, N, A): the next T values of x."""
        out = rng.standard_normal(shape, dtype)
        for t, normal in enumerate(out):
            self.state = out[t] = self.state * (1 - OU_RATE * OU_STEP) + self.std * OU_STEP**0.5 * normal
        return out


class UniformNoise:
    """Independent numbers, uniform from −1 to 1."""

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: type) -> Array:
        """(T, N, A) numbers."""
        return 2 * rng.random(shape, dtype) - 1


class Exploring(Actions):
    """Actions of a deterministic policy, with the noise that a collector draws for them."""

    def __init__(self, size: int, noise: Noise) -> None:
        super().__init__(size)
        self._noise = noise

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: type = np.float32) -> Array:
        """Noise for actions, shape + act_shape."""
        return self._noise(rng, shape + self.act_shape, dtype)


class Explorer:
    """The policy that a collector steps environments with: μ(s) + noise, clipped to ±1; with `mean` 0, noise alone."""

    def __init__(self, policy: DeterministicPolicy, noise: Noise, mean: float = 1.0) -> None:
        self.backend, self.layout, self.mlp = policy.backend, policy.layout, policy.mlp
        self.distribution = Exploring(policy.mlp.sizes[-1], noise)
        self._policy, self._mean = policy, mean

    def acting(self, theta: Array, rows: int) -> Callable[[Array, Array, Array, Array], None]:
        """f(obs, noise, params, act): params ← μ(s), act ← the action.   all (B, A) but obs (B, O)."""

        def act_with_noise(obs: Array, noise: Array, params: Array, act: Array) -> None:
            params[...] = self._policy.forward(theta, obs).params
            act[...] = self.backend.xp.clip(self._mean * params + noise, -1, 1)

        return act_with_noise
