"""The critic Q(s, a): a network over the row (s, a), one or several of them side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minipg.checks import Array, as_array, as_flat
from minipg.kernels.arguments import Adam
from minipg.network import MLP
from minipg.runtime.backend import to_host


class CriticState(NamedTuple):
    """K critics: their parameters and Adam's moments (K, P) each, and the Adam steps taken."""

    theta: Array
    first: Array
    second: Array
    step: int


class ActionGradient(NamedTuple):
    """Q(s, a) (B,), and its gradient in the action (B, A)."""

    q: Array
    gradient: Array


@dataclass(frozen=True)
class QNetwork:
    """Q(s, a): `mlp` has as many inputs as s and a have numbers, and one output. `count` critics are kept, K."""

    mlp: MLP
    count: int = 1

    def init(self, rng: np.random.Generator, dtype: type = np.float32) -> CriticState:
        """Initial parameters of every critic, and Adam before its first step."""
        xp = self.mlp.backend.xp
        theta = xp.stack([self.mlp.init(rng, dtype=dtype) for _ in range(self.count)])
        return CriticState(theta, xp.zeros_like(theta), xp.zeros_like(theta), 0)

    def predict(self, theta: Array, obs: Array, act: Array) -> Array:
        """Q(s, a).   theta (P,), obs (B, O), act (B, A) → (B,)."""
        theta, obs, act = self._checked(theta, obs, act)
        kernels, xp = self.mlp.backend.kernels("q_value"), self.mlp.backend.xp
        out, work = xp.empty(len(obs), theta.dtype), self._work(len(obs), theta.dtype)
        kernels.q(self.mlp.spec, theta, obs, act, out, work)
        return out

    def action_gradient(self, theta: Array, obs: Array, act: Array) -> ActionGradient:
        """Q(s, a) and ∇_a Q(s, a)  (DP-1).   theta (P,), obs (B, O), act (B, A)."""
        theta, obs, act = self._checked(theta, obs, act)
        kernels, xp = self.mlp.backend.kernels("q_value"), self.mlp.backend.xp
        out, gradient = xp.empty(len(obs), theta.dtype), xp.empty_like(act)
        kernels.action_gradient(self.mlp.spec, theta, obs, act, out, gradient, self._work(len(obs), theta.dtype))
        return ActionGradient(out, gradient)

    def fit_step(
        self, state: CriticState, obs: Array, act: Array, target: Array, learning_rate: float
    ) -> tuple[CriticState, list[float], bool]:
        """One Adam step of every critic down mean (Q(s, a) − y)²  (AC-1, AC-3), on a thread each.

        obs (B, O), act (B, A), target y (B,). → the new state, each critic's loss before the step, True if all is
        finite. The given state does not change.
        """
        backend, xp, count = self.mlp.backend, self.mlp.backend.xp, len(state.theta)
        new, stats = [xp.empty_like(array) for array in state[:3]], xp.empty((count, 2))
        kernels, adam = backend.kernels("q_value"), Adam(float(learning_rate))

        def fit(k: int) -> None:
            for array, before in zip(new, state[:3], strict=True):
                array[k] = before[k]
            own = [array[k] for array in new]  # θ and the moments
            work = self._work(len(obs), own[0].dtype)
            kernels.fit_step(self.mlp.spec, obs, act, target, adam, state.step, *own, stats[k], work)

        backend.map(fit, range(count))
        losses, finite = to_host(stats).T.tolist()
        theta, first, second = new
        return CriticState(theta, first, second, state.step + 1), losses, min(finite) == 1

    def _checked(self, theta: Array, obs: Array, act: Array) -> tuple[Array, Array, Array]:
        xp = self.mlp.backend.xp
        theta, act = as_flat("theta", theta, self.mlp.layout.size, xp), xp.asarray(act)
        actions = act.shape[1] if act.ndim == 2 else 1
        obs = as_array("obs", obs, (None, self.mlp.sizes[0] - actions), theta.dtype, xp)
        return theta, obs, as_array("act", act, (len(obs), actions), theta.dtype, xp)

    def _work(self, rows: int, dtype: Any) -> Array:
        size = self.mlp.backend.kernels("q_value").work_size(self.mlp.sizes, self.mlp.layout.size, rows)
        work: Array = self.mlp.backend.xp.empty(size, dtype)
        return work
