"""Minibatch ascent on a surrogate that need not be left: what PPO and TRPO's dual form have in common."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minipg.algorithms.optimizers import AdamState, all_finite
from minipg.checks import Array
from minipg.objective import Worth, worth
from minipg.policy import Policy
from minipg.runtime.backend import to_host, told


class Surrogate(NamedTuple):
    """mean [min(r Â, clip(r) Â) − β KL(old‖θ) + c H] over rows of one batch  (PP-1, PP-2, PP-3).

    obs (B, O), act (B, …), adv (B,), old (B, D) the distributions that acted, and what they made of act: log π (B,).
    """

    policy: Policy
    obs: Array
    act: Array
    adv: Array
    old: Array
    logp_old: Array

    @classmethod
    def of(cls, policy: Policy, obs: Array, act: Array, adv: Array, old: Array) -> Surrogate:
        """The surrogate of a batch that `old` has acted in."""
        return cls(policy, obs, act, adv, old, policy.distribution.log_prob(old, act))

    def gradient(self, theta: Array, rows: Array, terms: tuple[float, float, float]) -> tuple[Array, float, float]:
        """At theta (P,), over `rows` (M,), with terms (ε, β, c): ∇ (P,), the mean KL, the share of ratios beyond ε."""
        backend = self.policy.backend
        kernel, grad, found = self._kernel("gradient"), backend.xp.empty_like(theta), backend.xp.empty(2)
        rows = backend.to_device(rows)
        kernel(self.policy.in_kernels, theta, self[1:], _floats(terms), rows, True, grad, found, *self._work(len(rows)))
        kl, share = to_host(found).tolist()
        return grad, kl, share

    def climb(
        self,
        theta: Array,
        adam: AdamState,
        terms: tuple[float, float, float],
        order: Array,
        minibatch_size: int,
        learning_rate: float,
        *,
        max_kl: float = math.inf,
        max_grad_norm: float = math.inf,
    ) -> Climb:
        """Adam's steps  (AC-3), minibatch by minibatch of `order` (E, B), the rows as epochs visit them.

        theta (P,), terms (ε, β, c). It ends before a step from where a minibatch's mean KL(old‖θ) is beyond `max_kl`.
        Nothing that came in is changed.
        """
        backend, size = self.policy.backend, min(minibatch_size, order.shape[1])
        theta, first, second, found = theta.copy(), adam.first.copy(), adam.second.copy(), backend.xp.empty(2)
        with np.errstate(over="ignore"):  # of a square, which whoever called looks for
            self._kernel("climb")(
                self.policy.in_kernels, self[1:], _floats(terms), backend.to_device(order), size,
                _floats((learning_rate, 0.9, 0.999, 1e-8)), _floats((max_kl, max_grad_norm)), adam.step,
                theta, first, second, found, *self._work(size),
            )  # fmt: skip
        steps, beyond, finite = told(found[0], found[1], all_finite(theta, second))
        taken, wanted = int(steps), len(order) * -(-order.shape[1] // size)
        return Climb(
            theta,
            AdamState(first, second, adam.step + taken),
            float(beyond) / max(taken, 1),
            "ok" if taken == wanted else "target KL",
            bool(finite),
        )

    def worth(self, theta: Array, *, entropy: bool = True) -> Worth:
        """What π_θ is worth on all rows, by the plain surrogate.   theta (P,)."""
        return worth(self.policy, theta, *self[1:], entropy=entropy)

    def _kernel(self, name: str) -> Any:
        return getattr(self.policy.backend.kernels("surrogate_epochs"), name)(self.policy.distribution.name)

    def _work(self, rows: int) -> tuple[Array, Array]:
        xp = self.policy.backend.xp
        work = xp.empty(numbers_to_climb(self.policy, rows), self.obs.dtype)
        return xp.empty((rows, *self.act.shape[1:]), self.act.dtype), work


def numbers_to_climb(policy: Policy, rows: int) -> int:
    """How many numbers the kernels work on, with minibatches of so many rows."""
    sizes, width = policy.mlp.sizes, policy.distribution.n_params
    of_a_row = sizes[0] + 2 * sizes[-1] + sum(sizes[1:-1]) + 2 * max(sizes) + 4 * (width + 1)
    return 3 * policy.layout.size + rows * of_a_row


def _floats(numbers: tuple[float, ...]) -> Any:
    """A setting may be an integer, for which a kernel would be compiled anew."""
    return tuple(map(float, numbers))


class Climb(NamedTuple):
    """θ′ (P,), Adam's state after it, the share of ratios beyond ε, ok or why it ended early, whether all is finite."""

    theta: Array
    adam: AdamState
    clip_fraction: float
    status: str
    finite: bool
