"""Laws of the action distributions, for all families alike. Expectations are exact sums over `outcomes`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minipg.checks import Array
from minipg.distribution import Distribution, bernoulli, categorical, gaussian, multicategorical, squashed
from minipg.gradient_check.numeric import second_derivative
from minipg.runtime.backend import Backend
from minipg.theory.case import ROUNDING, Case, error_ratio, slope_error_ratio

# from a number of actions or dimensions ≥ 1 and a backend
FAMILIES: dict[str, Callable[[int, Backend], Distribution]] = {
    "categorical": categorical,
    "bernoulli": bernoulli,
    "multicategorical": lambda n, backend: multicategorical((n, 2, 3)[: 1 + n % 3], backend),
    "gaussian": gaussian,
    "squashed": squashed,
}


class Draw(NamedTuple):
    """A distribution, two sets of parameters (B, D), actions drawn from the first, and a direction (B, D)."""

    distribution: Distribution
    old: Array
    new: Array
    act: Array
    v: Array


def draw(case: Case, *families: str) -> Draw:
    """A distribution of one of the families (any, if none is named), with parameters from small to saturating."""
    distribution = FAMILIES[case.one_of(*(families or FAMILIES))](case.count(4), case.backend)
    shape, scale = (case.count(7), distribution.n_params), case.one_of(0.01, 1.0, 3.0)
    old, new = case.normal(*shape, scale=scale), case.normal(*shape, scale=scale)
    act = distribution.sample(old, distribution.noise(case.rng, shape[:1], case.dtype))
    return Draw(distribution, old, new, act, case.normal(*shape))


def outcomes(distribution: Distribution, row: Array) -> tuple[Array, Array, Array]:
    """Actions and weights with which a weighted sum is an expectation under the parameters in `row`.

    All actions of a discrete family, with their probabilities; Gauss–Hermite nodes of a Gaussian, which are exact for
    polynomials in the noise up to degree 7, such as the score, its square and log-ratios.
    row (D,) → the row repeated (K, D), actions (K, …), weights (K,).
    """
    d = distribution
    if d.discrete:
        options = {"categorical": (d.size,), "bernoulli": (2,) * d.size}.get(d.name, d.sizes)
        act = np.stack(np.meshgrid(*map(np.arange, options), indexing="ij"), -1).reshape(-1, *d.act_shape)
        params = np.repeat(row[None], len(act), 0)
        return params, act, np.exp(d.log_prob(params, act).astype(float))
    nodes, weights = np.polynomial.hermite_e.hermegauss(4)
    grid = np.stack(np.meshgrid(*[nodes] * d.size, indexing="ij"), -1).reshape(-1, d.size)
    weight = np.stack(np.meshgrid(*[weights] * d.size, indexing="ij"), -1).reshape(-1, d.size)
    params = np.repeat(row[None], len(grid), 0)
    return params, d.sample(params, grid.astype(row.dtype)), (weight / math.sqrt(2 * math.pi)).prod(1)


def _surprising_outcomes(distribution: Distribution, row: Array) -> tuple[Array, Array, Array]:
    """The same for the expectation of log-probabilities, which are no polynomials if the Gaussian is squashed.

    The dimensions are independent and their log-probabilities add up, so all dimensions share the noise. The step is
    small against the width of log cosh in units of the noise.
    """
    if distribution.name != "squashed":
        return outcomes(distribution, row)
    step = 0.25 / max(1.0, float(np.exp(row[distribution.size :].max())))
    noise = np.arange(-9, 9, step)
    params, shared = np.repeat(row[None], len(noise), 0), np.repeat(noise[:, None], distribution.size, 1)
    act = distribution.sample(params, shared.astype(row.dtype))
    return params, act, step * np.exp(-noise * noise / 2) / math.sqrt(2 * math.pi)


def _spread(params: Array) -> float:
    """A bound on how much z = (a − μ)/σ and a Gaussian's score amplify rounding of a and μ; logits amplify less."""
    size = float(np.abs(params).max())
    return (1 + size) * math.exp(2 * size)


def score_is_the_derivative_of_log_prob_DI1_DI4(case: Case) -> float:
    """⟨∇log π(a), v⟩ = d/dt log π_{p+tv}(a)."""
    d, old, _, act, v = draw(case)
    terms = d.score(old, act) * v
    log_prob = lambda p: d.log_prob(p, act)
    return slope_error_ratio(case, terms.sum(1, dtype=float), log_prob, old, v, np.abs(terms).sum(1) + _spread(old))


def score_has_mean_zero_DI2(case: Case) -> float:
    """E[∇log π] = 0."""
    d, old, *_ = draw(case)
    params, act, weight = outcomes(d, old[0])
    score = d.score(params, act)
    return error_ratio(case, weight @ score, 0, weight @ np.abs(score) + _spread(old[0]))


