"""Both families obey the same laws; what only one of them obeys stands at the end."""

import math

import numpy as np
import pytest
from cases import TWINS, close, distributions
from hypothesis import given
from hypothesis import strategies as st

from minipg import Backend, categorical, gaussian
from minipg.errors import ShapeError


@given(distributions(families=("gaussian",)), st.sampled_from([1e-5, 1e-7]))
def test_a_small_gaussian_kl_keeps_its_digits_DI6(case, t):
    """KL(p‖p + tv) = ½ t² vᵀM v + O(t³): at t = 1e-7 nothing would be left of a difference of terms of size 1."""
    d, p, v = case.distribution, case.params, case.v / (1 + np.abs(case.v).max())
    quadratic = 0.5 * t * t * (v * d.fisher_product(p, v)).sum(1)
    close(d.kl(p, p + t * v) / quadratic, np.ones(len(p)), 1e-2 if t < 1e-6 else 1e-3)


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
