"""The critic V(s): a separate network with a separate flat vector, so it cannot affect the policy's trust region."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minipg.checks import Array, as_array, as_flat, as_rows, namespace, require
from minipg.kernels.arguments import Adam, Epochs
from minipg.network import MLP
from minipg.runtime.backend import to_host


class ValueState(NamedTuple):
    """The critic's parameters θ_v (P,), Adam's moments (P,) each, and the Adam steps taken."""

    theta: Array
    first: Array
    second: Array
    step: int


class Fit(NamedTuple):
    """The critic after a fit, each epoch's mean squared error before its steps (E,), and 1 if all is finite (1,)."""

    state: ValueState
    losses: Array
    finite: Array


@dataclass(frozen=True)
class ValueNetwork:
    """V(s), fitted by least squares on returns  (AC-1)."""

    mlp: MLP

    def init(self, rng: np.random.Generator, dtype: type = np.float32) -> ValueState:
        """Initial parameters, and Adam before its first step."""
        theta = self.mlp.init(rng, dtype=dtype)
        xp = self.mlp.backend.xp
        return ValueState(theta, xp.zeros_like(theta), xp.zeros_like(theta), 0)

    def predict(self, theta: Array, obs: Array) -> Array:
        """V(s) of each row.   theta (P,), obs (B, O) → (B,)."""
        return self.mlp.forward(theta, obs).out[:, 0]

    def loss_and_gradient(self, theta: Array, obs: Array, target: Array, l2: float = 0.0) -> tuple[Any, Array]:
        """mean (V(s) − target)² + l2·‖θ‖², and its gradient in θ  (AC-1).

        theta (P,), obs (B, O), target (B,) → a number (on the device if the arrays are) and (P,).
        """
        xp = self.mlp.backend.xp
        theta = as_flat("theta", theta, self.mlp.layout.size, xp)
        obs = as_rows("obs", obs, self.mlp.sizes[0], theta.dtype, xp)
        target = as_array("target", target, (len(obs),), theta.dtype, xp)
        kernels = self.mlp.backend.kernels("regression")

        def on_tile(rows: slice) -> tuple[Any, Array]:
            loss, grad, x = xp.empty(1), xp.empty_like(theta), obs[rows]
            work = xp.empty(kernels.work_size(self.mlp.sizes, len(theta), len(x)), theta.dtype)
            kernels.loss_and_gradient(self.mlp.spec, theta, x, target[rows], grad, loss, work)
            return loss[0], grad

        losses, gradients = zip(*self.mlp.backend.map_rows(on_tile, len(obs)), strict=True)
        loss, gradient = sum(losses) / len(obs), sum(gradients) / len(obs)
        if l2:
            return loss + l2 * (theta @ theta).astype(np.float64), gradient + 2 * l2 * theta
        return loss, gradient

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
    ) -> Fit:
        """Minibatch Adam over epochs  (AC-1, AC-3).

        obs (B, O), target (B,), order (E, B): the permutation of the rows in each epoch. With a `clip_range`, V is
        clipped to within that range of `old` (B,), as PPO clips its ratio. A gradient longer than `max_grad_norm` is
        scaled to that norm.
        """
        dtype, backend = state.theta.dtype, self.mlp.backend
        xp = backend.xp
        obs = as_rows("obs", obs, self.mlp.sizes[0], dtype, xp)
        target = as_array("target", target, (len(obs),), dtype, xp)
        old = as_array("old", xp.zeros_like(target) if old is None else old, target.shape, dtype, xp)
        order = as_array("order", order, (None, len(obs)), np.int64, namespace(order))
        inside = order.size > 0 and (not isinstance(order, np.ndarray) or (order.min() >= 0 and order.max() < len(obs)))
        # an order on a device is not checked: reading it would wait for the device
        require(bool(inside), "order", f"at least one epoch of rows from 0 to {len(obs) - 1}", order.shape)
        require(minibatch_size >= 1, "minibatch_size", "an integer ≥ 1", minibatch_size)
        rows, kernels = min(minibatch_size, len(obs)), backend.kernels("regression")
        adam = Adam(float(learning_rate), float(betas[0]), float(betas[1]), float(epsilon))
        theta, first, second = state.theta.copy(), state.first.copy(), state.second.copy()
        losses, finite = xp.empty(len(order)), xp.empty(1)
        work = xp.empty(kernels.work_size(self.mlp.sizes, len(theta), rows), dtype)
        kernels.fit(
            self.mlp.spec, obs, target, old, float(clip_range), Epochs(rows, adam, float(max_grad_norm)),
            backend.to_device(order), state.step, theta, first, second, losses, finite, work,
        )  # fmt: skip
        step = state.step + len(order) * -(-len(obs) // rows)
        return Fit(ValueState(theta, first, second, step), losses, finite)

    def minibatch_gradient(
        self, theta: Array, obs: Array, target: Array, old: Array, rows: Array, clip_range: float = math.inf
    ) -> tuple[Array, float]:
        """The step direction of `fit_adam` on the minibatch `rows` (M,), and Σ (V(s) − target)² over it  (AC-1).

        The direction is minus the loss's gradient.   theta (P,), obs (B, O), target, old (B,) → (P,) and a number.
        """
        backend, xp = self.mlp.backend, self.mlp.backend.xp
        kernels, grad, squares = backend.kernels("regression"), xp.empty_like(theta), xp.empty(1)
        work = xp.empty(kernels.work_size(self.mlp.sizes, len(theta), len(rows)), theta.dtype)
        rows = backend.to_device(rows)
        kernels.gradient(self.mlp.spec, theta, obs, target, old, float(clip_range), rows, grad, squares, work)
        return grad, float(to_host(squares)[0])

    def fit_lbfgs(self, state: ValueState, obs: Array, target: Array, iterations: int = 25, l2: float = 1e-3) -> Fit:
        """SciPy's L-BFGS on the whole batch in float64, with an L2 penalty  (AC-1)."""
        from scipy.optimize import minimize

        def loss(theta: Array) -> tuple[float, Array]:
            value, gradient = self.loss_and_gradient(theta, obs64, target64, l2)
            return float(to_host(value)), to_host(gradient)  # SciPy works on the host

        obs64, target64 = obs.astype(np.float64), target.astype(np.float64)
        start = to_host(state.theta).astype(np.float64)
        result = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": iterations})
        fitted, loss_array = map(
            self.mlp.backend.to_device, (result.x.astype(state.theta.dtype), np.array([result.fun]))
        )
        finite = self.mlp.backend.xp.isfinite(fitted).all()[None]
        return Fit(state._replace(theta=fitted), loss_array, finite)
