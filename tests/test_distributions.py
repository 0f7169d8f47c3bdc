"""Both families obey the same laws; what only one of them obeys stands at the end."""

import math

import numpy as np
import pytest
from cases import TWINS, close, derivative, distributions
from hypothesis import given
from hypothesis import strategies as st

from minipg import Backend, categorical, gaussian
from minipg.errors import ShapeError


def outcomes(case):
    """Every action of a one-row categorical with its probability, or Gauss–Hermite nodes and weights of a Gaussian."""
    distribution, row = case.distribution, case.params[:1]
    if distribution.name == "categorical":
        act = np.arange(distribution.size)
        return act, np.exp(distribution.log_prob(np.repeat(row, len(act), 0), act))
    nodes, weights = np.polynomial.hermite_e.hermegauss(6 if distribution.size <= 3 else 4)
    grid = np.stack(np.meshgrid(*[nodes] * distribution.size, indexing="ij"), -1).reshape(-1, distribution.size)
    weight = np.stack(np.meshgrid(*[weights] * distribution.size, indexing="ij"), -1).reshape(-1, distribution.size)
    params = np.repeat(row, len(grid), 0)
    return distribution.sample(params, grid), (weight / math.sqrt(2 * math.pi)).prod(1)


@given(distributions())
def test_score_is_the_derivative_of_log_prob_DI1_DI4(case):
    d = case.distribution
    numeric = derivative(lambda p: d.log_prob(p, case.act), case.params, case.v)
    terms = d.score(case.params, case.act) * case.v
    close(terms.sum(1), numeric, 1e-8, scale=np.abs(terms).sum() + 1)


@given(distributions())
def test_score_has_mean_zero_DI2(case):
    act, weight = outcomes(case)
    score = case.distribution.score(np.repeat(case.params[:1], len(act), 0), act)
    close(weight @ score, np.zeros(case.distribution.n_params), 1e-12, scale=np.abs(score).max() + 1)


@given(distributions())
def test_fisher_is_the_covariance_of_the_score_DI3_DI5_DI8(case):
    act, weight = outcomes(case)
    score = case.distribution.score(np.repeat(case.params[:1], len(act), 0), act)
    covariance = (score * weight[:, None]).T @ score
    product = case.distribution.fisher_product(case.params[:1], case.v[:1])[0]
    close(product, covariance @ case.v[0], 1e-11, scale=np.abs(covariance).max() * np.abs(case.v).max() + 1e-3)


@given(distributions())
def test_fisher_is_the_hessian_of_the_kl_DI8(case):
    d, p, v, h = case.distribution, case.params, case.v / (1 + np.abs(case.v).max()), 1e-2
    along = lambda t: d.kl(p, p + t * v)
    second = lambda h: (along(h) + along(-h)) / h**2  # the KL and its slope are 0 at p
    numeric = (4 * second(h / 2) - second(h)) / 3
    quadratic = (v * d.fisher_product(p, v)).sum(1)
    close(quadratic, numeric, 1e-5, scale=np.abs(v * v).sum() * np.exp(-2 * min(p.min(), 0)) + 1e-3)


@given(distributions())
def test_fisher_is_symmetric_and_positive_semidefinite_DI3_DI5(case):
    d, u, v = case.distribution, case.other, case.v
    Mu, Mv = d.fisher_product(case.params, u), d.fisher_product(case.params, v)
    close((u * Mv).sum(), (v * Mu).sum(), 1e-12, scale=np.abs(u * Mv).sum() + 1e-9)
    assert ((v * Mv).sum(1) >= -1e-15).all()


@given(distributions())
def test_kl_is_the_expected_log_ratio_and_points_from_old_to_new_DI6(case):
    act, weight = outcomes(case)
    old, new = (np.repeat(p[:1], len(act), 0) for p in (case.params, case.other))
    expected = weight @ (case.distribution.log_prob(old, act) - case.distribution.log_prob(new, act))
    kl = case.distribution.kl(case.params[:1], case.other[:1])[0]
    close(kl, expected, 1e-10, scale=abs(kl) + 1)
    assert kl >= -1e-14


@given(distributions())
def test_kl_from_a_distribution_to_itself_is_zero_DI8(case):
    close(case.distribution.kl(case.params, case.params.copy()), np.zeros(len(case.params)), 1e-14, scale=1)


@given(distributions(families=("gaussian",)), st.sampled_from([1e-5, 1e-7]))
def test_a_small_gaussian_kl_keeps_its_digits_DI6(case, t):
    """KL(p‖p + tv) = ½ t² vᵀM v + O(t³): at t = 1e-7 nothing would be left of a difference of terms of size 1."""
    d, p, v = case.distribution, case.params, case.v / (1 + np.abs(case.v).max())
    quadratic = 0.5 * t * t * (v * d.fisher_product(p, v)).sum(1)
    close(d.kl(p, p + t * v) / quadratic, np.ones(len(p)), 1e-2 if t < 1e-6 else 1e-3)


@given(distributions())
def test_entropy_is_the_expected_surprise_DI7(case):
    act, weight = outcomes(case)
    surprise = -weight @ case.distribution.log_prob(np.repeat(case.params[:1], len(act), 0), act)
    close(case.distribution.entropy(case.params[:1])[0], surprise, 1e-11, scale=abs(surprise) + 1)