def fisher_is_the_covariance_of_the_score_DI3_DI5_DI8(case: Case) -> float:
    """M v = E[∇log π ⟨∇log π, v⟩]."""
    d, old, _, _, v = draw(case)
    params, act, weight = outcomes(d, old[0])
    score = d.score(params, act).astype(float)
    covariance = (score * weight[:, None]).T @ score
    terms = (np.abs(score) * weight[:, None]).T @ np.abs(score) @ np.abs(v[0]) + _spread(old[0]) ** 2
    return error_ratio(case, d.fisher_product(old[:1], v[:1])[0], covariance @ v[0], terms)


def fisher_is_the_hessian_of_the_kl_DI8(case: Case) -> float:
    """vᵀM v = d²/dt² KL(p‖p + t v)."""
    d, old, _, _, v = draw(case)
    v, worst = v / (1 + np.abs(v).max()), 0.0
    quadratic = (v.astype(float) * d.fisher_product(old, v)).sum(1)
    for p, u, got in zip(old.astype(float), v.astype(float), quadratic, strict=True):
        kl = lambda t, p=p, u=u: float(d.kl(p[None], (p + t * u)[None])[0])
        bend, error = second_derivative(kl)
        worst = max(worst, abs(got - bend) / (4 * error + ROUNDING * case.epsilon * _spread(p)))
    return worst


def fisher_is_symmetric_and_positive_semidefinite_DI3_DI5(case: Case) -> float:
    """⟨u, M v⟩ = ⟨M u, v⟩, vᵀM v ≥ 0."""
    d, old, u, _, v = draw(case)
    Mu, Mv = d.fisher_product(old, u), d.fisher_product(old, v)
    terms = np.abs(u * Mv).sum(1) + np.abs(v * Mu).sum(1) + np.abs(u).sum(1) * np.abs(v).sum(1)
    negative = np.minimum((v * Mv).sum(1), 0)
    asymmetry = error_ratio(case, (u * Mv).sum(1), (v * Mu).sum(1), terms)
    return max(asymmetry, error_ratio(case, negative, 0, (v * v).sum(1)))


def kl_is_the_expected_log_ratio_from_old_to_new_DI6(case: Case) -> float:
    """KL(old‖new) = E_old[log π_old − log π_new] ≥ 0."""
    d, old, new, *_ = draw(case)
    params, act, weight = outcomes(d, old[0])
    ratio = d.log_prob(params, act).astype(float) - d.log_prob(np.repeat(new[:1], len(act), 0), act)
    kl, spread = float(d.kl(old[:1], new[:1])[0]), _spread(np.stack([old[0], new[0]]))
    size = weight @ np.abs(ratio) + spread**2
    return max(error_ratio(case, kl, weight @ ratio, size), error_ratio(case, min(kl, 0), 0))


def kl_and_its_gradient_are_zero_for_equal_parameters_DI8(case: Case) -> float:
    """KL(p‖p) = 0, ∇KL(p‖p) = 0."""
    d, old, *_ = draw(case)
    same = old.copy()
    return max(error_ratio(case, d.kl(old, same), 0), error_ratio(case, d.kl_gradient(old, same), 0))


def kl_gradient_is_its_derivative_in_the_new_parameters_DI6(case: Case) -> float:
    """⟨∇KL, v⟩ = d/dt KL(old‖new + t v)."""
    d, old, new, _, v = draw(case)
    terms, old64 = d.kl_gradient(old, new) * v, old.astype(float)
    size = np.abs(terms).sum(1) + _spread(np.stack([old, new])) ** 2
    return slope_error_ratio(case, terms.sum(1, dtype=float), lambda p: d.kl(old64, p), new, v, size)


def entropy_is_the_expected_surprise_DI7(case: Case) -> float:
    """H = −E[log π]."""
    d, old, *_ = draw(case)
    params, act, weight = _surprising_outcomes(d, old[0])
    logp = d.log_prob(params, act).astype(float)
    terms = weight @ np.abs(logp) + _spread(old[0])
    if d.name == "squashed":  # its kernel is accurate to 1e-11 · max(1, σ)
        terms += 1e-11 * max(1.0, float(np.exp(old[0, d.size :].max()))) / (ROUNDING * case.epsilon)
    return error_ratio(case, d.entropy(old[:1])[0], -(weight @ logp), terms)


def entropy_gradient_is_its_derivative_DI7(case: Case) -> float:
    """⟨∇H, v⟩ = d/dt H(p + t v)."""
    d, old, _, _, v = draw(case)
    terms = d.entropy_gradient(old) * v
    size = np.abs(terms).sum(1) + np.abs(v).sum(1) * (1 + np.abs(old).max())
    return slope_error_ratio(case, terms.sum(1, dtype=float), d.entropy, old, v, size)


