"""Kernels without a public function of their own, and the law that twins compute the same."""

import math

import numpy as np
import pytest
from cases import TWINS, close, derivative, distributions, networks, policies, seeds
from hypothesis import given
from hypothesis import strategies as st

from minipg import MLP, Backend, categorical, gaussian

numpy_twin, numba_twin = Backend("numpy", 1), Backend("numba", 1)
dtypes = st.sampled_from([np.float32, np.float64])
TOLERANCE = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-12}


def both(module, function, *inputs, outputs, state=()):
    """Run one kernel in both twins on copies; each twin's outputs, in order."""
    results = []
    for twin in (numpy_twin, numba_twin):
        changed = [array.copy() for array in (*state, *outputs)]
        getattr(twin.kernels(module), function)(*inputs, *changed)
        results.append(changed)
    return results


def agree(results, scale=None):
    for a, b in zip(*results, strict=True):
        close(a, b, TOLERANCE[a.dtype], scale)


@given(networks(), dtypes)
def test_twins_agree_on_the_network(case, dtype):
    results = []
    for twin in (numpy_twin, numba_twin):
        mlp = MLP(case.mlp.sizes, case.mlp.activation, twin)
        theta, v = case.theta.astype(dtype), case.v.astype(dtype)
        tape = mlp.forward(theta, case.obs)
        g = case.g.astype(dtype)
        results.append(
            [tape.out, tape.hidden, mlp.jvp(theta, tape, v), mlp.vjp(theta, tape, g), mlp.vjp_obs(theta, tape, g)]
        )
    agree(results)


@given(distributions(), dtypes)
def test_twins_agree_on_the_distributions(case, dtype):
    results = []
    for twin in (numpy_twin, numba_twin):
        d = {"categorical": categorical, "gaussian": gaussian}[case.distribution.name](case.distribution.size, twin)
        p, q, v = (a.astype(dtype) for a in (case.params, case.other, case.v))
        results.append([d.log_prob(p, case.act), d.score(p, case.act), d.kl(p, q), d.entropy(p), d.entropy_gradient(p),
                        d.fisher_product(p, v), d.mode(p).astype(dtype)])  # fmt: skip
    # a KL is a sum of terms of either sign whose size is that of the log-probabilities
    agree(results, scale=max(1, *(np.abs(a).max() for a in results[0])))


@given(policies(), dtypes)
def test_twins_agree_on_the_fisher_products_TR9(case, dtype):
    results = []
    for twin in (numpy_twin, numba_twin):
        policy = type(case.policy)(MLP(case.policy.mlp.sizes, "tanh", twin))
        theta, v = case.theta.astype(dtype), case.v.astype(dtype)
        results.append([policy.fisher_product(theta, policy.forward(theta, case.obs), v)])
    agree(results)


@given(distributions())
def test_twins_draw_the_same_actions_from_the_same_noise(case):
    make = {"categorical": categorical, "gaussian": gaussian}[case.distribution.name]
    a, b = (make(case.distribution.size, twin).sample(case.params, case.noise) for twin in (numpy_twin, numba_twin))
    close(a, b, 1e-14, scale=30)


@given(seeds, dtypes)
def test_twins_agree_on_returns(seed, dtype):
    rng = np.random.default_rng(seed)
    rew, value, next_value, out = rng.normal(size=(4, 7, 3)).astype(dtype)
    terminated, truncated = rng.random((2, 7, 3)) < 0.2
    agree(
        both("returns", "discounted_returns", rew, next_value, terminated, truncated & ~terminated, 0.97, outputs=[out])
    )
    agree(both("returns", "td_errors", rew, value, next_value, terminated, 0.97, outputs=[out]))
    agree(both("returns", "gae", rew, terminated, truncated, 0.97, 0.9, outputs=[out]))


@given(seeds, dtypes, st.integers(1, 20))
def test_twins_agree_on_the_optimizers(seed, dtype, step):
    rng = np.random.default_rng(seed)
    grad, theta, first = rng.normal(size=(3, 11)).astype(dtype)
    second = rng.random(11).astype(dtype)
    agree(both("optimizer", "sgd", grad, 0.1, 0.9, state=[theta, first], outputs=[]))
    agree(both("optimizer", "rmsprop", grad, 0.1, 0.99, 1e-5, state=[theta, second], outputs=[]))
    agree(both("optimizer", "adam", grad, 0.1, 0.9, 0.999, 1e-8, step, state=[theta, first, second], outputs=[]))
    agree(both("optimizer", "clip_global_norm", grad, 0.5, outputs=[theta]))
    agree(both("optimizer", "clip_global_norm", grad, 50.0, outputs=[theta]))


