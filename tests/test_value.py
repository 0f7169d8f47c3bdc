"""The critic: its loss, its gradient, and both ways of fitting it."""

import numpy as np
import pytest
from cases import close, derivative, networks
from hypothesis import given
from hypothesis import strategies as st

from minipg import MLP, Backend, ValueNetwork
from minipg.value import ValueState


@given(networks(activations=("tanh",)), st.sampled_from([0.0, 0.1]))
def test_the_gradient_is_that_of_the_mean_squared_error_AC1(case, l2):
    critic = ValueNetwork(MLP((*case.mlp.sizes[:-1], 1), "tanh", case.mlp.backend))
    theta, v = case.theta[: critic.mlp.layout.size], case.v[: critic.mlp.layout.size]
    target = case.g[:, 0]
    loss, gradient = critic.loss_and_gradient(theta, case.obs, target, l2)
    close(loss, ((critic.predict(theta, case.obs) - target) ** 2).mean() + l2 * (theta**2).sum(), 1e-12)
    numeric = derivative(lambda t: np.array(critic.loss_and_gradient(t, case.obs, target, l2)[0]), theta, v)
    close((gradient * v).sum(), numeric, 1e-7, scale=np.abs(gradient * v).sum() + 1)


def problem(rows=700, dtype=np.float32):
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(rows, 3)).astype(dtype)
    critic = ValueNetwork(MLP((3, 16, 1), "tanh", Backend("numba", 2)))
    return critic, critic.init(rng, dtype), obs, np.sin(obs[:, 0]) + obs[:, 1] * obs[:, 2], rng


def test_both_fits_learn_a_smooth_function_AC1():
    critic, state, obs, target, rng = problem()
    order = np.stack([rng.permutation(len(obs)) for _ in range(60)])
    adam, losses = critic.fit_adam(state, obs, target, order, 64, 1e-2)
    lbfgs, final = critic.fit_lbfgs(state, obs, target, iterations=200, l2=1e-5)
    start = critic.loss_and_gradient(state.theta, obs, target)[0]
    assert losses[-1] < 0.1 * start
    assert final[0] < 0.1 * start
    for fitted in (adam, lbfgs):
        assert critic.loss_and_gradient(fitted.theta, obs, target)[0] < 0.1 * start
        assert fitted.theta.dtype == np.float32


@given(networks(activations=("tanh",)), st.integers(1, 12))
def test_an_adam_fit_is_adam_on_the_gradient_of_every_minibatch_AC1_AC3(case, minibatch):
    critic = ValueNetwork(MLP((*case.mlp.sizes[:-1], 1), "tanh", case.mlp.backend))
    theta, obs, target = case.theta[: critic.mlp.layout.size], case.obs, case.g[:, 0]
    rng, rate, (beta1, beta2), epsilon = np.random.default_rng(0), 1e-2, (0.8, 0.9), 1e-3
    order = np.stack([rng.permutation(len(obs)) for _ in range(3)])
    state = ValueState(theta, 0.1 * case.v[: len(theta)], case.v[: len(theta)] ** 2, 5)
    fitted, losses = critic.fit_adam(state, obs, target, order, minibatch, rate, (beta1, beta2), epsilon)

    m, v, step, expected = state.first, state.second, state.step, []
    for epoch in order:
        batches = [epoch[i : i + minibatch] for i in range(0, len(epoch), minibatch)]
        squares = 0.0
        for rows in batches:
            loss, g = critic.loss_and_gradient(theta, obs[rows], target[rows])
            step, squares = step + 1, squares + loss * len(rows)
            m, v = beta1 * m - (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g  # Adam climbs, a loss is descended
            theta = theta + rate * m / (1 - beta1**step) / (np.sqrt(v / (1 - beta2**step)) + epsilon)
        expected.append(squares / len(epoch))
    assert fitted.step == step
    for a, b in zip((*fitted[:3], losses), (theta, m, v, np.array(expected)), strict=True):
        close(a, b, 1e-9, scale=np.abs(b).max() + 1e-3)


def test_an_adam_fit_leaves_its_input_alone_and_continues_where_it_stopped():
    critic, state, obs, target, rng = problem(dtype=np.float64)
    before = [array.copy() for array in state[:3]]
    order = np.stack([rng.permutation(len(obs)) for _ in range(4)])
    whole, _ = critic.fit_adam(state, obs, target, order, 64, 1e-2)
    half, _ = critic.fit_adam(state, obs, target, order[:2], 64, 1e-2)
    rest, _ = critic.fit_adam(half, obs, target, order[2:], 64, 1e-2)
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


def test_the_prediction_of_many_rows_is_that_of_each_alone():
    critic, state, obs, _, _ = problem(1300)
    alone = np.array([critic.predict(state.theta, obs[i : i + 1])[0] for i in (0, 511, 512, 1299)])
    np.testing.assert_allclose(critic.predict(state.theta, obs)[[0, 511, 512, 1299]], alone, rtol=1e-5)
