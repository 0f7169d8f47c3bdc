"""Special cases of the action distributions: what the laws for all families do not cover."""

import math

import numpy as np
import pytest
from cases import TWINS, close, distributions
from hypothesis import given
from hypothesis import strategies as st

from minipg import Backend, bernoulli, categorical, gaussian, multicategorical, squashed
from minipg.errors import ConfigError, ShapeError
from minipg.theory.distributions import FAMILIES


@given(distributions(families=("gaussian", "squashed")), st.sampled_from([1e-5, 1e-7]))
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
    # not even if the probabilities of the other actions sum to less than the uniform, by rounding
    many = np.random.default_rng(0).normal(size=(500, 6)).astype(dtype)
    many[:, -1] = -1e4
    assert (categorical(6, d.backend).sample(many, np.full(500, last)) < 5).all()


@given(distributions(families=("bernoulli",)))
def test_bits_are_categorical_with_logits_zero_and_z_DI1_DI3_DI7(case):
    d, p, act = case.distribution, case.params, case.act
    each = categorical(2, d.backend)
    pair = lambda z: np.stack([np.zeros(z.size), z.ravel()], axis=1)
    close(d.log_prob(p, act), each.log_prob(pair(p), act.ravel()).reshape(p.shape).sum(1), 1e-14, scale=30)
    close(d.kl(p, case.other), each.kl(pair(p), pair(case.other)).reshape(p.shape).sum(1), 1e-14, scale=30)
    close(d.entropy(p), each.entropy(pair(p)).reshape(p.shape).sum(1), 1e-14, scale=30)
    for f, inputs in ((d.score, (p, act)), (d.entropy_gradient, (p,)), (d.fisher_product, (p, case.v))):
        second = lambda a: a.ravel() if a is act else pair(a)
        close(f(*inputs), getattr(each, f.__name__)(*map(second, inputs))[:, 1].reshape(p.shape), 1e-14, scale=30)
    np.testing.assert_array_equal(d.mode(p), each.mode(pair(p)).reshape(p.shape))


@given(distributions(families=("multicategorical",)))
def test_several_choices_are_categorical_side_by_side_DI1_DI3_DI7(case):
    d, p, act = case.distribution, case.params, case.act
    ends = np.cumsum(d.sizes)
    own = lambda a, k: np.ascontiguousarray(
        a[:, k] if a is act or a is case.noise else a[:, ends[k] - d.sizes[k] : ends[k]]
    )
    inputs = {"log_prob": (p, act), "kl": (p, case.other), "entropy": (p,), "score": (p, act), "entropy_gradient": (p,),
              "fisher_product": (p, case.v), "mode": (p,), "sample": (p, case.noise)}  # fmt: skip
    for name, arrays in inputs.items():
        parts = [getattr(categorical(n, d.backend), name)(*(own(a, k) for a in arrays)) for k, n in enumerate(d.sizes)]
        together = getattr(d, name)(*arrays)
        if name in ("mode", "sample"):
            np.testing.assert_array_equal(together, np.stack(parts, axis=1))
        else:
            close(together, sum(parts) if together.ndim == 1 else np.hstack(parts), 1e-14, scale=30)


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_bit_is_one_as_often_as_its_probability_and_never_without_one(twin, dtype):
    d, last = bernoulli(3, Backend(twin, 1)), np.nextafter(dtype(1), dtype(0))
    logits = np.array([[np.log(0.25 / 0.75), -1e4, 1e4]] * 4, dtype)
    uniform = np.array([[0.249, 0, 0], [0.251, 0, 0], [0, last, last], [last, 0.5, 0.5]], dtype)
    np.testing.assert_array_equal(d.sample(logits, uniform), [[1, 0, 1], [0, 0, 1], [1, 0, 1], [0, 0, 1]])


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("family", ["bernoulli", "multicategorical"])
def test_saturated_logits_of_several_choices_give_finite_numbers(twin, dtype, family):
    d = FAMILIES[family](4, Backend(twin, 1))
    logits = np.array([[1e4, 0, -1e4, 1e4], [-1e4, -1e4, 1e4, 0]], dtype)
    logits = np.tile(logits, 2)[:, : d.n_params]
    act = np.array([[0] * d.size, [1] * d.size])
    for result in (d.log_prob(logits, act), d.score(logits, act), d.kl(logits, logits[::-1].copy()), d.entropy(logits),
                   d.entropy_gradient(logits), d.fisher_product(logits, logits)):  # fmt: skip
        assert np.isfinite(result).all()
    if family == "bernoulli":
        np.testing.assert_allclose(d.log_prob(logits, act), [-2e4 - np.log(2), -2e4 - np.log(2)], rtol=1e-6)


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
@pytest.mark.parametrize("family", [gaussian, squashed])
def test_extreme_deviations_give_finite_numbers(twin, dtype, sigma, family):
    d = family(2, Backend(twin, 1))
    params = np.array([[0.5, -1, math.log(sigma), math.log(sigma)]], dtype)
    act = d.sample(params, np.array([[0.7, -0.2]], dtype))
    for result in (act, d.log_prob(params, act), d.score(params, act), d.kl(params, params), d.entropy(params),
                   d.entropy_gradient(params), d.fisher_product(params, params)):  # fmt: skip
        assert np.isfinite(result).all()
    if family is gaussian:
        np.testing.assert_allclose(d.entropy(params), 2 * math.log(sigma) + math.log(2 * math.pi * math.e), rtol=1e-6)


