"""Laws of the kernels that update a policy: one step of RMSProp, and epochs of minibatch Adam on a surrogate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minipg.algorithms.optimizers import mean
from minipg.algorithms.surrogate_epochs import surrogate_gradient
from minipg.checks import Array
from minipg.kernels.arguments import Acted, Adam, Epochs, RMSProp, SurrogateTerms
from minipg.network import MLP
from minipg.objective import policy_gradient, surrogate_value
from minipg.runtime.backend import Backend
from minipg.theory.case import Case, error_ratio
from minipg.theory.policies import Draw, amplification, draw
from minipg.value import ValueNetwork


def a_policy_step_is_rmsprop_along_the_policy_gradient_PG9_AC2_AC3(case: Case) -> float:
    """One step along mean [Â ∇log π + c ∇H] at θ′, shortened to the largest norm; the norm before that, and mean H.

    θ may have moved away from θ′, as it does between the copy of an asynchronous worker and its step.
    """
    drawn, normalizes, max_norm = draw(case), case.one_of(True, False), case.one_of(math.inf, 0.1)
    policy, theta, _, obs, act, adv, tape = drawn
    rmsprop, c = RMSProp(case.one_of(0.01, 1.0), 0.9, 0.1), case.one_of(0.0, 0.5)
    second = (case.normal(len(theta)) ** 2).astype(case.dtype)
    moved = policy.project((theta + case.one_of(0.0, 0.5) * case.normal(len(theta))).astype(case.dtype))
    x, weight = theta.astype(float), _normalized(adv) if normalizes else adv.astype(float)
    forward = policy.forward(x, obs.astype(float))
    g = policy_gradient(policy, x, forward, _acts(act), weight, c)
    norm, entropy = np.linalg.norm(g), policy.distribution.entropy(forward.params).mean()
    g = g * min(1.0, max_norm / max(norm, 1e-300))
    s = 0.9 * second.astype(float) + 0.1 * g * g
    expected = policy.project(moved.astype(float) + rmsprop.learning_rate * g / np.sqrt(s + 0.1))
    kernels, stats = case.backend.kernels("actor_critic"), np.empty(3)
    work = np.empty(kernels.work_size(policy.mlp.sizes, len(theta), len(obs)), case.dtype)
    acted = Acted(obs, act, adv, tape.params)
    kernels.policy_step(policy.spec, theta, acted, c, normalizes, rmsprop, max_norm, moved, second, stats, work)
    size = step_size(drawn, weight)
    pairs = (moved, expected), (second, s), (stats, [norm, entropy, 1.0])
    return max(error_ratio(case, got, want, size * (1 + np.abs(want))) for got, want in pairs)


def the_epochs_are_adam_on_the_gradient_of_every_minibatch_PP1_PP2_PP3_AC3(case: Case) -> float:
    """Every epoch and every minibatch from any state of Adam, up to the first minibatch with a KL above max_kl.

    Beside θ and Adam's state: the number of steps, the mean share of ratios beyond the clip range, and the surrogate,
    KL and entropy of the new θ.
    """
    drawn, normalizes, max_kl = draw(case), case.one_of(True, False), case.one_of(math.inf, 1e-2, 0.0)
    policy, theta, v, obs, act, adv, tape = drawn
    terms = SurrogateTerms(case.one_of(math.inf, 0.2), case.one_of(0.0, 1.0), case.one_of(0.0, 0.5))
    epochs = Epochs(case.count(len(obs)), Adam(0.01, 0.8, 0.9, 0.1), case.one_of(math.inf, 0.5))
    order, taken, beyond = np.stack([case.rng.permutation(len(obs)) for _ in range(2)]), 0, 0.0
    theta = (theta + case.dtype(0.1) * v).astype(case.dtype)
    first, second = case.normal(len(theta), scale=0.1), (case.normal(len(theta)) ** 2).astype(case.dtype)

    x, m, s = (array.astype(float) for array in (theta, first, second))
    weight = _normalized(adv) if normalizes else adv.astype(float)
    exact = Acted(obs.astype(float), _acts(act), weight, tape.params.astype(float))
    logp_old = policy.distribution.log_prob(exact.params, exact.act)
    starts = range(0, len(obs), epochs.minibatch_size)
    for chosen in (epoch[start : start + epochs.minibatch_size] for epoch in order for start in starts):
        g, kl, _ = surrogate_gradient(policy, x, exact, terms, chosen)
        if kl > max_kl:
            break
        g = g * min(1.0, epochs.max_grad_norm / max(float(np.linalg.norm(g)), 1e-300))
        logp = policy.distribution.log_prob(policy.forward(x, exact.obs[chosen]).params, exact.act[chosen])
        outside = np.abs(np.exp(logp - logp_old[chosen]) - 1) > terms.clip_range
        taken, beyond = taken + 1, beyond + outside.mean()
        m, s, step = 0.8 * m + 0.2 * g, 0.9 * s + 0.1 * g * g, 5 + taken
        x = policy.project(x + 0.01 * m / (1 - 0.8**step) / (np.sqrt(s / (1 - 0.9**step)) + 0.1))
    kernels, stats = case.backend.kernels("surrogate_epochs"), np.empty(6)
    size = step_size(drawn, weight)
    work = np.empty(kernels.work_size(policy.mlp.sizes, len(theta), len(obs), epochs.minibatch_size), case.dtype)
    some = np.empty((epochs.minibatch_size, *act.shape[1:]), act.dtype)
    acted = Acted(obs, act, adv, tape.params)
    kernels.ascend(policy.spec, acted, terms, normalizes, epochs, max_kl, True, order, 5, theta, first, second, stats,
                   some, work)  # fmt: skip
    means = surrogate_value(policy, x, exact, logp_old)
    pairs = (theta, x), (first, m), (second, s), (stats, [taken, beyond / max(taken, 1), *means, 1.0])
    return max(error_ratio(case, got, want, size * (1 + np.abs(want))) for got, want in pairs)


def the_mean_gradient_of_equal_shares_is_that_of_their_union_PP5(case: Case) -> float:
    """(1/W) Σ_w g_w, each on a share of the rows of its own, is g on all rows: of the policy, and of a critic."""
    drawn, workers = draw(case), case.one_of(1, 2, 4)
    policy, theta, v, obs, act, adv, tape = drawn
    moved = policy.project((theta + case.dtype(0.1) * v).astype(case.dtype))
    terms = SurrogateTerms(case.one_of(math.inf, 0.2), case.one_of(0.0, 1.0), case.one_of(0.0, 0.5))
    acted, rows = Acted(obs, act, adv, tape.params), case.rng.permutation(len(obs) // workers * workers)
    if not len(rows):
        return 0.0
    shares, size = np.split(rows, workers), step_size(drawn, adv)
    policys = lambda some: surrogate_gradient(policy, moved, acted, terms, some).gradient
    critic = ValueNetwork(MLP((obs.shape[1], case.count(5), 1), "tanh", case.backend))
    value, target, old = case.normal(critic.mlp.layout.size), case.normal(len(obs)), case.normal(len(obs))
    critics = lambda some: critic.minibatch_gradient(value, obs, target, old, some, 0.5)[0]
    return max(
        error_ratio(case, mean([policys(share) for share in shares]), policys(rows), size),
        error_ratio(case, mean([critics(share) for share in shares]), critics(rows),
                    (1 + np.abs(value).sum()) ** 2 * (1 + np.abs(obs).max())),
    )  # fmt: skip


def updated(backend: Backend, dtype: Any, drawn: Draw, first: Array, second: Array) -> list[Array]:
    """θ, the running squares and the metrics of a step, then θ, Adam's moments and the metrics of the epochs."""
    policy, theta, _, obs, act, adv, tape = drawn
    acts = act if policy.distribution.discrete else act.astype(dtype)
    acted = Acted(obs.astype(dtype), acts, adv.astype(dtype), tape.params.astype(dtype))
    x, s, step_stats = theta.astype(dtype), second.astype(dtype), np.empty(3)
    kernels = backend.kernels("actor_critic")
    work = np.empty(kernels.work_size(policy.mlp.sizes, len(theta), len(obs)), dtype)
    kernels.policy_step(
        policy.spec, theta.astype(dtype), acted, 0.1, True, RMSProp(0.01, 0.9, 0.1), 0.5, x, s, step_stats, work
    )

    y, m, v, stats = theta.astype(dtype), first.astype(dtype), second.astype(dtype), np.empty(6)
    kernels, rows = backend.kernels("surrogate_epochs"), np.arange(len(obs))
    epochs, order = Epochs(3, Adam(0.01, 0.8, 0.9, 0.1), 0.5), np.stack([rows, rows[::-1]])
    work = np.empty(kernels.work_size(policy.mlp.sizes, len(theta), len(obs), 3), dtype)
    terms, some = SurrogateTerms(0.2, 1.0, 0.1), np.empty((3, *acts.shape[1:]), acts.dtype)
    kernels.ascend(policy.spec, acted, terms, False, epochs, math.inf, True, order, 5, y, m, v, stats, some, work)
    return [x, s, step_stats, y, m, v, stats]


