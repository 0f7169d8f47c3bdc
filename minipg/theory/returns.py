"""Laws of returns and advantages, compared with sums written out term by term."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minipg.checks import Array
from minipg.returns import advantages, discounted_returns, gae, td_errors
from minipg.theory.case import Case, Law, error_ratio


class Draw(NamedTuple):
    """Rewards, values, values of the next observations, ends of both kinds (never both at once), all (T, N); γ, λ."""

    rew: Array
    value: Array
    next_value: Array
    terminated: Array
    truncated: Array
    gamma: float
    gae_lambda: float


def _draw(case: Case) -> Draw:
    """Random arrays; within an episode, the value of the next observation is the next row's value."""
    shape = (case.count(12), case.count(3))
    end = case.rng.choice(3, size=shape, p=[0.7, 0.15, 0.15])
    rew, value, next_value = (case.normal(*shape) for _ in range(3))
    next_value[:-1] = np.where(end[:-1] == 0, value[1:], next_value[:-1])
    gamma, gae_lambda = case.one_of(0.0, 0.5, 0.97, 1.0), case.one_of(0.0, 0.5, 0.97, 1.0)
    return Draw(rew, value, next_value, end == 1, end == 2, gamma, gae_lambda)


def _sum(x: Array, bootstrap: Array | None, terminated: Array, truncated: Array, factor: float) -> Array:
    """x_t + c x_{t+1} + c² x_{t+2} + … to the end of the episode, then cᵏ of `bootstrap` unless it terminated."""
    total = np.zeros(x.shape)
    for t, n in np.ndindex(x.shape):
        weight = 1.0
        for k in range(t, len(x)):
            total[t, n] += weight * x[k, n]
            weight *= factor
            if terminated[k, n] or truncated[k, n] or k == len(x) - 1:
                break
        if bootstrap is not None and not terminated[k, n]:
            total[t, n] += weight * bootstrap[k, n]
    return total


def the_return_is_the_discounted_sum_to_the_end_of_the_episode_PG7(case: Case) -> float:
    """G_t = r_t + γ G_{t+1}, with γ V(s′) after a truncation and nothing after a termination."""
    rew, _, next_value, terminated, truncated, gamma, _ = _draw(case)
    G = discounted_returns(rew, next_value, terminated, truncated, gamma, case.backend)
    size = 1 + np.abs(rew).sum() + np.abs(next_value).max()
    return error_ratio(case, G, _sum(rew.astype(float), next_value, terminated, truncated, gamma), size)


def the_td_error_bootstraps_unless_the_episode_terminated_PG12_AC1(case: Case) -> float:
    """δ + V(s) is the critic's target r + γ (1 − terminated) V(s′)."""
    rew, value, next_value, terminated, _, gamma, _ = _draw(case)
    delta = td_errors(rew, value, next_value, terminated, gamma, case.backend)
    target = rew + gamma * np.where(terminated, 0, next_value).astype(float)
    return error_ratio(case, delta + value.astype(float), target, np.abs(rew) + np.abs(next_value) + np.abs(value))


def gae_is_the_weighted_sum_of_td_errors_within_the_episode_PG12(case: Case) -> float:
    """Â_t = Σ (γλ)ˡ δ_{t+l}."""
    delta, _, _, terminated, truncated, gamma, gae_lambda = _draw(case)
    adv = gae(delta, terminated, truncated, gamma, gae_lambda, case.backend)
    expected = _sum(delta.astype(float), None, terminated, truncated, gamma * gae_lambda)
    return error_ratio(case, adv, expected, 1 + np.abs(delta).sum())


