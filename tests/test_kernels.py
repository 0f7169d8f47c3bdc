"""Kernels without a public function, and how exact kernels round."""

import math

import numpy as np
import pytest
from cases import TWINS
from hypothesis import given
from hypothesis import strategies as st
from minipg.kernels.cpu._jit import jit, jit_exact

from minipg import Backend

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
    kernels.adam(g, 0.1, 0.9, 0.999, epsilon, 1, theta, first, second)
    np.testing.assert_allclose(theta, 0.1 * g / (np.abs(g) + epsilon), rtol=1e-12)
    theta, second = np.zeros((2, 2))
    kernels.rmsprop(g, 0.1, 0.0, epsilon, theta, second)
    np.testing.assert_allclose(theta, 0.1 * g / np.sqrt(g * g + epsilon), rtol=1e-12)


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
