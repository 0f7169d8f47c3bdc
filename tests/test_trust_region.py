"""Conjugate gradient and line search, which take a function and a vector and know nothing of policies."""

import math
from itertools import pairwise

import numpy as np
import pytest
from cases import close, seeds
from hypothesis import given
from hypothesis import strategies as st

from minipg import conjugate_gradient, line_search
from minipg.line_search import step_scale


@st.composite
def spd_systems(draw):
    """A symmetric positive definite matrix of condition ≤ 100 and a right-hand side."""
    rng, n = np.random.default_rng(draw(seeds)), draw(st.integers(1, 8))
    q = np.linalg.qr(rng.normal(size=(n, n)))[0]
    return q @ np.diag(10 ** rng.uniform(-1, 1, n)) @ q.T, rng.normal(size=n)


@given(spd_systems())
def test_conjugate_gradient_is_exact_after_as_many_steps_as_dimensions_TR10(system):
    A, b = system
    cg = conjugate_gradient(lambda v: A @ v, b, iterations=3 * len(b), tol=1e-12)
    close(A @ cg.x, b, 1e-9)
    assert cg.status == "converged"
    few = conjugate_gradient(lambda v: A @ v, b, iterations=len(b))
    close(A @ few.x, b, 1e-5)


@given(spd_systems())
def test_the_energy_error_falls_at_every_step_TR10(system):
    A, b = system
    exact = np.linalg.solve(A, b)
    errors = []
    for k in range(len(b) + 1):
        e = conjugate_gradient(lambda v: A @ v, b, iterations=k).x - exact
        errors.append(e @ A @ e)
    assert all(later <= earlier * (1 + 1e-9) + 1e-20 for earlier, later in pairwise(errors))
    assert errors[-1] < errors[0]


@given(spd_systems(), st.integers(0, 8))
def test_residual_and_curvature_are_those_of_the_x_that_is_returned_TR10(system, iterations):
    A, b = system
    products = []
    cg = conjugate_gradient(lambda v: products.append(v) or A @ v, b, iterations=iterations)
    close(cg.residual, np.linalg.norm(b - A @ cg.x), 1e-8, scale=np.linalg.norm(b))
    close(cg.curvature, cg.x @ A @ cg.x, 1e-8, scale=abs(b @ cg.x) + 1e-12)
    assert cg.iterations == len(products) <= iterations


def test_a_zero_right_hand_side_needs_no_product():
    cg = conjugate_gradient(lambda v: pytest.fail("a product was taken"), np.zeros(3))
    assert (cg.status, cg.iterations, cg.curvature) == ("converged", 0, 0)
    assert not cg.x.any()


def test_a_solution_that_is_not_finite_in_its_dtype_leaves_the_last_finite_x():
    b = np.array([1e20, 1e20], np.float32)
    cg = conjugate_gradient(lambda v: (v * 1e-25).astype(np.float32), b)  # x = 1e45 is beyond float32
    assert cg.status == "not finite"
    assert not cg.x.any()


def test_negative_curvature_stops_before_it_is_followed():
    A = np.diag([1.0, -1.0])
    assert conjugate_gradient(lambda v: A @ v, np.array([0.0, 1.0])).status == "curvature"
    cg = conjugate_gradient(lambda v: A @ v, np.array([2.0, 1.0]))
    assert cg.status == "curvature"
    assert np.isfinite(cg.x).all()


def test_a_product_that_is_not_finite_leaves_the_last_finite_x():
    A, calls = np.diag([1.0, 2.0, 3.0]), []
    product = lambda v: A @ v if calls.append(0) or len(calls) < 2 else v * math.nan
    cg = conjugate_gradient(product, np.ones(3))
    assert cg.status == "not finite"
    assert np.isfinite(cg.x).all()
    assert cg.x.any()


@given(spd_systems(), st.floats(1e-6, 1.0))
def test_the_natural_step_has_quadratic_kl_delta_TR6_TR7(system, delta):
    A, g = system
    cg = conjugate_gradient(lambda v: A @ v, g, iterations=3 * len(g))
    step = step_scale(cg.curvature, delta) * cg.x
    close(0.5 * step @ A @ step, delta, 1e-6)
    # and no step of the same quadratic KL climbs higher
    other = np.random.default_rng(0).normal(size=len(g))
    other *= math.sqrt(2 * delta / (other @ A @ other))
    assert g @ other <= g @ step * (1 + 1e-6)


@pytest.mark.parametrize("curvature", [0.0, -1.0, math.nan, 5e-324])
def test_without_positive_curvature_there_is_no_step(curvature):
    assert step_scale(curvature, 0.01) == 0.0 or math.isfinite(step_scale(curvature, 0.01))
    assert step_scale(0.0, 0.01) == step_scale(-1.0, 0.01) == step_scale(math.nan, 0.01) == 0.0


THETA, STEP = np.zeros(2), np.array([1.0, 0.0])


def search(evaluate, **options):
    return line_search(evaluate, THETA, STEP, **{"max_kl": 0.01, "backtrack_coeff": 0.5, **options})


def test_the_first_trial_that_improves_within_the_region_is_taken_TR11():
    found = search(lambda theta: (theta[0], theta[0] ** 2 / 10))
    # kl(1) = 0.1, kl(½) = 0.025, kl(¼) = 0.00625
    assert (found.accepted, found.fraction, found.trials) == (True, 0.25, 3)
    np.testing.assert_array_equal(found.theta, [0.25, 0])
    assert (found.improvement, found.kl) == (0.25, 0.25**2 / 10)


def test_a_trial_outside_the_region_is_refused_however_much_it_improves_TR11():
    assert search(lambda theta: (1e9, 0.011)).accepted is False


def test_a_trial_inside_the_region_is_refused_unless_it_improves_TR11():
    assert search(lambda theta: (0.0, 0.0)).accepted is False
    found = search(lambda theta: (0.3 - theta[0], 0.0))
    assert (found.accepted, found.fraction) == (True, 0.25)


def test_the_boundary_belongs_to_the_region_TR11():
    assert search(lambda theta: (1.0, 0.01)).fraction == 1


@pytest.mark.parametrize(
    "fault", [(math.nan, 0.0), (1.0, math.nan), (math.inf, 0.0), (1.0, math.inf), (-math.inf, 0.0)]
)
def test_a_value_that_is_not_finite_is_never_accepted_TR11(fault):
    assert search(lambda theta: fault).accepted is False


def test_a_search_that_fails_returns_the_same_theta_object_and_kl_zero_TR11():
    found = search(lambda theta: (-1.0, 0.5))
    assert found.theta is THETA
    assert found[1:] == (False, 0.0, 0.0, 0.0, 10)


def test_an_improvement_below_the_expected_share_is_refused_TR11():
    gain = lambda theta: (0.4 * theta[0] if theta[0] > 0.3 else 0.6 * theta[0], 0.0)
    assert search(gain, expected=1.0, accept_ratio=0.5).fraction == 0.25
    assert search(gain, expected=1.0, accept_ratio=0.3).fraction == 1.0


def test_a_trial_is_projected_before_it_is_evaluated():
    seen = []
    found = search(lambda theta: seen.append(theta.copy()) or (1.0, 0.0), project=lambda theta: theta.clip(-0.2, 0.2))
    np.testing.assert_array_equal(seen, [[0.2, 0]])
    np.testing.assert_array_equal(found.theta, [0.2, 0])
