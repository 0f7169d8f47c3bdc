"""Deterministic policies: the policy gradient theorem in closed form, and what DDPG and TD3 learn from."""

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss

from minipg.theory import lqr


def problem(seed, gamma=0.9):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(3, 3)), rng.normal(size=(3, 2))
    a *= 0.9 / np.abs(np.linalg.eigvals(a)).max()
    half, other, start = rng.normal(size=(3, 3)), rng.normal(size=(2, 2)), rng.normal(size=(3, 3))
    return lqr.LQR(a, b, half @ half.T, other @ other.T + np.eye(2), start @ start.T, gamma), rng


@pytest.mark.parametrize("seed", range(5))
def test_the_deterministic_gradient_of_a_regulator_is_the_slope_of_its_return_DP1(seed):
    task, rng = problem(seed)
    gain, direction, step = 0.05 * rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), 1e-5
    slope = (
        lqr.expected_return(task, gain + step * direction) - lqr.expected_return(task, gain - step * direction)
    ) / (2 * step)
    np.testing.assert_allclose((lqr.policy_gradient(task, gain) * direction).sum(), slope, rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_vanishes_at_the_gain_of_riccati_and_points_to_it_nearby_DP1(seed):
    task, rng = problem(seed)
    best = lqr.best_gain(task)
    size = np.abs(lqr.policy_gradient(task, np.zeros((2, 3)))).max()
    np.testing.assert_allclose(lqr.policy_gradient(task, best), 0, atol=1e-9 * size)
    away = 1e-3 * rng.normal(size=(2, 3))
    assert (lqr.policy_gradient(task, best + away) * away).sum() < 0
    assert lqr.expected_return(task, best + away) < lqr.expected_return(task, best)


@pytest.mark.parametrize("seed", range(5))
def test_the_stochastic_gradient_tends_to_the_deterministic_one_as_the_noise_vanishes_DP1_PG9(seed):
    """E[∇log π(a|s) Q(s, a)] of a Gaussian with mean K s and deviation σ, by quadrature, which is exact for this Q."""
    task, rng = problem(seed)
    gain, state = 0.05 * rng.normal(size=(2, 3)), rng.normal(size=3)
    p, mean = lqr.value_matrix(task, gain), gain @ state
    nodes, weights = hermegauss(8)
    weights = weights / weights.sum()

    def q(a):
        after = task.a @ state + task.b @ a
        return -(state @ task.q @ state + a @ task.r @ a + task.gamma * after @ p @ after)

    def skewed(a):  # not quadratic, so that the limit is not reached at once
        return q(a) + np.sin(a).sum()

    exact = lqr.action_gradient(task, gain, state, mean) + np.cos(mean)
    errors = []
    for sigma in (0.1, 0.01):
        stochastic = np.zeros(2)
        for z0, w0 in zip(nodes, weights, strict=True):
            for z1, w1 in zip(nodes, weights, strict=True):
                z = np.array([z0, z1])
                stochastic += w0 * w1 * z / sigma * skewed(mean + sigma * z)
        errors.append(np.abs(stochastic - exact).max())
    assert errors[1] < errors[0] / 50  # of order σ²
    assert errors[1] < 1e-3