def gae_is_the_td_error_at_lambda_0_and_the_return_minus_the_value_at_1_PG12(case: Case) -> float:
    """λ = 0: δ; λ = 1: G − V."""
    rew, value, next_value, terminated, truncated, gamma, _ = _draw(case)
    ends, size = (terminated, truncated), 1 + np.abs(rew).sum() + np.abs(value).sum() + np.abs(next_value).sum()
    delta = td_errors(rew, value, next_value, terminated, gamma, case.backend)
    G = discounted_returns(rew, next_value, *ends, gamma, case.backend)
    return max(
        error_ratio(case, gae(delta, *ends, gamma, 0.0, case.backend), delta, np.abs(delta)),
        error_ratio(case, gae(delta, *ends, gamma, 1.0, case.backend), G - value.astype(float), size),
    )


def the_advantages_of_a_batch_are_gae_with_the_values_of_the_next_observations_PG12_AC1(case: Case) -> float:
    """V(s′) is the next row's value, the value after the last row, or after a truncation the final observation's."""
    rew, value, _, terminated, truncated, gamma, gae_lambda = _draw(case)
    at, after = np.flatnonzero(truncated), case.normal(rew.shape[1])
    finals, next_value = case.normal(len(at)), np.concatenate([value[1:], after[None]])
    next_value.ravel()[at] = finals
    whole = np.concatenate([value.ravel(), after, finals])
    adv, ret = advantages(whole, rew, terminated, truncated, at, gamma, gae_lambda, case.backend)
    delta = td_errors(rew, value, next_value, terminated, gamma, case.backend)
    expected = gae(delta, terminated, truncated, gamma, gae_lambda, case.backend)
    size = 1 + np.abs(delta).sum() + np.abs(value)
    return max(error_ratio(case, adv, expected, size), error_ratio(case, ret, expected.astype(float) + value, size))


def a_k_step_advantage_is_the_sum_of_k_td_errors_PG11(case: Case) -> float:
    """Σ_{i<k} γⁱ δ_i = Σ_{i<k} γⁱ r_i + γᵏ V(s_k) − V(s_0)."""
    rew, value, next_value, _, _, gamma, _ = _draw(case)
    next_value[:-1], never = value[1:], np.zeros(rew.shape, bool)
    k, size = len(rew), 1 + np.abs(rew).sum() + np.abs(value).sum() + np.abs(next_value).sum()
    delta = td_errors(rew, value, next_value, never, gamma, case.backend)
    powers = gamma ** np.arange(k, dtype=float)[:, None]
    k_step = (powers * rew).sum(0) + gamma**k * next_value[-1].astype(float) - value[0]
    return max(
        error_ratio(case, (powers * delta).sum(0), k_step, size),
        error_ratio(case, gae(delta, never, never, gamma, 1.0, case.backend)[0], k_step, size),
    )


def rewards_after_an_episodes_end_change_nothing_before_it(case: Case) -> float:
    """Changing the rewards after an episode's end leaves all earlier results the same, to the bit."""
    rew, _, next_value, terminated, truncated, gamma, gae_lambda = _draw(case)
    t, n = case.rng.integers(len(rew)), case.rng.integers(rew.shape[1])
    terminated[t, n], truncated[t, n] = case.one_of((True, False), (False, True))
    changed = rew.copy()
    changed[t + 1 :, n] += 100
    for f in (
        lambda x: gae(x, terminated, truncated, gamma, gae_lambda, case.backend),
        lambda x: discounted_returns(x, next_value, terminated, truncated, gamma, case.backend),
    ):
        if not np.array_equal(f(rew)[: t + 1, n], f(changed)[: t + 1, n]):
            return math.inf
    return 0.0


LAWS: tuple[Law, ...] = (
    the_return_is_the_discounted_sum_to_the_end_of_the_episode_PG7,
    the_td_error_bootstraps_unless_the_episode_terminated_PG12_AC1,
    gae_is_the_weighted_sum_of_td_errors_within_the_episode_PG12,
    the_advantages_of_a_batch_are_gae_with_the_values_of_the_next_observations_PG12_AC1,
    gae_is_the_td_error_at_lambda_0_and_the_return_minus_the_value_at_1_PG12,
    a_k_step_advantage_is_the_sum_of_k_td_errors_PG11,
    rewards_after_an_episodes_end_change_nothing_before_it,
)
