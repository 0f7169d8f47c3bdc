"""Minibatch ascent on a surrogate that need not be left: what PPO and TRPO's dual form have in common."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minipg.algorithms.ascent import AdamState, adam_in_place
from minipg.backend import TILE_ROWS
from minipg.checks import Array
from minipg.policy import LOG_STD_RANGE, Policy


class Surrogate:
    """mean [min(r Â, clip(r) Â) − β KL(old‖θ) + c H] over rows of one batch  (PP-1, PP-2, PP-3).

    obs (B, O), act (B, …), adv (B,), old (B, D) the distributions that acted, terms (ε, β, c). `grad` (P,) is the
    gradient that was asked for last; up to `most` rows may be asked for, and their memory is used again.
    """

    def __init__(
        self,
        policy: Policy,
        obs: Array,
        act: Array,
        adv: Array,
        old: Array,
        terms: tuple[float, float, float],
        most: int,
    ) -> None:
        self.policy, self._obs = policy, obs
        self._batch = (act, adv, old, policy.distribution.log_prob(old, act), terms)
        sizes, rows = policy.mlp.sizes, min(most, TILE_ROWS)
        empty = lambda *shape: np.empty(shape, obs.dtype)
        self.grad, self._part = empty(policy.layout.size), empty(policy.mlp.layout.size)
        self._x, self._out, self._g = empty(rows, sizes[0]), empty(rows, sizes[-1]), empty(rows, sizes[-1])
        self._hidden, self._scratch = empty(rows * sum(sizes[1:-1])), empty(2 * rows * max(sizes))
        self._acted, self._work = np.empty((rows, *act.shape[1:]), act.dtype), empty(4 * rows * (old.shape[1] + 1))
        kernels = policy.backend.kernels("proximal")
        self._forward, self._covector = kernels.forward, kernels.covector(policy.distribution.name)
        self._vjp = policy.backend.kernels("mlp").vjp

    def gradient(self, theta: Array, rows: Array) -> tuple[float, float]:
        """The gradient at theta (P,) over `rows` (M,) → `grad`; the mean KL, and the share of ratios beyond ε."""
        policy, told = self.policy, np.zeros(2)
        sizes, activation = policy.mlp.spec
        count, units = policy.mlp.layout.size, sum(policy.mlp.sizes[1:-1])
        network, log_std = theta[:count], theta[count:]
        self.grad[:] = 0
        for some in (rows[i : i + TILE_ROWS] for i in range(0, len(rows), TILE_ROWS)):
            m = len(some)
            x, out, g, hidden = self._x[:m], self._out[:m], self._g[:m], self._hidden[: m * units]
            self._forward(network, sizes, activation, self._obs, some, x, out, hidden)
            self._covector(
                policy.form, LOG_STD_RANGE, policy.distribution.options, out, log_std, some, *self._batch,
                float(len(rows)), g, self.grad[count:], told, self._acted[:m], self._work,
            )  # fmt: skip
            self._vjp(network, sizes, activation, x, hidden, g, self._part, self._scratch)
            self.grad[:count] += self._part
        return float(told[0]) / len(rows), float(told[1]) / len(rows)


class Climb(NamedTuple):
    """θ′ (P,), Adam's state after it, the share of ratios beyond the clip range, and ok or why it ended early."""

    theta: Array
    adam: AdamState
    clip_fraction: float
    status: str


def climb(
    surrogate: Surrogate,
    theta: Array,
    adam: AdamState,
    order: Array,
    minibatch_size: int,
    learning_rate: float,
    *,
    max_kl: float = math.inf,
    max_grad_norm: float = math.inf,
) -> Climb:
    """Adam's steps up the surrogate  (AC-3), minibatch by minibatch of `order` (E, B), the rows as epochs visit them.

    theta (P,). It ends before a step from where a minibatch's mean KL(old‖θ) is beyond `max_kl`. Nothing that came in
    is changed.
    """
    policy, grad = surrogate.policy, surrogate.grad
    theta, first, second, step = theta.copy(), adam.first.copy(), adam.second.copy(), adam.step
    clipped, status = 0.0, "ok"
    for rows in (epoch[i : i + minibatch_size] for epoch in order for i in range(0, len(epoch), minibatch_size)):
        kl, beyond = surrogate.gradient(theta, rows)
        if kl > max_kl:  # asked before the step it stops
            status = "target KL"
            break
        step, clipped = step + 1, clipped + beyond
        adam_in_place(policy.backend, theta, first, second, step, grad, learning_rate, max_grad_norm)
        theta = policy.project(theta)
    taken = step - adam.step
    return Climb(theta, AdamState(first, second, step), clipped / max(taken, 1), status)
