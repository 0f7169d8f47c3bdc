"""Laws of policies that choose only among allowed actions  (DI-9)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from minipg.algorithms.surrogate_epochs import surrogate_gradient
from minipg.checks import Array
from minipg.distribution import Distribution, categorical
from minipg.kernels.arguments import Acted, SurrogateTerms
from minipg.policy import MaskedPolicy
from minipg.theory.case import Case, error_ratio
from minipg.theory.distributions import FAMILIES
from minipg.theory.policies import largest, observations, policy_of


class Draw(NamedTuple):
    """A masked policy, θ, observations (B, O), their masks (B, D) bool, and the parameters (B, D) of the rows."""

    policy: MaskedPolicy
    theta: Array
    obs: Array
    mask: Array
    params: Array


def draw(case: Case) -> Draw:
    """A linear policy with a mask, with logits from small to saturating."""
    distribution = FAMILIES[case.one_of("categorical", "multicategorical")](case.count(4), case.backend)
    policy = policy_of(distribution, True, (case.count(3),))
    assert isinstance(policy, MaskedPolicy)
    theta = case.normal(policy.layout.size, scale=case.one_of(0.01, 1.0, 3.0))
    obs = observations(policy, case.normal(case.count(7), policy.mlp.sizes[0]), case.rng)
    return Draw(policy, theta, obs, obs[:, : distribution.n_params] == 1, policy.forward(theta, obs).params)


def _choices(distribution: Distribution) -> Iterator[slice]:
    """The columns of every choice."""
    start = 0
    for size in distribution.sizes or (distribution.size,):
        yield slice(start, start + size)
        start += size


def a_masked_action_has_probability_zero_and_no_gradient_DI9(case: Case) -> float:
    """p = 0, and the score, the gradients of KL and entropy, and the Fisher product are 0 in its logit: exactly."""
    policy, theta, obs, mask, params = draw(case)
    d, new = policy.distribution, policy.forward(theta + case.normal(len(theta), scale=0.1), obs).params
    act, v = d.sample(params, d.noise(case.rng, (len(obs),), case.dtype)), case.normal(*params.shape)
    vectors = [
        d.score(params, act),
        d.kl_gradient(params, new),
        d.entropy_gradient(params),
        d.fisher_product(params, v),
    ]
    tape, u = policy.forward(theta, obs), case.normal(*params.shape)
    vectors.append(policy.jvp(theta, tape, case.normal(len(theta))))
    wrong = sum(np.count_nonzero(vector[~mask]) for vector in vectors)
    for columns in _choices(d):
        one = categorical(columns.stop - columns.start, case.backend)
        for a in range(one.size):
            rows = params[~mask[:, columns][:, a]][:, columns]
            wrong += np.count_nonzero(np.exp(one.log_prob(rows, np.full(len(rows), a))))
    # the gradient in θ does not depend on what is asked of masked parameters
    forgetful = policy.vjp(theta, tape, np.where(mask, u, 7 * u)) - policy.vjp(theta, tape, u)
    return math.inf if wrong or np.count_nonzero(forgetful) else 0.0


def masked_choices_are_choices_among_the_allowed_actions_DI9(case: Case) -> float:
    """Log-probability, score, KL, entropy, their gradients and the Fisher product are those of the smaller softmax.

    Its logits are those of the allowed actions, as the network computes them.
    """
    policy, theta, obs, mask, params = draw(case)
    moved, v = theta + case.normal(len(theta), scale=0.1), case.normal(*params.shape)
    new, d, worst = policy.forward(moved, obs).params, policy.distribution, 0.0
    act = d.mode(params)
    got = _found(d, params, new, v, act)
    logits, other = (policy.mlp.forward(x, obs).out for x in (theta, moved))
    size = (1 + largest(params) + largest(new)) ** 2 * (1 + np.abs(v).max())
    for i in range(len(obs)):
        sums = np.zeros(3)
        for columns, chosen in zip(_choices(d), np.ravel(act[i]), strict=True):
            allowed = np.flatnonzero(mask[i, columns])
            place, index = columns.start + allowed, np.flatnonzero(allowed == chosen)
            z, z_other, along = (x[i, place].astype(float)[None] for x in (logits, other, v))
            parts = _found(categorical(len(place), case.backend), z, z_other, along, index)
            sums += [part[0] for part in parts[:3]]
            pairs = zip(got[3:], parts[3:], strict=True)
            worst = max(worst, *(error_ratio(case, a[i, place], b[0], size) for a, b in pairs))
        worst = max(worst, error_ratio(case, [a[i] for a in got[:3]], sums, size))
    return worst


def _found(d: Distribution, params: Array, new: Array, v: Array, act: Array) -> list[Array]:
    """All that the equations of a family give: three numbers of each row (B,), and four vectors (B, D)."""
    return [d.log_prob(params, act), d.kl(params, new), d.entropy(params), d.score(params, act),
            d.kl_gradient(params, new), d.entropy_gradient(params), d.fisher_product(params, v)]  # fmt: skip


def a_masked_action_is_never_drawn_DI9(case: Case) -> float:
    """Neither as the mode nor by any uniform number, of which 0 and the largest below 1 are."""
    policy, _, obs, mask, params = draw(case)
    d, below_one = policy.distribution, np.nextafter(case.dtype(1), case.dtype(0))
    shape = (len(obs), *d.act_shape)
    uniforms = [np.zeros(shape, case.dtype), np.full(shape, below_one), d.noise(case.rng, shape[:1], case.dtype)]
    starts = np.array([columns.start for columns in _choices(d)])
    taken = [d.mode(params), *(d.sample(params, u) for u in uniforms)]
    allowed = [np.take_along_axis(mask, starts + act.reshape(len(obs), -1), 1) for act in taken]
    return 0.0 if np.all(allowed) else math.inf


def the_gradient_of_the_surrogate_passes_masked_actions_by_DI9(case: Case) -> float:
    """The weights to the logit of an action that no row allows have no gradient, by any term of the surrogate."""
    policy, theta, obs, *_ = draw(case)
    d, forbidden = policy.distribution, int(case.rng.integers(policy.distribution.n_params))
    columns = next(each for each in _choices(d) if each.start <= forbidden < each.stop)
    if columns.stop - columns.start == 1:
        return 0.0
    obs[:, columns] = 1
    obs[:, forbidden] = 0
    old = policy.forward(theta + case.normal(len(theta), scale=0.1), obs).params
    act = d.sample(old, d.noise(case.rng, (len(obs),), case.dtype))
    acted, terms = Acted(obs, act, case.normal(len(obs)), old), SurrogateTerms(0.2, 1.0, 0.5)
    g, _, _ = surrogate_gradient(policy, theta, acted, terms, np.arange(len(obs)))
    views = policy.layout.views(g)
    return math.inf if any(np.count_nonzero(part[..., forbidden]) for part in views.values()) else 0.0
