"""Laws of the twins: every backend computes what the reference computes in float64, up to its dtype's rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.distribution import Distribution
from minipg.kernels.arguments import Adam, RMSProp, Steps
from minipg.network import ACTIVATIONS, MLP, Images
from minipg.returns import advantages, discounted_returns, gae, td_errors
from minipg.runtime.backend import Backend
from minipg.theory import fits, updates
from minipg.theory.case import Case, error_ratio
from minipg.theory.distributions import FAMILIES
from minipg.theory.networks import random_images
from minipg.theory.policies import KINDS, draw, largest, observations, policy_of
from minipg.value import ValueState

_REFERENCE = Backend("numpy", 1)


def _same(case: Case, compute: Callable[[Backend, Any], list[Array]], amplified: float = 1.0) -> float:
    """The error of the case's backend against the reference, relative to the largest number of each array."""
    pairs = zip(compute(case.backend, case.dtype), compute(_REFERENCE, np.float64), strict=True)
    size = lambda expected: amplified * (1 + np.abs(expected).max(initial=0))
    return max(error_ratio(case, got, expected, size(expected)) for got, expected in pairs)


def twins_agree_on_the_network_TR9(case: Case) -> float:
    """forward, jvp, vjp and vjp_obs."""
    layers, images = random_images(case) if case.rng.integers(3) == 0 else ((case.count(5),), Images())
    sizes = (*layers, *[case.count(7) for _ in range(case.rng.integers(4))], case.count(4))
    activation, rows = case.one_of(*ACTIVATIONS), case.count(9)
    size = MLP(sizes, "tanh", _REFERENCE, *images).layout.size
    theta, v, obs, g = case.normal(size), case.normal(size), case.normal(rows, sizes[0]), case.normal(rows, sizes[-1])

    def compute(backend: Backend, dtype: Any) -> list[Array]:
        mlp, x, u, h = MLP(sizes, activation, backend, *images), *(a.astype(dtype) for a in (theta, v, g))
        tape = mlp.forward(x, obs.astype(dtype))
        return [tape.out, mlp.jvp(x, tape, u), mlp.vjp(x, tape, h), mlp.vjp_obs(x, tape, h)]

    return _same(case, compute, float(sum(sizes)))


def twins_agree_on_the_distributions_DI1_DI7(case: Case) -> float:
    """Every function of every family, with parameters from small to saturating."""
    make, size = FAMILIES[case.one_of(*FAMILIES)], case.count(5)
    like = make(size, case.backend)
    shape, scale = (case.count(7), like.n_params), case.one_of(0.01, 1.0, 2.0)
    p, q, v = case.normal(*shape, scale=scale), case.normal(*shape, scale=scale), case.normal(*shape)
    noise = like.noise(case.rng, shape[:1], case.dtype)
    act = like.sample(p, noise)

    def compute(backend: Backend, dtype: Any) -> list[Array]:
        d: Distribution = make(size, backend)
        old, new, u = p.astype(dtype), q.astype(dtype), v.astype(dtype)
        acted = act if act.dtype == np.int64 else act.astype(dtype)
        return [d.log_prob(old, acted), d.score(old, acted), d.kl(old, new), d.kl_gradient(old, new), d.entropy(old),
                d.entropy_gradient(old), d.fisher_product(old, u), d.mode(old), acted]  # fmt: skip

    return _same(case, compute, float(np.exp(np.abs(p).max() + np.abs(q).max())))


def twins_draw_the_same_actions_from_the_same_noise(case: Case) -> float:
    """The same parameters and noise give the same actions."""
    make, size = FAMILIES[case.one_of(*FAMILIES)], case.count(5)
    like = make(size, case.backend)
    params = case.normal(case.count(7), like.n_params).astype(np.float64)
    noise = like.noise(case.rng, (len(params),), np.float64)
    expected = make(size, _REFERENCE).sample(params, noise)
    return error_ratio(case.in_double, like.sample(params, noise), expected, 1 + np.exp(np.abs(params).max()))


def twins_agree_on_the_fisher_products_TR9(case: Case) -> float:
    """Σ Jᵀ M J v, fused or composed, for every kind of policy."""
    family, of_state = KINDS[case.rng.integers(len(KINDS))]
    layers, outputs = (case.count(4), case.count(5)), case.count(3)
    make = lambda backend: policy_of(FAMILIES[family](outputs, backend), of_state, layers)
    size = make(case.backend).layout.size
    theta, v, like = case.normal(size, scale=0.5), case.normal(size, scale=0.5), make(case.backend)
    obs = observations(like, case.normal(case.count(9), like.mlp.sizes[0]), case.rng)

    def compute(backend: Backend, dtype: Any) -> list[Array]:
        policy, x = make(backend), theta.astype(dtype)
        return [policy.fisher_product(x, policy.forward(x, obs.astype(dtype)), v.astype(dtype))]

    amplified = float(np.exp(2 * largest(like.forward(theta, obs).params)))  # 1/σ², and exps of logits
    return _same(case, compute, amplified * (1 + np.abs(theta).max()) ** 2 * like.layout.size)


