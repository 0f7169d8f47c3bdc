"""A whole rollout in one call: a policy and compiled environments, step after step.

minipg/rollout/collector.py says the same in the plain way, for environments of every kind. These reset within the step
that ends an episode, and take an action as it is or clipped to a bound.
"""

import math
from functools import cache

import numpy as np
from minipg.kernels.cpu import moments
from minipg.kernels.cpu._bind import compiled_with
from minipg.kernels.cpu._jit import jit_exact, part
from minipg.kernels.cpu.act import _act, _act_of
from minipg.kernels.cpu.classic_control.batch import advance, kernels, restart


@cache
def rollout(problem, family):
    """`_rollout`, compiled for the problem in the file of that name and the distributions of that name."""
    return _rollout_of(problem, family, jit_exact)


def _rollout_of(problem, family, how):
    """The same, or a part of a longer kernel."""
    parts = {"_act": _act_of(family, part), **kernels(problem)._asdict()}
    return compiled_with(_rollout, f"minipg.kernels.cpu.{family}", (), how, f"_{problem}", **parts)


def _rollout(policy, theta, noise, bound, envs, tally, seen, paid, batch, finals, ended, work):
    """T steps of N environments under π_θ, from where they stand; batch.obs[0] is what they show.

    policy as in `reference/surrogate_epochs.py`, theta (P,), noise (T, N, …) for `sample`, actions clipped to ±bound;
    envs: the time limit, state, elapsed, stream and obs as in `batch.py`, whose episode has ended (N,), u (K,)
    tally: each environment's return and length so far, (N,) each
    seen: limit and moments (`moments.py`) that observations are standardised by, which grow; limit 0 leaves them alone
    paid: limit, γ, discounted returns (N, 1) and their moments, by which rewards are divided; limit 0 likewise
    → batch: obs (T + 1, N, O), act (T, N, …), params (T, N, D), rew, terminated, truncated (T, N), none both
    → finals: (K, O) the last observations of truncated episodes, not standardised, (K,) the flat rows they followed
    → ended: return and length of every episode in the row where it ended, no length elsewhere, (T, N) each; the number
    of finals, and whether all that is in batch and finals adds up to a finite number (2,)
    work (N·(n + Σ hidden),).
    """
    time_limit, state, elapsed, stream, shown, done, u = envs
    returns, lengths = tally
    obs_limit, obs_count, obs_mean, obs_square = seen
    rew_limit, gamma, discounted, rew_count, rew_mean, rew_square = paid
    obs, act, params, rew, terminated, truncated = batch
    last_obs, last_at = finals
    gained, lasted, counts = ended

    steps, count = rew.shape
    everywhere, told, reward = np.empty(count, np.bool_), np.empty(count), np.empty(count)
    everywhere[:] = True
    told_by = act.reshape(steps, count)
    counts[:], total = 0, 0.0
    for t in range(steps):
        _act(policy, theta, obs[t], noise[t], params[t], act[t], work)
        for i in range(count):
            told[i] = min(max(np.float32(told_by[t, i]), -bound), bound)
            total += told_by[t, i]
        advance(everywhere, told, time_limit, state, elapsed, shown, reward, terminated[t], truncated[t])
        scale = 1.0
        if rew_limit > 0:
            for i in range(count):
                discounted[i, 0] = gamma * discounted[i, 0] + reward[i]
            moments.merge(discounted, rew_count, rew_mean, rew_square)
            scale = math.sqrt(rew_square[0] / rew_count[0])
        for i in range(count):
            returns[i] += reward[i]
            lengths[i] += 1
            paid_now = reward[i] / scale if scale > 0 else reward[i]
            rew[t, i] = min(max(paid_now, -rew_limit), rew_limit) if rew_limit > 0 else paid_now
            done[i] = terminated[t, i] or truncated[t, i]
            lasted[t, i] = 0
            if done[i]:
                discounted[i, 0] = 0
                gained[t, i], lasted[t, i] = returns[i], lengths[i]
                returns[i], lengths[i] = 0, 0
                if not terminated[t, i]:
                    for j in range(shown.shape[1]):
                        last_obs[counts[0], j] = shown[i, j]
                        total += shown[i, j]
                    last_at[counts[0]] = t * count + i
                    counts[0] += 1
        restart(done, stream, state, elapsed, shown, u)
        for i in range(count):
            truncated[t, i] = truncated[t, i] and not terminated[t, i]
            for j in range(shown.shape[1]):
                obs[t + 1, i, j] = shown[i, j]
        if obs_limit > 0:
            moments.merge(obs[t + 1], obs_count, obs_mean, obs_square)
            moments.standardize(obs[t + 1], obs_count, obs_mean, obs_square, obs_limit, obs[t + 1])
        for i in range(count):
            total += rew[t, i]
            for j in range(shown.shape[1]):
                total += obs[t + 1, i, j]
    counts[1] = math.isfinite(total)
