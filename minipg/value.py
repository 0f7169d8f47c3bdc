"""The critic V(s): its own network, its own flat vector, so it cannot leak into the policy's trust region."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minipg.checks import Array, as_array, as_flat, require
from minipg.mlp import MLP


class ValueState(NamedTuple):
    """The critic's parameters θ_v (P,), Adam's moments (P,) each, and the Adam steps taken."""

    theta: Array
    first: Array
    second: Array
    step: int


@dataclass(frozen=True)
class ValueNetwork:
    """V(s), fitted by least squares on returns  (AC-1)."""

    mlp: MLP

    def init(self, rng: np.random.Generator, dtype: type = np.float32) -> ValueState:
        """A fresh critic."""
        theta = self.mlp.init(rng, dtype=dtype)
        return ValueState(theta, np.zeros_like(theta), np.zeros_like(theta), 0)

    def predict(self, theta: Array, obs: Array) -> Array:
        """V(s) of each row.   theta (P,), obs (B, O) → (B,)."""
        return self.mlp.forward(theta, obs).out[:, 0]

    def loss_and_gradient(self, theta: Array, obs: Array, target: Array, l2: float = 0.0) -> tuple[float, Array]:
        """mean (V(s) − target)² + l2·‖θ‖², and its gradient in θ  (AC-1).   obs (B, O), target (B,) → float, (P,)."""

        theta = as_flat("theta", theta, self.mlp.layout.size)
        obs = as_array("obs", obs, (None, self.mlp.sizes[0]), theta.dtype)
        target = as_array("target", target, (len(obs),), theta.dtype)
        kernel = self.mlp.backend.kernels("regression").loss_and_gradient
        numbers = 2 + sum(self.mlp.sizes[1:-1]) + 2 * max(self.mlp.sizes)

        def on_tile(rows: slice) -> tuple[float, Array]:
            told, grad, x = np.empty(1), np.empty_like(theta), obs[rows]
            kernel(*self.mlp.spec, theta, x, target[rows], grad, told, np.empty(len(theta) + len(x) * numbers, x.dtype))
            return float(told[0]), grad

        losses, gradients = zip(*self.mlp.backend.map_rows(on_tile, len(obs)), strict=True)
        loss, gradient = sum(losses) / len(obs), sum(gradients) / len(obs)
        return (loss + l2 * float(theta @ theta), gradient + 2 * l2 * theta) if l2 else (loss, gradient)

    def fit_adam(
        self,
        state: ValueState,
        obs: Array,
        target: Array,
        order: Array,
        minibatch_size: int,
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        old: Array | None = None,
        clip_range: float = math.inf,
        max_grad_norm: float = math.inf,
    ) -> tuple[ValueState, Array]:
        """Minibatch Adam over epochs  (AC-1, AC-3): a new state, and each epoch's mean squared error.

        obs (B, O), target (B,), order (E, B): the permutation of the rows in each epoch. With a `clip_range` V stays
        that near to its `old` values (B,); gradients longer than `max_grad_norm` are shortened.
        """
        dtype = state.theta.dtype
        obs = as_array("obs", obs, (None, self.mlp.sizes[0]), dtype)
        target = as_array("target", target, (len(obs),), dtype)
        old = as_array("old", np.zeros_like(target) if old is None else old, target.shape, dtype)
        order = as_array("order", order, (None, len(obs)), np.int64)
        inside = order.size > 0 and order.min() >= 0 and order.max() < len(obs)
        require(bool(inside), "order", f"at least one epoch of rows from 0 to {len(obs) - 1}", order.shape)
        require(minibatch_size >= 1, "minibatch_size", "an integer ≥ 1", minibatch_size)
        rows, (sizes, activation) = min(minibatch_size, len(obs)), self.mlp.spec
        work = np.empty(2 * len(state.theta) + rows * (sizes[0] + 2 + sizes[1:-1].sum() + 2 * sizes.max()), dtype)
        theta, first, second = state.theta.copy(), state.first.copy(), state.second.copy()
        loss = np.empty(len(order))
        adam = (float(learning_rate), float(betas[0]), float(betas[1]), float(epsilon))
        limits = (float(clip_range), float(max_grad_norm))
        self.mlp.backend.kernels("regression").fit(
            sizes, activation, obs, target, old, order, rows, adam, limits, state.step, theta, first, second, loss, work
        )
        return ValueState(theta, first, second, state.step + len(order) * -(-len(obs) // rows)), loss

    def fit_lbfgs(
        self, state: ValueState, obs: Array, target: Array, iterations: int = 25, l2: float = 1e-3
    ) -> tuple[ValueState, Array]:
        """SciPy's L-BFGS on the whole batch in float64, with an L2 penalty  (AC-1): a new state and the loss (1,)."""
        from scipy.optimize import minimize

        def loss(theta: Array) -> tuple[float, Array]:
            return self.loss_and_gradient(theta, obs64, target64, l2)

        obs64, target64 = obs.astype(np.float64), target.astype(np.float64)
        result = minimize(
            loss, state.theta.astype(np.float64), jac=True, method="L-BFGS-B", options={"maxiter": iterations}
        )
        return state._replace(theta=result.x.astype(state.theta.dtype)), np.array([result.fun])
