"""Policies, their Fisher products and their gradients."""

import numpy as np
import pytest
from cases import close, derivative, policies, seeds
from hypothesis import given
from hypothesis import strategies as st

from minipg import MLP, Backend, CategoricalPolicy, GaussianPolicy, conjugate_gradient, fisher_operator
from minipg import backend as backend_module
from minipg.fisher import fisher_vector_product, forward_tiles
from minipg.line_search import step_scale
from minipg.objective import log_probs, policy_gradient, surrogate_and_kl


def jacobian(case):
    """J (B, D, P), a column a unit direction, by differences of the forward pass."""
    f = lambda theta: case.policy.forward(theta, case.obs).params
    return np.stack([derivative(f, case.theta, e, (1e-3,)) for e in np.eye(len(case.theta))], axis=-1)


@given(policies())
def test_jvp_and_vjp_are_the_jacobian_and_its_transpose_TR9(case):
    J, tape = jacobian(case), case.policy.forward(case.theta, case.obs)
    close(case.policy.jvp(case.theta, tape, case.v), J @ case.v, 1e-8, scale=np.abs(case.v).sum() + 1)
    g = np.sin(np.arange(tape.params.size)).reshape(tape.params.shape)
    close(case.policy.vjp(case.theta, tape, g), np.einsum("bdp,bd->p", J, g), 1e-8, scale=np.abs(g).sum() + 1)


@given(policies())
def test_the_fisher_product_is_the_explicit_matrix_times_v_TR9(case):
    J, d = jacobian(case), case.policy.distribution
    params = case.policy.forward(case.theta, case.obs).params
    MJv = d.fisher_product(params, J @ case.v)
    explicit = np.einsum("bdp,bd->p", J, MJv) / len(case.obs)
    product = fisher_vector_product(case.policy, case.theta, case.obs, case.v, damping=0.3)
    close(product, explicit + 0.3 * case.v, 1e-7, scale=np.abs(explicit).max() + 1)


@given(policies())
def test_the_fisher_product_is_the_hessian_of_the_mean_kl_DI8_TR6(case):
    old = case.policy.forward(case.theta, case.obs).params
    v = case.v / np.linalg.norm(case.v)

    def kl(t):
        return case.policy.distribution.kl(old, case.policy.forward(case.theta + t * v, case.obs).params).mean()

    second = lambda h: (kl(h) + kl(-h)) / h**2
    numeric = (4 * second(5e-3) - second(1e-2)) / 3
    quadratic = v @ fisher_vector_product(case.policy, case.theta, case.obs, v)
    scale = 1 + np.exp(-2 * old.min()) if case.policy.distribution.name == "gaussian" else 1
    close(quadratic, numeric, 1e-5, scale=scale)