@given(distributions())
def test_entropy_gradient_is_its_derivative_DI7(case):
    d = case.distribution
    numeric = derivative(d.entropy, case.params, case.v)
    terms = d.entropy_gradient(case.params) * case.v
    close(terms.sum(1), numeric, 1e-8, scale=np.abs(terms).sum() + 1)


@given(distributions(), st.randoms(use_true_random=False))
def test_rows_do_not_know_of_each_other(case, random):
    d, order = case.distribution, list(range(len(case.params)))
    random.shuffle(order)
    for f in (
        d.entropy,
        d.mode,
        lambda p: d.kl(p, case.other[: len(p)]) if p is case.params else d.kl(p, case.other[order]),
    ):
        np.testing.assert_array_equal(f(case.params)[order], f(case.params[order]))


@given(distributions(families=("categorical",)), st.floats(-1e3, 1e3))
def test_adding_a_constant_to_the_logits_changes_nothing_DI3(case, c):
    d, shifted = case.distribution, case.params + c
    close(d.log_prob(shifted, case.act), d.log_prob(case.params, case.act), 1e-11, scale=1)
    close(
        d.fisher_product(case.params, np.full_like(case.params, c)), np.zeros_like(case.params), 1e-12, scale=abs(c) + 1
    )


@pytest.mark.parametrize("twin", TWINS)
def test_sampling_inverts_the_cumulative_distribution(twin):
    d = categorical(3, Backend(twin, 1))
    logits = np.log(np.tile([0.2, 0.5, 0.3], (6, 1)))
    uniform = np.array([0.0, 0.199, 0.201, 0.699, 0.701, 0.999])
    np.testing.assert_array_equal(d.sample(logits, uniform), [0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_action_without_probability_is_never_drawn(twin, dtype):
    d = categorical(3, Backend(twin, 1))
    last = np.nextafter(dtype(1), dtype(0))
    logits = np.array([[-1e4, 0, -1e4], [0, -1e4, 0.5], [0.3, 0.1, -1e4]], dtype)
    for u in (dtype(0), dtype(0.5), last):
        act = d.sample(logits, np.full(3, u, dtype))
        assert act[0] == 1
        assert act[1] != 1
        assert act[2] != 2
    # nor where rounding has left the probabilities of all others with a sum below the uniform
    many = np.random.default_rng(0).normal(size=(500, 6)).astype(dtype)
    many[:, -1] = -1e4
    assert (categorical(6, d.backend).sample(many, np.full(500, last)) < 5).all()


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saturated_logits_give_finite_numbers(twin, dtype):
    d = categorical(3, Backend(twin, 1))
    logits = np.array([[1e4, 0, -1e4], [-1e4, -1e4, 1e4], [1e4, 1e4, 1e4], [-1e4, -1e4, -1e4]], dtype)
    act, v = np.array([2, 0, 1, 1]), np.ones((4, 3), dtype)
    for result in (d.log_prob(logits, act), d.score(logits, act), d.kl(logits, logits[::-1].copy()), d.entropy(logits),
                   d.entropy_gradient(logits), d.fisher_product(logits, v)):  # fmt: skip
        assert np.isfinite(result).all()
    np.testing.assert_allclose(d.log_prob(logits, act), [-2e4, -2e4, -math.log(3), -math.log(3)], rtol=1e-6)


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sigma", [1e-6, 1.0, 1e6])
def test_extreme_deviations_give_finite_numbers(twin, dtype, sigma):
    d = gaussian(2, Backend(twin, 1))
    params = np.array([[0.5, -1, math.log(sigma), math.log(sigma)]], dtype)
    act = d.sample(params, np.array([[0.7, -0.2]], dtype))
    for result in (act, d.log_prob(params, act), d.score(params, act), d.kl(params, params), d.entropy(params),
                   d.fisher_product(params, params)):  # fmt: skip
        assert np.isfinite(result).all()
    np.testing.assert_allclose(d.entropy(params), 2 * math.log(sigma) + math.log(2 * math.pi * math.e), rtol=1e-6)


def test_the_log_std_score_is_z_squared_minus_one_and_its_fisher_two_DI4_DI5():
    for twin in TWINS:
        d = gaussian(1, Backend(twin, 1))
        params = np.array([[1.0, math.log(2.0)]])
        np.testing.assert_allclose(d.score(params, np.array([[4.0]])), [[3 / 4, (3 / 2) ** 2 - 1]], rtol=1e-14)
        np.testing.assert_allclose(d.fisher_product(params, np.ones((1, 2))), [[1 / 4, 2.0]], rtol=1e-14)


def test_impossible_actions_are_named():
    with pytest.raises(ShapeError, match="expected indices from 0 to 2, got 0 to 3"):
        categorical(3).log_prob(np.zeros((2, 3)), np.array([0, 3]))
    with pytest.raises(ShapeError, match=r"act: expected shape \(2, 3\), got \(2,\)"):
        gaussian(3).log_prob(np.zeros((2, 6)), np.zeros(2))
