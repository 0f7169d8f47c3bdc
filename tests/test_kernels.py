"""Kernels without a public function of their own, and the law that twins compute the same."""

import math

import numpy as np
import pytest
from cases import TWINS
from hypothesis import strategies as st

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
def test_a_large_epsilon_stands_beside_the_root_in_adam_and_under_it_in_rmsprop_AC3(twin):
    kernels, g, epsilon = Backend(twin, 1).kernels("optimizer"), np.array([1.0, -2.0]), 0.25
    theta, first, second = np.zeros((3, 2))
    kernels.adam(g, 0.1, 0.9, 0.999, epsilon, 1, theta, first, second)
    np.testing.assert_allclose(theta, 0.1 * g / (np.abs(g) + epsilon), rtol=1e-12)
    theta, second = np.zeros((2, 2))
    kernels.rmsprop(g, 0.1, 0.0, epsilon, theta, second)
    np.testing.assert_allclose(theta, 0.1 * g / np.sqrt(g * g + epsilon), rtol=1e-12)