def twins_agree_on_returns_PG7_PG12(case: Case) -> float:
    """Returns, TD errors and GAE across ends of both kinds."""
    shape = case.count(12), case.count(3)
    rew, value, next_value = (case.normal(*shape) for _ in range(3))
    end = case.rng.choice(3, size=shape, p=[0.7, 0.15, 0.15])
    at = np.flatnonzero(end == 2)
    whole = case.normal(rew.size + shape[1] + len(at))

    def compute(backend: Backend, dtype: Any) -> list[Array]:
        r, v, w = rew.astype(dtype), value.astype(dtype), next_value.astype(dtype)
        return [
            discounted_returns(r, w, end == 1, end == 2, 0.97, backend),
            td_errors(r, v, w, end == 1, 0.97, backend),
            gae(r, end == 1, end == 2, 0.97, 0.9, backend),
            *advantages(whole.astype(dtype), r, end == 1, end == 2, at, 0.97, 0.9, backend),
        ]

    return _same(case, compute, 12.0)


def twins_agree_on_the_surrogates_IS3_PP2(case: Case) -> float:
    """r Â, its clipped form and its gradient."""
    rows = case.count(9)
    logp, logp_old, adv = (case.normal(rows) for _ in range(3))

    def compute(backend: Backend, dtype: Any) -> list[Array]:
        inputs, kernels = [x.astype(dtype) for x in (logp, logp_old, adv)], backend.kernels("surrogate")
        value, clipped, gradient = np.empty((3, rows), dtype)
        kernels.surrogate(*inputs, value)
        kernels.clipped(*inputs, 0.2, clipped)
        kernels.clipped_gradient(*inputs, 0.2, gradient)
        return [value, clipped, gradient]

    return _same(case, compute)


def twins_agree_on_the_optimizers_AC3(case: Case) -> float:
    """One step of each optimizer from the same state."""
    size, step = case.count(11), case.count(9)
    grad, theta, first = (case.normal(size) for _ in range(3))
    second = (case.normal(size) ** 2).astype(case.dtype)

    def compute(backend: Backend, dtype: Any) -> list[Array]:
        kernels, g = backend.kernels("optimizer"), grad.astype(dtype)
        x, y, z = (theta.astype(dtype) for _ in range(3))
        u, m, s, t = (a.astype(dtype) for a in (first, first, second, second))
        small, large = np.empty_like(g), np.empty_like(g)
        kernels.sgd(g, 0.1, 0.9, x, u)
        kernels.rmsprop(g, RMSProp(0.1, 0.99, 1e-2), y, s)
        kernels.adam(g, Adam(0.1, 0.9, 0.999, 1e-2), step, z, m, t)
        kernels.clip_global_norm(g, 0.5, small)
        kernels.clip_global_norm(g, 50.0, large)
        return [x, u, y, s, z, m, t, small, large]

    return _same(case, compute, 100.0)


def twins_agree_on_what_a_rollout_is_worth_PG12_AC1(case: Case) -> float:
    """Values, advantages and targets of a rollout; normalised advantages and the explained variance."""
    shape, sizes = (case.count(12), case.count(3)), (case.count(4), case.count(5), 1)
    end = case.rng.choice(3, size=shape, p=[0.7, 0.15, 0.15])
    at, theta = np.flatnonzero(end == 2), case.normal(MLP(sizes).layout.size)
    parts = case.normal(*shape, sizes[0]), case.normal(shape[1], sizes[0]), case.normal(len(at), sizes[0])
    rew, adv = case.normal(*shape), case.normal(1 + case.count(9))

    def compute(backend: Backend, dtype: Any) -> list[Array]:
        kernels, x, y = backend.kernels("advantages"), theta.astype(dtype), adv.astype(dtype)
        obs = [array.astype(dtype) for array in parts]
        steps = Steps(obs[0], obs[1], obs[2], at, rew.astype(dtype), end == 1, end == 2)
        value, gains, targets = np.empty(rew.size + shape[1] + len(at), dtype), *np.empty((2, *shape), dtype)
        work = np.empty(kernels.work_size(sizes, len(x), rew.size), dtype)
        spec, normalized, explained = MLP(sizes, "tanh", backend).spec, np.empty_like(y), np.empty(1)
        kernels.estimate(spec, x, steps, 0, 0.97, 0.9, value, gains, targets, work)
        kernels.normalize(y, normalized)
        kernels.explained_variance(y, y[::-1].copy(), explained)
        return [value, gains, targets, normalized, explained]

    spread = 1 + float(np.abs(adv).max() / adv.std())
    return _same(case, compute, 12 * spread**2 * (1 + float(np.abs(theta).sum())))


def twins_agree_on_the_updates_of_a_policy_PG9_PP2_AC3(case: Case) -> float:
    """A step of RMSProp, and epochs of Adam on the surrogate."""
    drawn = draw(case)
    first, second = case.normal(len(drawn.theta), scale=0.1), (case.normal(len(drawn.theta)) ** 2).astype(case.dtype)
    weight = (1 + float(np.abs(drawn.adv).max())) * (1 + float(np.abs(drawn.adv).max() / drawn.adv.std()))
    compute = lambda backend, dtype: updates.updated(backend, dtype, drawn, first, second)
    return _same(case, compute, weight * updates.step_size(drawn, drawn.adv))


def twins_agree_on_the_updates_of_a_critic_AC1_AC3(case: Case) -> float:
    """A step of RMSProp, and epochs of Adam on the squared error."""
    sizes = case.count(4), case.count(5), 1
    theta, obs = case.normal(MLP(sizes).layout.size), case.normal(case.count(9), sizes[0])
    state = ValueState(theta, case.normal(len(theta), scale=0.1), case.normal(len(theta)) ** 2, 5)
    target = case.normal(len(obs))
    compute = lambda backend, dtype: fits.fitted(backend, dtype, sizes, state, obs, target)
    return _same(case, compute, float((1 + np.abs(theta).sum() * (1 + np.abs(obs).max())) ** 2))
