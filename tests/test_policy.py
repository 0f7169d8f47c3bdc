"""Policies, their Fisher products and their gradients."""

import numpy as np
import pytest
from cases import FAMILIES, close, given_kinds, policies, seeds
from hypothesis import given
from hypothesis import strategies as st

from minipg import (
    MLP,
    Backend,
    CategoricalPolicy,
    GaussianPolicy,
    NetworkPolicy,
    bernoulli,
    categorical,
    conjugate_gradient,
    fisher_operator,
    gaussian,
    multicategorical,
    squashed,
)  # fmt: skip
from minipg.errors import ConfigError, ShapeError
from minipg.fisher import fisher_vector_product
from minipg.line_search import step_scale
from minipg.objective import policy_gradient, surrogate_and_kl
from minipg.policy import policy_for
from minipg.runtime import backend as backend_module


@given_kinds(policies(), st.integers(1, 4))
def test_tiles_do_not_change_the_gradient_the_fisher_product_or_the_surrogate(case, tile):
    product = fisher_vector_product(case.policy, case.theta, case.obs, case.v)
    tape = case.policy.forward(case.theta, case.obs)
    gradient = policy_gradient(case.policy, case.theta, tape, case.act, case.adv)
    old = tape.params
    measure, moved = surrogate_and_kl(case.policy, case.obs, case.act, case.adv, old), case.theta + 0.1 * case.v
    whole = np.array(measure(moved))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend_module, "TILE_ROWS", tile)
        tape = case.policy.forward(case.theta, case.obs)
        assert len(case.obs) < 2 * tile or len(backend_module.tiles_of(len(case.obs))) > 1
        close(fisher_operator(case.policy, case.theta, tape)(case.v), product, 1e-12, scale=np.abs(product).max() + 1)
        tiled = policy_gradient(case.policy, case.theta, tape, case.act, case.adv)
        close(tiled, gradient, 1e-12, scale=np.abs(gradient).max() + 1)
        close(np.array(measure(moved)), whole, 1e-12, scale=np.abs(whole).max() + 1)


@pytest.mark.parametrize("twin", ["numpy", "numba"])
def test_acting_repeatedly_on_more_rows_than_a_tile_is_the_forward_pass_every_time(twin):
    policy = GaussianPolicy(MLP((3, 4, 2), "tanh", Backend(twin, 1)))
    rng, theta = np.random.default_rng(0), policy.init(np.random.default_rng(1), np.float64)
    acts = policy.acting(theta, 300)
    for rows in (300, 7, 300):
        obs, noise = rng.normal(size=(rows, 3)), rng.normal(size=(rows, 2))
        params, act = np.empty((rows, 4)), np.empty((rows, 2))
        acts(obs, noise, params, act)
        expected = policy.forward(theta, obs).params
        close(params, expected, 1e-14, scale=1)
        close(act, policy.distribution.sample(expected, noise), 1e-14, scale=10)


@given_kinds(policies())
def test_the_region_bounds_the_kl_from_the_old_policy_to_the_new(case):
    params = [case.policy.forward(theta, case.obs).params for theta in (case.theta, case.theta + 0.3 * case.v)]
    _, kl = surrogate_and_kl(case.policy, case.obs, case.act, case.adv, params[0])(case.theta + 0.3 * case.v)
    close(kl, case.policy.distribution.kl(*params).mean(), 1e-12, scale=abs(kl) + 1)


@pytest.mark.parametrize("name", ["theta", "obs", "adv", "old"])
def test_a_surrogate_of_arrays_of_other_sizes_is_refused(name):
    policy = CategoricalPolicy(MLP((3, 4, 3), "tanh", Backend("numba", 1)))
    theta, obs = policy.init(np.random.default_rng(0)), np.ones((5, 3), np.float32)
    given = {"theta": theta, "obs": obs, "adv": np.ones(5, np.float32), "old": policy.forward(theta, obs).params}
    arrays = {**given, name: given[name][..., :-1]}
    with pytest.raises(ShapeError, match=f"{name if name != 'old' else 'params'}: expected shape"):
        surrogate_and_kl(policy, arrays["obs"], np.zeros(5, int), arrays["adv"], arrays["old"])(arrays["theta"])


def test_a_surrogate_takes_arrays_of_mixed_precision():
    policy = CategoricalPolicy(MLP((3, 4, 3), "tanh", Backend("numba", 1)))
    theta, obs = policy.init(np.random.default_rng(0)), np.ones((5, 3))
    value, kl = surrogate_and_kl(policy, obs, np.zeros(5, int), np.ones(5), policy.forward(theta, obs).params)(theta)
    assert (value, kl) == (1, 0)


@pytest.mark.parametrize("kind", [CategoricalPolicy, GaussianPolicy])
@given(seed=seeds, delta=st.floats(1e-8, 1e-5))
def test_the_kl_of_a_small_natural_step_is_delta_to_first_order_TR6_TR7(kind, seed, delta):
    rng, policy = np.random.default_rng(seed), kind(MLP((3, 4, 3), "tanh", Backend("numba", 1)))
    theta, obs = policy.init(rng, np.float64), rng.normal(size=(50, 3))
    tape = policy.forward(theta, obs)
    fisher = fisher_operator(policy, theta, tape, 0.0)
    cg = conjugate_gradient(fisher, fisher(rng.normal(size=len(theta))), 20)
    step = step_scale(cg.curvature, delta) * cg.x
    act = policy.distribution.mode(tape.params)
    _, kl = surrogate_and_kl(policy, obs, act, np.ones(50), tape.params)(theta + step)
    assert abs(kl / delta - 1) < 10 * np.sqrt(delta)


