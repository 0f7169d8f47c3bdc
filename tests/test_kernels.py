"""Kernels without a public function, and how exact kernels round."""

import math

import numpy as np
import pytest
from cases import TWINS
from hypothesis import given
from hypothesis import strategies as st
from minipg.kernels.arguments import Acted, Adam, RMSProp
from minipg.kernels.cpu._jit import jit, jit_exact

from minipg import Backend
from minipg.distribution import gaussian
from minipg.policy import policy_for

numpy_twin, numba_twin = Backend("numpy", 1), Backend("numba", 1)
dtypes = st.sampled_from([np.float32, np.float64])
TOLERANCE = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-12}


@pytest.mark.parametrize("twin", TWINS)
def test_standardizing_centres_scales_and_clips_and_leaves_a_constant_finite(twin):
    kernels, out = Backend(twin, 1).kernels("moments"), np.empty((4, 3))
    x = np.array([[1.0, 7, 0], [3, 7, 0], [5, 7, 0], [7, 7, 100]])
    state = [np.zeros(1), np.zeros(3), np.zeros(3)]
    kernels.merge(x, *state)
    kernels.standardize(x, *state, 1.5, out)
    np.testing.assert_allclose(out[:, 0], (x[:, 0] - 4) / math.sqrt(5))
    assert not out[:, 1].any()
    assert out[3, 2] == 1.5


@pytest.mark.parametrize("twin", TWINS)
def test_epsilon_is_outside_the_root_in_adam_and_inside_it_in_rmsprop_AC3(twin):
    kernels, g, epsilon = Backend(twin, 1).kernels("optimizer"), np.array([1.0, -2.0]), 0.25
    theta, first, second = np.zeros((3, 2))
    kernels.adam(g, Adam(0.1, epsilon=epsilon), 1, theta, first, second)
    np.testing.assert_allclose(theta, 0.1 * g / (np.abs(g) + epsilon), rtol=1e-12)
    theta, second = np.zeros((2, 2))
    kernels.rmsprop(g, RMSProp(0.1, 0.0, epsilon), theta, second)
    np.testing.assert_allclose(theta, 0.1 * g / np.sqrt(g * g + epsilon), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("twin", TWINS)
def test_equal_numbers_have_no_spread_however_many_they_are(twin, dtype):
    kernels, explained = Backend(twin, 1).kernels("advantages"), np.ones(1)
    for rows, number in ((3, 0.1), (1000, 0.1), (99_999, 0.1), (100_000, 0.3)):  # whose means are not the number
        equal = np.full(rows, number, dtype)
        out = np.ones_like(equal)
        kernels.normalize(equal, out)
        assert not out.any()
        kernels.explained_variance(np.zeros_like(equal), equal, explained)
        assert np.isnan(explained[0])
    ret = np.random.default_rng(0).normal(size=len(equal))
    kernels.explained_variance(ret - 0.1, ret, explained)
    np.testing.assert_allclose(explained, 1, atol=1e-12)


@pytest.mark.parametrize("bound", [-20.0, 2.0])
@pytest.mark.parametrize("twin", TWINS)
def test_a_policy_step_holds_log_std_in_its_range_and_nothing_else(twin, bound):
    backend, rng = Backend(twin, 1), np.random.default_rng(0)
    policy, kernels = policy_for(gaussian(2, backend), (3,)), backend.kernels("actor_critic")
    theta = np.append(30 * rng.normal(size=policy.layout.size - 2), [bound, bound])
    obs, stats, moved = rng.normal(size=(5, 3)), np.empty(3), theta.copy()
    act = rng.normal(size=(5, 2)) * (30 if bound > 0 else 1e-9) + policy.forward(theta, obs).params[:, :2]
    acted = Acted(obs, act, np.ones(5), policy.forward(theta, obs).params)
    work, second = np.empty(kernels.work_size(policy.mlp.sizes, len(theta), 5)), np.zeros_like(theta)
    # the good actions are far from the mean where σ is large, and near it where σ is small: it would leave its range
    kernels.policy_step(policy.spec, theta, acted, 0.0, False, RMSProp(0.1), math.inf, moved, second, stats, work)
    assert moved[-2:].tolist() == [bound, bound]
    np.testing.assert_allclose(moved[:-2], theta[:-2], atol=2)
    assert (moved[:-2] != theta[:-2]).all()


HOST_TWINS = pytest.mark.parametrize("twin", ["numpy", "numba"])


def shuffled(twin, key, labels, epochs):
    order = np.empty((epochs, len(labels)), np.int64)
    Backend(twin, 1).kernels("shuffling").shuffle(np.uint64(key), labels, order)
    return order


@given(st.integers(0, 2**64 - 1), st.integers(0, 50), st.integers(0, 3))
def test_twins_shuffle_to_the_same_bits_and_keep_all_labels(key, rows, epochs):
    labels = np.arange(7, 7 + rows)
    order = shuffled("numba", key, labels, epochs)
    np.testing.assert_array_equal(order, shuffled("numpy", key, labels, epochs))
    np.testing.assert_array_equal(np.sort(order, axis=1), np.tile(labels, (epochs, 1)))


@HOST_TWINS
def test_every_epoch_and_every_key_shuffles_differently(twin):
    orders = [shuffled(twin, key, np.arange(100), 2) for key in (1, 2)]
    assert len({tuple(order) for two in orders for order in two.tolist()}) == 4


def test_the_random_numbers_are_the_published_ones_of_SplitMix64():
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert Backend("numpy", 1).kernels("shuffling")._splitmix64(np.uint64(1234567), 4).tolist() == published


@HOST_TWINS
def test_every_order_is_as_likely_as_any_other(twin):
    orders = shuffled(twin, 0, np.arange(4), 24_000)
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 24
    assert ((counts - 1000) ** 2).sum() / 1000 < 55  # χ² of 23 degrees of freedom exceeds 55 with probability 1/5000


@jit_exact
def product_and_sum(a, b, c):
    return a * b + c


@jit
def fast_caller(a, b, c):
    return product_and_sum(a, b, c)


def test_an_exact_kernel_rounds_every_operation_even_if_it_is_first_compiled_inside_a_fast_one():
    a, b = 1 + 2.0**-30, 1 - 2.0**-30  # their product 1 − 2⁻⁶⁰ rounds to 1; a fused multiply-add does not round it
    assert fast_caller(a, b, -1.0) == 0
    assert product_and_sum(a, b, -1.0) == 0