@given(seeds, dtypes, st.integers(1, 9), st.integers(1, 12), st.integers(0, 2))
def test_twins_agree_on_the_critic_fit(seed, dtype, rows, minibatch, depth):
    rng, sizes = np.random.default_rng(seed), np.array([3, *[4] * depth, 1])
    mlp = MLP(tuple(int(n) for n in sizes))
    theta = mlp.init(rng, dtype=dtype)
    obs, target = rng.normal(size=(rows, 3)).astype(dtype), rng.normal(size=rows).astype(dtype)
    order = np.stack([rng.permutation(rows) for _ in range(3)])
    work = np.empty(len(theta) + rows * (3 + 2 + 4 * depth + 2 * 4), dtype)
    zero = np.zeros_like(theta)
    inputs = (sizes, 0, obs, target, order, min(minibatch, rows), (1e-2, 0.9, 0.999, 1e-8), 0)
    reference, compiled = both("regression", "fit", *inputs, state=[theta, zero, zero], outputs=[np.empty(3), work])
    # Adam divides by √v̂: where a gradient is rounding error alone, its sign is too, so compare at the step's scale
    close(reference[0], compiled[0], 1e-9 if dtype == np.float64 else 2e-3, scale=1)
    close(reference[3], compiled[3], 1e-9 if dtype == np.float64 else 1e-3)


@given(seeds, st.integers(1, 9), st.integers(1, 9))
def test_merging_moments_batch_by_batch_equals_taking_them_at_once(seed, rows, more):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows + more, 3)) * [1, 1e-3, 1e4] + [0, 5, -1e4]
    for twin in TWINS:
        kernels, state = Backend(twin, 1).kernels("moments"), [np.zeros(1), np.zeros(3), np.zeros(3)]
        kernels.merge(x[:rows], *state)
        kernels.merge(x[rows:], *state)
        assert state[0][0] == rows + more
        np.testing.assert_allclose(state[1], x.mean(0), rtol=1e-12, atol=1e-9)
        np.testing.assert_allclose(state[2] / (rows + more), x.var(0), rtol=1e-9)


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


@given(seeds)
def test_the_surrogate_and_its_gradient_are_the_ratio_times_the_advantage_IS3(seed):
    rng = np.random.default_rng(seed)
    logp, logp_old, adv = rng.normal(size=(3, 5))
    for twin in TWINS:
        kernels = Backend(twin, 1).kernels("surrogate")

        def surrogate(logp, kernels=kernels):
            out = np.empty_like(logp)
            kernels.surrogate(logp, logp_old, adv, out)
            return out

        gradient = np.empty(5)
        kernels.surrogate_gradient(logp, logp_old, adv, gradient)
        close(surrogate(logp), np.exp(logp) / np.exp(logp_old) * adv, 1e-13)
        close(gradient, derivative(surrogate, logp, np.ones(5)), 1e-8)
        close(surrogate(logp_old), adv, 1e-15)


@pytest.mark.parametrize("twin", TWINS)
def test_optimizers_take_the_steps_of_their_definitions_AC3(twin):
    kernels = Backend(twin, 1).kernels("optimizer")
    g1, g2 = np.array([1.0, -2.0]), np.array([3.0, 0.5])

    theta, velocity = np.zeros(2), np.zeros(2)
    kernels.sgd(g1, 0.1, 0.9, theta, velocity)
    kernels.sgd(g2, 0.1, 0.9, theta, velocity)
    np.testing.assert_allclose(theta, 0.1 * g1 + 0.1 * (0.9 * g1 + g2))

    theta, second = np.zeros(2), np.zeros(2)
    kernels.rmsprop(g1, 0.1, 0.99, 1e-5, theta, second)
    np.testing.assert_allclose(theta, 0.1 * g1 / np.sqrt(0.01 * g1**2 + 1e-5))

    theta, first, second = np.zeros((3, 2))
    kernels.adam(g1, 0.1, 0.9, 0.999, 1e-8, 1, theta, first, second)
    # bias correction: the first step has length α in every coordinate, uphill
    np.testing.assert_allclose(theta, 0.1 * np.sign(g1), rtol=1e-7)
    kernels.adam(g2, 0.1, 0.9, 0.999, 1e-8, 2, theta, first, second)
    m, v = (0.09 * g1 + 0.1 * g2) / (1 - 0.81), (0.000999 * g1**2 + 0.001 * g2**2) / (1 - 0.998001)
    np.testing.assert_allclose(theta, 0.1 * np.sign(g1) + 0.1 * m / np.sqrt(v), rtol=1e-6)


@pytest.mark.parametrize("twin", TWINS)
def test_a_large_epsilon_stands_beside_the_root_in_adam_and_under_it_in_rmsprop_AC3(twin):
    kernels, g, epsilon = Backend(twin, 1).kernels("optimizer"), np.array([1.0, -2.0]), 0.25
    theta, first, second = np.zeros((3, 2))
    kernels.adam(g, 0.1, 0.9, 0.999, epsilon, 1, theta, first, second)
    np.testing.assert_allclose(theta, 0.1 * g / (np.abs(g) + epsilon), rtol=1e-12)
    theta, second = np.zeros((2, 2))
    kernels.rmsprop(g, 0.1, 0.0, epsilon, theta, second)
    np.testing.assert_allclose(theta, 0.1 * g / np.sqrt(g * g + epsilon), rtol=1e-12)


@pytest.mark.parametrize("twin", TWINS)
def test_the_global_norm_is_clipped_only_from_above_AC3(twin):
    kernels, out = Backend(twin, 1).kernels("optimizer"), np.empty(2)
    kernels.clip_global_norm(np.array([3.0, 4.0]), 1.0, out)
    np.testing.assert_allclose(out, [0.6, 0.8])
    for harmless in ([0.3, 0.4], [0.0, 0.0]):
        kernels.clip_global_norm(np.array(harmless), 1.0, out)
        np.testing.assert_array_equal(out, harmless)