def test_log_std_is_the_last_part_of_theta_and_the_same_in_every_state():
    policy = GaussianPolicy(MLP((2, 3, 2)), log_std_init=-0.5)
    theta = policy.init(np.random.default_rng(0))
    assert policy.layout.views(theta)["log_std"].tolist() == [-0.5, -0.5]
    assert (policy.forward(theta, np.ones((4, 2))).params[:, 2:] == -0.5).all()


def test_projection_clamps_log_std_and_nothing_else():
    policy = GaussianPolicy(MLP((1, 2)))
    theta = np.array([30.0, -30, 40, -40, 3, -25])
    np.testing.assert_array_equal(policy.project(theta), [30, -30, 40, -40, 2, -20])


def of_state(size, log_std_init=0.0, layers=(3, 4), family=gaussian, twin="numba"):
    return policy_for(family(size, Backend(twin)), layers, state_dependent_std=True, log_std_init=log_std_init)


def test_policy_for_makes_the_policy_of_a_distribution():
    assert isinstance(policy_for(categorical(3), (2,)), CategoricalPolicy)
    assert type(policy_for(bernoulli(3), (2,), state_dependent_std=True)) is NetworkPolicy
    assert policy_for(multicategorical([2, 3]), (2, 8)).mlp.sizes == (2, 8, 5)
    for family in (gaussian, squashed):
        shared = policy_for(family(3), (2, 8), "relu", log_std_init=-1.0)
        assert isinstance(shared, GaussianPolicy)
        assert (shared.mlp.sizes, shared.mlp.activation, shared.log_std_init) == ((2, 8, 3), "relu", -1.0)
        assert of_state(3, family=family).mlp.sizes == (3, 4, 6)
        for policy in (shared, of_state(3, family=family)):
            assert policy.distribution.name == family.__name__


def test_a_network_with_another_number_of_outputs_is_refused():
    with pytest.raises(ConfigError, match="mlp: expected 5 outputs, got 4"):
        NetworkPolicy(MLP((2, 4)), multicategorical([2, 3]))


@pytest.mark.parametrize("log_std", [-20.0, -3.0, -0.5, 0.0, 1.0, 2.0])
def test_a_fresh_deviation_of_the_state_is_log_std_init_kept_inside_its_range(log_std):
    policy = of_state(2, log_std)
    obs = np.random.default_rng(1).normal(size=(9, 3))
    params = policy.forward(policy.init(np.random.default_rng(0), np.float64), obs).params
    assert np.abs(params[:, :2]).max() < 0.05
    np.testing.assert_allclose(params[:, 2:], np.clip(log_std, -19.9, 1.9), atol=0.05)


@pytest.mark.parametrize("twin", ["numpy", "numba"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_deviation_of_the_state_never_leaves_its_range_and_its_slope_is_exact_even_there(twin, dtype):
    policy = of_state(1, layers=(1,), twin=twin)
    theta = np.array([0, 1, 0, 0], dtype)  # z is the observation
    obs = np.array([[-1e6], [-300], [-30], [-1], [0], [1], [3], [30], [1e6]], dtype)
    tape = policy.forward(theta, obs)
    log_std = tape.params[:, 1]
    assert ((log_std >= -20) & (log_std <= 2)).all()
    assert (np.diff(log_std) >= 0).all()
    np.testing.assert_allclose(log_std[3:6], [-20 * np.tanh(0.05), 0, 2 * np.tanh(0.5)], rtol=1e-6)
    slope = policy.jvp(theta, tape, np.array([0, 0, 0, 1], dtype))[:, 1]
    expected = 1 / np.cosh(np.minimum(np.abs(obs[:, 0].astype(float)) / np.where(obs[:, 0] < 0, 20, 2), 300)) ** 2
    np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-6)
    for finite in (policy.distribution.entropy(tape.params), policy.fisher_product(theta, tape, theta)):
        assert np.isfinite(finite).all()


@given(seeds)
def test_a_squashed_policy_has_the_fisher_matrix_of_the_plain_one_TR9(seed):
    rng, obs = np.random.default_rng(seed), np.random.default_rng(seed + 1).normal(size=(5, 3))
    for state_dependent in (False, True):
        plain, bounded = (
            policy_for(family(2, Backend("numba", 1)), (3, 4), state_dependent_std=state_dependent)
            for family in (gaussian, squashed)
        )
        theta, v = rng.normal(size=(2, plain.layout.size))
        np.testing.assert_array_equal(*(fisher_vector_product(p, theta, obs, v) for p in (plain, bounded)))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fresh_policy_of_any_family_is_nearly_the_same_in_every_state(family):
    policy = policy_for(FAMILIES[family](3, Backend()), (4, 64, 64))
    params = policy.forward(policy.init(np.random.default_rng(0)), np.random.default_rng(1).normal(size=(9, 4))).params
    assert np.abs(params).max() < 0.05


def test_a_fresh_policy_is_nearly_uniform():
    policy = CategoricalPolicy(MLP((4, 64, 64, 3)))
    logits = policy.forward(policy.init(np.random.default_rng(0)), np.random.default_rng(1).normal(size=(9, 4))).params
    assert np.abs(logits).max() < 0.05
