"""A reward learned from preferences, and a policy that is tuned on it without leaving a reference policy.

A trajectory is the sum of its features (F,), and its return is φᵀ of them: r_φ(s, a) = φᵀ f(s, a) (on a bandit, f is
one-hot, and the features count how often each arm was pulled). A policy on a bandit is its probabilities (A,).
"""

from __future__ import annotations

import numpy as np

from minipg.checks import Array
from minipg.distribution import categorical
from minipg.theory.case import Case, error_ratio, slope_error_ratio


def preference_loss(phi: Array, better: Array, worse: Array) -> Array:
    """−mean log p(better ≻ worse), p = σ(Σ r_φ(better) − Σ r_φ(worse))  (RH-1).

    phi (F,), better, worse (N, F): the features of the preferred and of the other trajectory of each pair → ().
    """
    return np.log1p(np.exp(-(better - worse) @ phi)).mean()


def preference_gradient(phi: Array, better: Array, worse: Array) -> Array:
    """∇_φ of `preference_loss` = −mean (1 − p) (better − worse)  (RH-1).   phi (F,), better, worse (N, F) → (F,)."""
    difference = better - worse
    doubt = 1 / (1 + np.exp(difference @ phi))  # 1 − p
    return -(doubt @ difference) / len(difference)


def leashed_reward(reward: Array, policy: Array, reference: Array, beta: float) -> Array:
    """r − β log(π/π_ref)  (RH-2).   reward, policy, reference (A,) → (A,)."""
    return reward - beta * np.log(policy / reference)


def leashed_optimum(reward: Array, reference: Array, beta: float) -> Array:
    """π_ref exp(r/β)/Z, the policy of a bandit with the largest E_π[r − β log(π/π_ref)]  (RH-2).   all (A,)."""
    weights: Array = reference * np.exp((reward - reward.max()) / beta)
    return weights / weights.sum()


def the_preference_gradient_is_the_slope_of_its_loss_RH1(case: Case) -> float:
    """⟨∇loss, v⟩ = its slope along v; and a pair whose returns are equal costs log 2."""
    features, pairs = case.count(5), case.count(9)
    phi, v, better, worse = case.normal(features), case.normal(features), *case.normal(2, pairs, features)
    slope, size = preference_gradient(phi, better, worse) @ v, 1 + (np.abs(better) + np.abs(worse)).sum(1).max()
    size = (size * (1 + np.abs(phi).sum()) * (1 + np.abs(v).sum())).astype(float)
    wide = better.astype(float), worse.astype(float)
    return max(
        slope_error_ratio(case, [slope], lambda x: preference_loss(x, *wide), phi, v, size),
        error_ratio(case, preference_loss(phi, better, better), np.log(2)),
    )


def either_trajectory_is_preferred_and_what_both_have_does_not_matter_RH1(case: Case) -> float:
    """p(τ¹ ≻ τ²) + p(τ² ≻ τ¹) = 1, and features added to both trajectories change no p."""
    phi, v = case.normal(2, case.count(5))
    first, second = case.normal(2, 1, len(phi))
    p, other, moved = (
        np.exp(-preference_loss(phi, *pair)) for pair in ((first, second), (second, first), (first + v, second + v))
    )
    size = (1 + np.abs(phi).sum()) * (1 + np.abs(v).max() + np.abs(first).max() + np.abs(second).max())
    return max(error_ratio(case, p + other, 1.0, size), error_ratio(case, moved, p, size))


def a_policy_loses_beta_times_its_kl_to_the_leashed_optimum_RH2(case: Case) -> float:
    """J(π*) = β log E_ref[exp(r/β)], and J(π*) − J(π) = β KL(π‖π*), with J(π) = E_π[r − β log(π/π_ref)]."""
    reward, beta = case.normal(case.count(6)).astype(float), case.one_of(0.3, 1.0, 5.0)
    reference, policy = (np.exp(x) / np.exp(x).sum() for x in case.normal(2, len(reward)).astype(float))
    best = leashed_optimum(reward, reference, beta)
    J = lambda pi: pi @ leashed_reward(reward, pi, reference, beta)
    size = 1 + np.abs(reward).max() + beta * (1 + np.abs(np.log(policy / best)).max())
    case = case.in_double
    return max(
        error_ratio(case, J(best), beta * np.log(reference @ np.exp(reward / beta)), size),
        error_ratio(case, J(best) - J(policy), beta * policy @ np.log(policy / best), size),
    )


def the_score_times_the_leashed_reward_is_the_gradient_and_vanishes_at_the_optimum_RH2(case: Case) -> float:
    """E_π[∇log π (r − β log(π/π_ref))] is the slope of J in the logits; at π* every arm has the same leashed reward."""
    d, beta = categorical(case.count(6), case.backend), case.one_of(0.3, 1.0, 5.0)
    z, v, reward = case.normal(3, d.size)
    reference, arms = np.exp(case.normal(d.size).astype(float)), np.arange(d.size)
    reference = reference / reference.sum()
    probabilities = lambda z: np.exp(d.log_prob(np.repeat(z[None], d.size, 0), arms).astype(float))
    leashed = lambda z: leashed_reward(reward, probabilities(z), reference, beta)
    terms = (probabilities(z) * leashed(z))[:, None] * d.score(np.repeat(z[None], d.size, 0), arms) * v
    size = (1 + np.abs(z).max() + np.abs(v).sum()) * (1 + np.abs(reward).max() + beta * (1 + np.abs(z).max()))
    best = leashed_optimum(reward.astype(float), reference, beta)
    flat = leashed_reward(reward.astype(float), best, reference, beta)
    return max(
        slope_error_ratio(case, [terms.sum()], lambda z: probabilities(z) @ leashed(z), z, v, 8 * size),
        error_ratio(case.in_double, flat, flat[0], size),
    )