def test_the_log_std_score_is_z_squared_minus_one_and_its_fisher_two_DI4_DI5():
    for twin in TWINS:
        d = gaussian(1, Backend(twin, 1))
        params = np.array([[1.0, math.log(2.0)]])
        np.testing.assert_allclose(d.score(params, np.array([[4.0]])), [[3 / 4, (3 / 2) ** 2 - 1]], rtol=1e-14)
        np.testing.assert_allclose(d.fisher_product(params, np.ones((1, 2))), [[1 / 4, 2.0]], rtol=1e-14)


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("mean,std", [(0.0, 0.05), (0.3, 1.0), (-1.0, 1.5), (0.0, 7.0)])
def test_the_density_of_a_squashed_action_is_that_of_tanh_and_sums_to_one(twin, mean, std):
    """∫ π(a) da = ∫ π(tanh u) (1 − tanh² u) du."""
    d, step = squashed(1, Backend(twin, 1)), std / 20
    u = np.arange(mean - 10 * std, mean + 10 * std, step)
    density = np.exp(d.log_prob(np.tile([[mean, math.log(std)]], (len(u), 1)), u[:, None]))
    inside = np.abs(u) < 15  # where 1 − tanh² u is not yet lost
    plain = np.exp(gaussian(1).log_prob(np.tile([[mean, math.log(std)]], (len(u), 1)), u[:, None]))
    np.testing.assert_allclose((density / np.cosh(u) ** 2).sum() * step, 1, rtol=1e-12)
    np.testing.assert_allclose(density[inside], plain[inside] / (1 - np.tanh(u[inside]) ** 2), rtol=1e-2)


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_log_probability_of_a_squashed_action_is_finite_far_out(twin, dtype):
    d, u = squashed(1, Backend(twin, 1)), np.array([[-1e4], [-50], [0], [50], [1e4]], dtype)
    params = np.concatenate([u, np.zeros_like(u)], axis=1)
    expected = 2 * (np.abs(u[:, 0]) - math.log(2) * (u[:, 0] != 0)) - 0.5 * math.log(2 * math.pi)
    np.testing.assert_allclose(d.log_prob(params, u), expected, rtol=1e-6)


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("mean", [0.0, 0.4, -3.0, 40.0])
@pytest.mark.parametrize("std", [1e-3, 0.3, 1.0, np.nextafter(1, 2), 1.1, 7.4, 1e3])
def test_the_entropy_of_a_squashed_gaussian_and_its_gradient_are_right_to_1e_11_DI7(twin, mean, std):
    """E over N(μ, σ²) by a sum whose step is small against both widths; ∂/∂μ E[f] = E[f′], ∂/∂log σ E[f] = E[f′ σx]."""
    params = np.array([[mean, math.log(std)]])
    x = np.arange(-10, 10, 0.2 / max(1, std))
    weight = 0.2 / max(1, std) * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    u = mean + std * x
    slope = -2 * weight * np.tanh(u)
    log_slope = 2 * (math.log(2) - np.abs(u) - np.log1p(np.exp(-2 * np.abs(u))))  # log(1 − tanh² u)
    d = squashed(1, Backend(twin, 1))
    expected = math.log(std) + 0.5 * math.log(2 * math.pi * math.e) + weight @ log_slope
    close(d.entropy(params), expected, 1e-11, scale=max(1, std))
    close(d.entropy_gradient(params)[0], [slope.sum(), 1 + slope @ (std * x)], 1e-11, scale=max(1, std))


@given(distributions(families=("squashed",)))
def test_squashing_changes_only_log_prob_and_entropy(case):
    d, p = case.distribution, case.params
    plain = gaussian(d.size, d.backend)
    np.testing.assert_array_equal(d.sample(p, case.noise), plain.sample(p, case.noise))
    np.testing.assert_array_equal(d.mode(p), plain.mode(p))
    np.testing.assert_array_equal(d.score(p, case.act), plain.score(p, case.act))
    np.testing.assert_array_equal(d.kl(p, case.other), plain.kl(p, case.other))
    np.testing.assert_array_equal(d.fisher_product(p, case.v), plain.fisher_product(p, case.v))
    assert (d.log_prob(p, case.act) >= plain.log_prob(p, case.act)).all()
    assert (d.entropy(p) <= np.minimum(plain.entropy(p), d.size * math.log(2)) + 1e-10).all()  # uniform has the most


def test_impossible_actions_are_refused_by_name():
    with pytest.raises(ShapeError, match="expected indices from 0 to 2, got 0 to 3"):
        categorical(3).log_prob(np.zeros((2, 3)), np.array([0, 3]))
    with pytest.raises(ShapeError, match=r"act: expected shape \(2, 3\), got \(2,\)"):
        gaussian(3).log_prob(np.zeros((2, 6)), np.zeros(2))
    with pytest.raises(ShapeError, match=r"expected indices from 0 to \[1, 2\], got 0 to \[1 3\]"):
        multicategorical([2, 3]).log_prob(np.zeros((2, 5)), np.array([[0, 3], [1, 1]]))
    with pytest.raises(ShapeError, match="expected indices from 0 to 1"):
        bernoulli(2).log_prob(np.zeros((1, 2)), np.array([[0, 2]]))
    with pytest.raises(ShapeError, match="expected indices from 0 to 1"):
        bernoulli(2).score(np.zeros((1, 2)), np.array([[0, -1]]))


def test_impossible_sizes_are_refused_by_name():
    with pytest.raises(ConfigError, match="sizes"):
        multicategorical([2, 0])
    with pytest.raises(ConfigError, match="size"):
        multicategorical([])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_kl_of_a_categorical_from_itself_is_exactly_zero_TR5(dtype):
    for actions in (1, 2, 7):
        logits = np.random.default_rng(actions).normal(scale=3, size=(500, actions)).astype(dtype)
        assert (categorical(actions).kl(logits, logits) == 0).all()