@given(policies(), st.integers(1, 4))
def test_tiles_do_not_change_gradient_or_fisher_product(case, tile):
    product = fisher_vector_product(case.policy, case.theta, case.obs, case.v)
    tapes = forward_tiles(case.policy, case.theta, case.obs)
    gradient = policy_gradient(case.policy, case.theta, tapes, case.act, case.adv)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend_module, "TILE_ROWS", tile)
        tapes = forward_tiles(case.policy, case.theta, case.obs)
        assert len(tapes) == -(-len(case.obs) // tile)
        close(fisher_operator(case.policy, case.theta, tapes)(case.v), product, 1e-12, scale=np.abs(product).max() + 1)
        tiled = policy_gradient(case.policy, case.theta, tapes, case.act, case.adv)
        close(tiled, gradient, 1e-12, scale=np.abs(gradient).max() + 1)


@given(policies())
def test_the_policy_gradient_is_the_gradient_of_the_surrogate_at_the_old_policy_IS3_PG9(case):
    tapes = forward_tiles(case.policy, case.theta, case.obs)
    old = np.concatenate([tape.params for tape in tapes])
    objective = surrogate_and_kl(case.policy, case.obs, case.act, case.adv, old)
    g = policy_gradient(case.policy, case.theta, tapes, case.act, case.adv)
    numeric = derivative(lambda theta: np.array(objective(theta)[0]), case.theta, case.v)
    close((g * case.v).sum(), numeric, 1e-7, scale=np.abs(g * case.v).sum() + 1)


@given(policies())
def test_at_the_old_policy_the_surrogate_is_the_mean_advantage_and_the_kl_zero_IS3_DI8(case):
    old = case.policy.forward(case.theta, case.obs).params
    value, kl = surrogate_and_kl(case.policy, case.obs, case.act, case.adv, old)(case.theta)
    close(value, case.adv.mean(), 1e-13, scale=1)
    close(kl, 0, 1e-15, scale=1)


@given(policies())
def test_the_region_bounds_the_kl_from_the_old_policy_to_the_new(case):
    params = [case.policy.forward(theta, case.obs).params for theta in (case.theta, case.theta + 0.3 * case.v)]
    _, kl = surrogate_and_kl(case.policy, case.obs, case.act, case.adv, params[0])(case.theta + 0.3 * case.v)
    close(kl, case.policy.distribution.kl(*params).mean(), 1e-12, scale=abs(kl) + 1)


@given(policies(), st.floats(-2, 2))
def test_a_baseline_that_knows_only_the_state_leaves_the_expected_gradient_PG6(case, b):
    if case.policy.distribution.name == "gaussian":
        return
    actions = case.policy.mlp.sizes[-1]
    obs = np.repeat(case.obs, actions, axis=0)
    act = np.tile(np.arange(actions), len(case.obs))
    p = np.exp(log_probs(case.policy, case.theta, obs, act))
    tapes = forward_tiles(case.policy, case.theta, obs)
    close(policy_gradient(case.policy, case.theta, tapes, act, b * p), np.zeros_like(case.theta), 1e-13, scale=10)


@given(seeds, st.floats(1e-4, 1e-2))
def test_the_kl_of_a_small_natural_step_is_delta_to_first_order_TR6_TR7(seed, delta):
    rng, policy = np.random.default_rng(seed), CategoricalPolicy(MLP((3, 4, 3), "tanh", Backend("numba", 1)))
    theta, obs = policy.init(rng, np.float64), rng.normal(size=(50, 3))
    tapes = forward_tiles(policy, theta, obs)
    g = rng.normal(size=len(theta))
    cg = conjugate_gradient(fisher_operator(policy, theta, tapes, 1e-3), g, 60)
    step = step_scale(cg.curvature, 1e-4 * delta) * cg.x
    _, kl = surrogate_and_kl(policy, obs, np.zeros(50, int), np.ones(50), tapes[0].params)(theta + step)
    assert kl <= 1e-4 * delta * 1.05  # the damping is part of the quadratic model, and only adds to it


def test_log_std_is_the_tail_of_theta_and_the_same_in_every_state():
    policy = GaussianPolicy(MLP((2, 3, 2)), log_std_init=-0.5)
    theta = policy.init(np.random.default_rng(0))
    assert policy.layout.views(theta)["log_std"].tolist() == [-0.5, -0.5]
    assert (policy.forward(theta, np.ones((4, 2))).params[:, 2:] == -0.5).all()


def test_projection_clamps_log_std_and_nothing_else():
    policy = GaussianPolicy(MLP((1, 2)))
    theta = np.array([30.0, -30, 40, -40, 3, -25])
    np.testing.assert_array_equal(policy.project(theta), [30, -30, 40, -40, 2, -20])


def test_a_fresh_policy_is_nearly_uniform():
    policy = CategoricalPolicy(MLP((4, 64, 64, 3)))
    logits = policy.forward(policy.init(np.random.default_rng(0)), np.random.default_rng(1).normal(size=(9, 4))).params
    assert np.abs(logits).max() < 0.05
