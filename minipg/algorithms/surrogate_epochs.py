"""Several epochs of minibatch Adam on a clipped or penalised surrogate, for PPO and TRPO's dual form.

It allocates and calls the kernel of the same name, `ascend` in kernels/*/surrogate_epochs.py.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minipg.algorithms.optimizers import AdamState
from minipg.checks import Array
from minipg.kernels.arguments import Acted, Adam, Epochs, SurrogateTerms
from minipg.policy import Policy
from minipg.runtime.backend import to_host


class Ascent(NamedTuple):
    """The result of `ascend`: θ′ (P,), Adam's state, and metrics."""

    theta: Array
    adam: AdamState
    steps: int
    """Adam steps taken."""
    clip_fraction: float
    """The mean share of ratios outside 1 ± ε."""
    surrogate: float
    """Mean r Â of θ′ on all rows  (IS-3), NaN if not measured."""
    kl: float
    """Mean KL(old‖θ′) on all rows  (TR-5), NaN if not measured."""
    entropy: float
    """Mean entropy of θ′ on all rows  (DI-7), NaN if not measured."""
    finite: bool
    """True if θ′ and Adam's moments are finite."""


def ascend(
    policy: Policy,
    theta: Array,
    adam: AdamState,
    acted: Acted,
    terms: SurrogateTerms,
    order: Array,
    minibatch_size: int,
    learning_rate: float,
    *,
    normalize: bool = False,
    measure: bool = True,
    max_kl: float = math.inf,
    max_grad_norm: float = math.inf,
) -> Ascent:
    """Adam uphill on mean [min(r Â, clip(r) Â) − β KL(old‖θ) + c H]  (PP-1, PP-2, PP-3, AC-3), minibatch by minibatch.

    theta (P,), acted: B rows, order (E, B): the permutation of the rows in each epoch. `normalize`: Â is normalised
    first. The epochs stop before a step if the minibatch's mean KL(old‖θ) exceeds `max_kl`. `measure` costs a forward
    pass of all rows. The arguments are not changed.
    """
    backend, rows, size = policy.backend, order.shape[1], min(minibatch_size, order.shape[1])
    xp, kernels = backend.xp, backend.kernels("surrogate_epochs")
    theta, first, second, stats = theta.copy(), adam.first.copy(), adam.second.copy(), xp.empty(6)
    act = xp.empty((size, *acted.act.shape[1:]), acted.act.dtype)
    work = xp.empty(kernels.work_size(policy.mlp.sizes, len(theta), rows, size), theta.dtype)
    epochs = Epochs(size, Adam(float(learning_rate)), float(max_grad_norm))
    with np.errstate(over="ignore"):  # `finite` reports it
        kernels.ascend(
            policy.spec, acted, _floats(terms), normalize, epochs, float(max_kl), measure,
            backend.to_device(order), adam.step, theta, first, second, stats, act, work,
        )  # fmt: skip
    steps, clip_fraction, surrogate, kl, entropy, finite = to_host(stats).tolist()
    after = AdamState(first, second, adam.step + int(steps))
    return Ascent(theta, after, int(steps), clip_fraction, surrogate, kl, entropy, finite == 1)


class SurrogateGradient(NamedTuple):
    """∇L (P,), the mean KL(old‖θ), and the share of ratios outside 1 ± ε."""

    gradient: Array
    kl: float
    clip_fraction: float


def surrogate_gradient(
    policy: Policy, theta: Array, acted: Acted, terms: SurrogateTerms, rows: Array, logp_old: Array | None = None
) -> SurrogateGradient:
    """The gradient in θ of the objective of `ascend` on the `rows` (M,)  (PP-1, PP-2, PP-3).   theta (P,).

    `logp_old` (B,), log π_old(a|s) of all rows of `acted`, is computed where it is not given.
    """
    backend, xp = policy.backend, policy.backend.xp
    kernels, grad, means = backend.kernels("surrogate_epochs"), xp.empty_like(theta), xp.empty(2)
    logp_old = policy.distribution.log_prob(acted.params, acted.act) if logp_old is None else logp_old
    act = xp.empty((len(rows), *acted.act.shape[1:]), acted.act.dtype)
    work = xp.empty(kernels.work_size(policy.mlp.sizes, len(theta), len(acted.adv), len(rows)), theta.dtype)
    rows = backend.to_device(rows)
    kernels.gradient(policy.spec, theta, acted, logp_old, _floats(terms), rows, True, grad, means, act, work)
    return SurrogateGradient(grad, *to_host(means).tolist())


def _floats(terms: SurrogateTerms) -> SurrogateTerms:
    """The terms as floats: a kernel would be compiled again for integers."""
    return SurrogateTerms(*map(float, terms))
