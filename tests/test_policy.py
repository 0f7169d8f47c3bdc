"""Policies, their Fisher products and their gradients."""

import numpy as np
import pytest
from cases import close, policies, seeds
from hypothesis import given
from hypothesis import strategies as st

from minipg import MLP, Backend, CategoricalPolicy, GaussianPolicy, conjugate_gradient, fisher_operator
from minipg import backend as backend_module
from minipg.fisher import fisher_vector_product, forward_tiles
from minipg.line_search import step_scale
from minipg.objective import policy_gradient, surrogate_and_kl


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
def test_the_region_bounds_the_kl_from_the_old_policy_to_the_new(case):
    params = [case.policy.forward(theta, case.obs).params for theta in (case.theta, case.theta + 0.3 * case.v)]
    _, kl = surrogate_and_kl(case.policy, case.obs, case.act, case.adv, params[0])(case.theta + 0.3 * case.v)
    close(kl, case.policy.distribution.kl(*params).mean(), 1e-12, scale=abs(kl) + 1)


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
