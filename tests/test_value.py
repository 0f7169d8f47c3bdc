"""The critic: its loss, its gradient, and its two fits."""

import numpy as np
import pytest

from minipg import MLP, Backend, ValueNetwork


def problem(rows=700, dtype=np.float32):
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(rows, 3)).astype(dtype)
    critic = ValueNetwork(MLP((3, 16, 1), "tanh", Backend("numba", 2)))
    return critic, critic.init(rng, dtype), obs, np.sin(obs[:, 0]) + obs[:, 1] * obs[:, 2], rng


def test_both_fits_learn_a_smooth_function_AC1():
    critic, state, obs, target, rng = problem()
    order = np.stack([rng.permutation(len(obs)) for _ in range(60)])
    adam, losses, _ = critic.fit_adam(state, obs, target, order, 64, 1e-2)
    lbfgs, final, _ = critic.fit_lbfgs(state, obs, target, iterations=200, l2=1e-5)
    start = critic.loss_and_gradient(state.theta, obs, target)[0]
    assert losses[-1] < 0.1 * start
    assert final[0] < 0.1 * start
    for fitted in (adam, lbfgs):
        assert critic.loss_and_gradient(fitted.theta, obs, target)[0] < 0.1 * start
        assert fitted.theta.dtype == np.float32


def test_an_adam_fit_leaves_its_inputs_unchanged_and_two_fits_in_a_row_are_one():
    critic, state, obs, target, rng = problem(dtype=np.float64)
    before = [array.copy() for array in state[:3]]
    order = np.stack([rng.permutation(len(obs)) for _ in range(4)])
    whole, _, _ = critic.fit_adam(state, obs, target, order, 64, 1e-2)
    half, _, _ = critic.fit_adam(state, obs, target, order[:2], 64, 1e-2)
    rest, _, _ = critic.fit_adam(half, obs, target, order[2:], 64, 1e-2)
    for a, b in zip(before, state[:3], strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(whole, rest, strict=True):
        np.testing.assert_array_equal(a, b)
    assert whole.step == 4 * 11


@pytest.mark.parametrize("l2", [0.0, 10.0])
def test_the_l2_penalty_shrinks_the_parameters_AC1(l2):
    critic, state, obs, target, _ = problem()
    norm = lambda theta: float(np.linalg.norm(theta))
    fitted = critic.fit_lbfgs(state, obs, target, iterations=50, l2=l2)[0]
    assert (norm(fitted.theta) < 0.1 * norm(state.theta)) == (l2 > 0)


def test_the_predictions_of_many_rows_are_those_of_each_row_alone():
    critic, state, obs, _, _ = problem(1300)
    alone = np.array([critic.predict(state.theta, obs[i : i + 1])[0] for i in (0, 511, 512, 1299)])
    np.testing.assert_allclose(critic.predict(state.theta, obs)[[0, 511, 512, 1299]], alone, rtol=1e-5)