def importance_weights_give_the_mean_and_variance_under_the_other_distribution_IS1_IS2(case: Case) -> float:
    """E_p[f] = E_q[f p/q]; Var_q[f p/q] = E_p[f² p/q] − E_p[f]²."""
    d, p, q, *_ = draw(case, "categorical")
    params, act, under_p = outcomes(d, p[0])
    under_q = outcomes(d, q[0])[2]
    ratio = np.exp(d.log_prob(params, act).astype(float) - d.log_prob(np.repeat(q[:1], len(act), 0), act))
    f = case.normal(len(act)).astype(float)
    size = (1 + np.abs(np.stack([p, q])).max()) * (under_q @ (f * ratio) ** 2 + under_p @ np.abs(f) + 1)
    variance = under_q @ (f * ratio) ** 2 - (under_q @ (f * ratio)) ** 2
    case = case.in_double  # p, q and their ratio are rounded alike
    return max(
        error_ratio(case, under_q @ (f * ratio), under_p @ f, size),
        error_ratio(case, variance, under_p @ (f * f * ratio) - (under_p @ f) ** 2, size),
    )


def results_of_a_row_do_not_depend_on_other_rows(case: Case) -> float:
    """Shuffling the rows of the arguments shuffles the rows of the results, to the bit."""
    d, old, new, act, v = draw(case)
    order = case.rng.permutation(len(old))
    pairs = [(d.log_prob, act), (d.score, act), (d.kl, new), (d.kl_gradient, new), (d.fisher_product, v)]
    same = all(np.array_equal(f(old, other)[order], f(old[order], other[order])) for f, other in pairs)
    same &= all(np.array_equal(f(old)[order], f(old[order])) for f in (d.entropy, d.entropy_gradient, d.mode))
    return 0.0 if same else math.inf


def adding_a_constant_to_the_logits_changes_nothing_DI3(case: Case) -> float:
    """softmax(z + c) = softmax(z), and the Fisher matrix times a constant vector is 0."""
    d, old, new, act, v = draw(case, "categorical")
    c = case.dtype(case.one_of(-8, 0.5, 8))
    size = 1 + abs(float(c)) + np.abs(old).max() + np.abs(new).max()
    return max(
        error_ratio(case, d.log_prob(old + c, act), d.log_prob(old, act), size),
        error_ratio(case, d.score(old + c, act), d.score(old, act), size),
        error_ratio(case, d.kl(old + c, new), d.kl(old, new), size),
        error_ratio(case, d.entropy(old + c), d.entropy(old), size),
        error_ratio(case, d.fisher_product(old, v + c), d.fisher_product(old, v), size + np.abs(v).max()),
    )


def extreme_parameters_give_finite_numbers(case: Case) -> float:
    """With logits of ±1e4 and σ from 1e-6 to 1e6 all results are finite, and no KL is negative."""
    d, old, new, *_ = draw(case)
    if d.discrete:
        old, new = (case.dtype(1e4) * np.sign(p) for p in (old, new))
        act = d.sample(old, d.noise(case.rng, (len(old),), case.dtype))
    else:  # σ alone, and the same in both: the KL of σ = 1e6 from 1e-6 is beyond float32
        new[:, d.size :] = old[:, d.size :] = case.dtype(math.log(1e6)) * np.sign(old[:, d.size :])
        act = new[:, : d.size] = d.sample(old, d.noise(case.rng, (len(old),), case.dtype))
    results = (act, d.log_prob(old, act), d.score(old, act), d.kl(old, new), d.kl_gradient(old, new), d.entropy(old),
               d.entropy_gradient(old), d.fisher_product(old, old))  # fmt: skip
    finite = all(np.isfinite(result).all() for result in results) and bool((d.kl(old, new) >= 0).all())
    return 0.0 if finite else math.inf


def the_classifier_view_PG10(case: Case) -> float:
    """−G log π(a) is a weighted cross-entropy; its gradient in the logits is G (p − onehot(a))."""
    d, z, _, act, v = draw(case, "categorical")
    G, one_hot = case.normal(len(z)), np.eye(d.size)[act]
    p = np.exp(z.astype(float)) / np.exp(z.astype(float)).sum(1, keepdims=True)
    cross_entropy = lambda z: -G.astype(float) * (one_hot * (z - np.log(np.exp(z).sum(1, keepdims=True)))).sum(1)
    size = np.abs(G)[:, None] * (1 + np.abs(z))
    gradient = G[:, None] * -d.score(z, act)
    slope = (gradient * v).sum(1, dtype=float)
    return max(
        error_ratio(case, -G * d.log_prob(z, act), cross_entropy(z.astype(float)), size.sum(1)),
        error_ratio(case, gradient, G[:, None] * (p - one_hot), size),
        slope_error_ratio(case, slope, cross_entropy, z, v, (size * (1 + np.abs(v))).sum(1)),
    )