def a_policys_update_that_is_not_finite_says_so_AC3(case: Case) -> float:
    """With an advantage or a running square that is not finite, the last of the metrics is 0; else it is 1."""
    drawn = draw(case)
    first, second = case.normal(len(drawn.theta), scale=0.1), (case.normal(len(drawn.theta)) ** 2).astype(case.dtype)
    sound = updated(case.backend, case.dtype, drawn, first, second)
    if case.one_of(True, False):
        drawn.adv[0] = np.nan
    else:
        second[-1] = case.one_of(np.nan, np.inf)
    with np.errstate(all="ignore"):
        unsound = updated(case.backend, case.dtype, drawn, first, second)
    flags = [found[at][-1] for found in (sound, unsound) for at in (2, 6)]
    return 0.0 if flags == [1, 1, 0, 0] else math.inf


def _acts(act: Array) -> Array:
    return act if act.dtype == np.int64 else act.astype(float)


def _normalized(adv: Array) -> Array:
    adv = adv.astype(float)
    return (adv - adv.mean()) / adv.std()


def step_size(drawn: Draw, weight: Array) -> float:
    """A bound on how much a step amplifies rounding of the batch and of the parameters."""
    reach = (1 + np.abs(drawn.obs).max()) * (1 + np.abs(drawn.theta).max()) ** 2 * len(drawn.theta)
    return amplification(drawn.policy.distribution, drawn.tape.params) ** 2 * reach * (1 + float(np.abs(weight).max()))
