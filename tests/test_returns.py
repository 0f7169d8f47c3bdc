"""Returns and advantages against sums written out term by term."""

from typing import NamedTuple

import numpy as np
import pytest
from cases import TWINS, backends, close, seeds
from hypothesis import given
from hypothesis import strategies as st

from minipg.errors import ShapeError
from minipg.returns import discounted_returns, gae, td_errors


class RolloutCase(NamedTuple):
    """Rewards, values and ends of (T, N) steps."""

    rew: np.ndarray
    value: np.ndarray
    next_value: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    gamma: float
    gae_lambda: float
    backend: object


@st.composite
def rollouts(draw):
    """Ends of both kinds anywhere, never both at once; γ and λ from 0 to 1 inclusive."""
    rng, shape = np.random.default_rng(draw(seeds)), (draw(st.integers(1, 12)), draw(st.integers(1, 3)))
    end = rng.choice(3, size=shape, p=[0.7, 0.15, 0.15])
    unit = st.sampled_from([0.0, 0.5, 0.97, 1.0])
    return RolloutCase(*rng.normal(size=(3, *shape)), end == 1, end == 2, draw(unit), draw(unit), draw(backends))


def ends(case):
    return case.terminated, case.truncated


def written_out(case, n, t):
    """r_t + γ r_{t+1} + … to the episode's end, then γᵏ V where it was only cut."""
    total, weight = 0.0, 1.0
    for k in range(t, len(case.rew)):
        total += weight * case.rew[k, n]
        weight *= case.gamma
        if case.terminated[k, n]:
            return total
        if case.truncated[k, n]:
            break
    return total + weight * case.next_value[k, n]


@given(rollouts())
def test_the_return_is_the_discounted_sum_to_the_end_of_the_episode_PG7(case):
    g = discounted_returns(case.rew, case.next_value, *ends(case), case.gamma, case.backend)
    expected = [[written_out(case, n, t) for n in range(case.rew.shape[1])] for t in range(len(case.rew))]
    close(g, expected, 1e-12, scale=20)


@given(rollouts())
def test_a_td_error_bootstraps_unless_the_episode_terminated_PG12(case):
    delta = td_errors(case.rew, case.value, case.next_value, case.terminated, case.gamma, case.backend)
    following = np.where(case.terminated, 0, case.next_value)
    close(delta, case.rew + case.gamma * following - case.value, 1e-14, scale=10)


@given(rollouts())
def test_gae_is_the_weighted_sum_of_td_errors_within_the_episode_PG12(case):
    delta = case.rew
    adv = gae(delta, *ends(case), case.gamma, case.gae_lambda, case.backend)
    expected = np.zeros_like(delta)
    for t, n in np.ndindex(delta.shape):
        for k in range(t, len(delta)):
            expected[t, n] += (case.gamma * case.gae_lambda) ** (k - t) * delta[k, n]
            if case.terminated[k, n] or case.truncated[k, n]:
                break
    close(adv, expected, 1e-12, scale=20)


def consistent(case):
    """The same case with next_value the value of the row that follows, wherever the episode goes on."""
    goes_on = ~(case.terminated | case.truncated)
    next_value = case.next_value.copy()
    next_value[:-1] = np.where(goes_on[:-1], case.value[1:], next_value[:-1])
    return case._replace(next_value=next_value)


@given(rollouts())
def test_gae_with_lambda_zero_is_the_td_error_and_with_one_the_return_minus_the_value_PG12(case):
    case = consistent(case)
    delta = td_errors(case.rew, case.value, case.next_value, case.terminated, case.gamma, case.backend)
    close(gae(delta, *ends(case), case.gamma, 0.0, case.backend), delta, 1e-14, scale=10)
    g = discounted_returns(case.rew, case.next_value, *ends(case), case.gamma, case.backend)
    close(gae(delta, *ends(case), case.gamma, 1.0, case.backend), g - case.value, 1e-12, scale=20)


@given(rollouts())
def test_k_step_advantages_are_sums_of_k_td_errors_PG11(case):
    case = consistent(case)._replace(terminated=np.zeros_like(case.terminated))
    case = consistent(case._replace(truncated=case.terminated))
    delta = td_errors(case.rew, case.value, case.next_value, case.terminated, case.gamma, case.backend)
    k = len(case.rew)
    rewards = sum(case.gamma**i * case.rew[i] for i in range(k))
    k_step = rewards + case.gamma**k * case.next_value[-1] - case.value[0]
    close(sum(case.gamma**i * delta[i] for i in range(k)), k_step, 1e-12, scale=20)
    close(gae(delta, *ends(case), case.gamma, 1.0, case.backend)[0], k_step, 1e-12, scale=20)


@given(rollouts())
def test_what_follows_an_end_does_not_reach_back_over_it(case):
    done = case.terminated | case.truncated
    if not done[:-1].any():
        return
    t, n = np.argwhere(done[:-1])[0]
    changed = case.rew.copy()
    changed[t + 1 :, n] += 100
    for f in (
        lambda rew: gae(rew, *ends(case), case.gamma, case.gae_lambda, case.backend),
        lambda rew: discounted_returns(rew, case.next_value, *ends(case), case.gamma, case.backend),
    ):
        np.testing.assert_array_equal(f(case.rew)[: t + 1, n], f(changed)[: t + 1, n])


@pytest.mark.parametrize("twin", TWINS)
def test_gae_may_be_written_over_its_input(twin):
    from minipg import Backend

    kernels = Backend(twin, 1).kernels("returns")
    rng = np.random.default_rng(0)
    delta, end = rng.normal(size=(9, 2)), rng.random((2, 9, 2)) < 0.2
    out = np.empty_like(delta)
    kernels.gae(delta, *end, 0.9, 0.8, out)
    kernels.gae(delta, *end, 0.9, 0.8, delta)
    np.testing.assert_array_equal(delta, out)


def test_shapes_that_disagree_are_named():
    with pytest.raises(ShapeError, match=r"terminated: expected shape \(3, 2\), got \(3,\)"):
        gae(np.zeros((3, 2)), np.zeros(3, bool), np.zeros((3, 2), bool), 0.9, 0.9)
