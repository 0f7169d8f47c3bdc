"""Laws of returns and advantages, compared with sums written out term by term."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minipg.checks import Array
from minipg.kernels.arguments import Steps
from minipg.network import MLP
from minipg.returns import advantages, discounted_returns, gae, td_errors
from minipg.theory.case import Case, error_ratio


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


def the_estimate_of_a_rollout_is_gae_of_the_critics_values_PG12_AC1(case: Case) -> float:
    """V of every observation by one network, Â by GAE, and the targets Â + V; V of the first rows may be given."""
    rew, _, _, terminated, truncated, gamma, gae_lambda = _draw(case)
    rows, envs, at = rew.size, rew.shape[1], np.flatnonzero(truncated)
    critic = MLP((case.count(4), case.count(5), 1), "tanh", case.backend)
    theta, obs = case.normal(critic.layout.size), case.normal(rows + envs + len(at), critic.sizes[0])
    parts = obs[:rows].reshape(*rew.shape, -1), obs[rows : rows + envs], obs[rows + envs :]
    value, adv, ret = np.empty(len(obs), case.dtype), np.empty_like(rew), np.empty_like(rew)
    kernels, given = case.backend.kernels("advantages"), case.one_of(0, rows // 2)
    work = np.empty(kernels.work_size(critic.sizes, len(theta), rows), case.dtype)
    kernels.values(critic.spec, theta, obs[:given], value[:given], work)
    steps = Steps(*parts, at, rew, terminated, truncated)
    kernels.estimate(critic.spec, theta, steps, given, gamma, gae_lambda, value, adv, ret, work)
    V = critic.forward(theta.astype(float), obs.astype(float)).out[:, 0]
    own = V[:rows].reshape(rew.shape)
    following = np.concatenate([own[1:], V[None, rows : rows + envs]])
    following.ravel()[at] = V[rows + envs :]
    delta = rew + gamma * np.where(terminated, 0, following) - own
    expected = _sum(delta, None, terminated, truncated, gamma * gae_lambda)
    size = (1 + np.abs(theta).sum()) * (1 + np.abs(obs).max()) * (1 + np.abs(rew).sum() + rows)
    pairs = zip((value, adv, ret), (V, expected, expected + own), strict=True)
    return max(error_ratio(case, got, want, size) for got, want in pairs)


def normalized_advantages_have_mean_0_and_deviation_1_and_equal_ones_are_0(case: Case) -> float:
    """(Â − mean)/std; where all are equal, 0 and not 0/0."""
    adv = case.one_of(1e-3, 1.0, 100.0) * case.normal(1 + case.count(9)) + case.one_of(0.0, 10.0)
    adv, kernels = adv.astype(case.dtype), case.backend.kernels("advantages")
    out, equal = np.empty_like(adv), np.full_like(adv, adv[0])
    kernels.normalize(adv, out)
    kernels.normalize(equal, equal)
    exact = adv.astype(float)
    expected = (exact - exact.mean()) / exact.std()
    size = (1 + np.abs(expected)) * (1 + np.abs(exact).max() / exact.std())
    return math.inf if equal.any() else error_ratio(case, out, expected, size)


def explained_variance_is_1_less_the_ratio_of_the_variances(case: Case) -> float:
    """1 − Var(G − V)/Var(G): 1 for V = G + c, NaN where G is constant."""
    ret, value = case.normal(1 + case.count(9)), case.normal(1 + case.count(9))
    value, kernels = np.resize(value, ret.shape), case.backend.kernels("advantages")
    found = np.empty((3, 1))
    kernels.explained_variance(value, ret, found[0])
    kernels.explained_variance(ret + case.dtype(0.5), ret, found[1])
    kernels.explained_variance(value, np.full_like(ret, case.one_of(-2.0, 0.0, 0.5)), found[2])
    exact = ret.astype(float)
    size = (1 + np.abs(ret).max() + np.abs(value).max()) ** 2 / exact.var()
    expected = 1 - (exact - value).var() / exact.var()
    worst = max(error_ratio(case, found[0], expected, size), error_ratio(case, found[1], 1.0, size))
    return worst if np.isnan(found[2, 0]) else math.inf


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
    advantage = lambda x: gae(x, terminated, truncated, gamma, gae_lambda, case.backend)
    returns = lambda x: discounted_returns(x, next_value, terminated, truncated, gamma, case.backend)
    same = all(np.array_equal(f(rew)[: t + 1, n], f(changed)[: t + 1, n]) for f in (advantage, returns))
    return 0.0 if same else math.inf
