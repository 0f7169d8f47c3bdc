"""A whole rollout in one call: T steps of a policy in compiled environments.

minipg/rollout/collector.py does the same for all environments, one step per call; a test holds the two equal. These
environments reset in the step that ends an episode. Their actions are indices, or real numbers clipped to a bound.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from minipg.kernels.cpu import distribution_params, moments
from minipg.kernels.cpu._jit import jit_exact, matrix, unowned
from minipg.kernels.cpu.act import act as act_kernel
from minipg.kernels.cpu.classic_control.batch import advance, restart


class EnvState(NamedTuple):
    """The state of N environments, changed in place."""

    time_limit: int
    state: Any  # (N, S)
    elapsed: Any  # (N,) int64, steps since the reset
    stream: Any  # (N, 4) uint64, of random numbers
    obs: Any  # (N, O), not standardised
    done: Any  # (N,) bool: the last step ended an episode
    returns: Any  # (N,) return of the episode so far
    lengths: Any  # (N,) int64, length of the episode so far


class Standardize(NamedTuple):
    """Running moments of the observations, to standardise them."""

    limit: float
    count: Any  # (1,)
    mean: Any  # (O,)
    square: Any  # (O,)


class Scale(NamedTuple):
    """Running moments of the discounted return: rewards are divided by its standard deviation."""

    limit: float
    gamma: float
    discounted: Any  # (N, 1) discounted return so far
    count: Any  # (1,)
    mean: Any  # (1,)
    square: Any  # (1,)


class Trajectories(NamedTuple):
    """What a rollout writes: T steps of N environments."""

    obs: Any  # (T + 1, N, O) as the policy sees them; row 0 is given
    act: Any  # (T, N, …)
    params: Any  # (T, N, D) of the distributions
    rew: Any  # (T, N)
    terminated: Any  # (T, N) bool
    truncated: Any  # (T, N) bool, and not terminated
    returns: Any  # (T, N) return of the episode that ended in this step
    lengths: Any  # (T, N) int64, its length; 0 if no episode ended


class Workspace(NamedTuple):
    """Further results of a rollout, and work arrays."""

    final_obs: Any  # → (K, O) last observations of truncated episodes, not standardised
    final_at: Any  # → (K,) the flat rows t·N + n they followed
    counts: Any  # → (3,) int64: observations in final_obs, episodes ended, 1 if every number is finite
    all_envs: Any  # (N,) bool, True
    action: Any  # (N,) float64, work array
    reward: Any  # (N,) float64, work array
    draws: Any  # (U,) float64, work array
    work: Any  # (act.work_size,) work array


@jit_exact
def rollout(policy, theta, dynamics, noise, bound, envs, standardize, scale, trajectories, workspace):
    """T steps of N environments under π_θ.   theta (P,), noise (T, N, …); actions are clipped to ±bound.

    dynamics: of the problem; envs: an EnvState, changed in place → trajectories, workspace. With standardize None,
    observations are unchanged; with scale None, rewards are.
    """
    policy, theta = distribution_params._unowned(policy), unowned(theta)
    state, elapsed, stream = unowned(envs.state), unowned(envs.elapsed), unowned(envs.stream)
    raw_obs, done, returns, lengths = (
        unowned(envs.obs),
        unowned(envs.done),
        unowned(envs.returns),
        unowned(envs.lengths),
    )
    obs, acts, params = unowned(trajectories.obs), unowned(trajectories.act), unowned(trajectories.params)
    terminated, truncated = unowned(trajectories.terminated), unowned(trajectories.truncated)
    rew, ended_return, ended_length = (
        unowned(trajectories.rew),
        unowned(trajectories.returns),
        unowned(trajectories.lengths),
    )
    action, reward, counts = unowned(workspace.action), unowned(workspace.reward), unowned(workspace.counts)
    final_obs, final_at, noise = unowned(workspace.final_obs), unowned(workspace.final_at), unowned(noise)
    work, draws, all_envs = unowned(workspace.work), unowned(workspace.draws), unowned(workspace.all_envs)
    if standardize is not None:
        obs_count, obs_mean = unowned(standardize.count), unowned(standardize.mean)
        obs_square = unowned(standardize.square)
    if scale is not None:
        discounted, scale_count = unowned(scale.discounted), unowned(scale.count)
        scale_mean, scale_square = unowned(scale.mean), unowned(scale.square)

    steps, n = rew.shape
    sampled = matrix(acts, 0, steps, n)
    n_finals, n_ended, sum_of_all = 0, 0, 0.0  # a sum of all numbers: finite if every one is
    for t in range(steps):
        act_kernel(policy, theta, obs[t], noise[t], params[t], acts[t], work)
        for i in range(n):
            action[i] = min(max(np.float32(sampled[t, i]), -bound), bound)
            sum_of_all += sampled[t, i]
        ends, cuts = terminated[t], truncated[t]  # (N,) views
        advance(dynamics, all_envs, action, envs.time_limit, state, elapsed, raw_obs, reward, ends, cuts)
        deviation = 1.0
        if scale is not None:
            for i in range(n):
                discounted[i, 0] = scale.gamma * discounted[i, 0] + reward[i]
            moments.merge(discounted, scale_count, scale_mean, scale_square)
            deviation = math.sqrt(scale_square[0] / scale_count[0])
        for i in range(n):
            returns[i] += reward[i]
            lengths[i] += 1
            rew[t, i] = reward[i]
            if scale is not None:
                scaled = reward[i] / deviation if deviation > 0 else reward[i]
                rew[t, i] = min(max(scaled, -scale.limit), scale.limit)
            sum_of_all += rew[t, i]
            done[i], ended_length[t, i] = ends[i] or cuts[i], 0
            if done[i]:
                n_ended += 1
                ended_return[t, i], ended_length[t, i] = returns[i], lengths[i]
                returns[i], lengths[i] = 0, 0
                if scale is not None:
                    discounted[i, 0] = 0
                cuts[i] = cuts[i] and not ends[i]
                if cuts[i]:
                    for j in range(raw_obs.shape[1]):
                        final_obs[n_finals, j] = raw_obs[i, j]
                        sum_of_all += raw_obs[i, j]
                    final_at[n_finals] = t * n + i
                    n_finals += 1
        restart(dynamics, done, stream, state, elapsed, raw_obs, draws)
        next_obs = obs[t + 1]
        for i in range(n):
            for j in range(raw_obs.shape[1]):
                next_obs[i, j] = raw_obs[i, j]
        if standardize is not None:
            moments.merge(next_obs, obs_count, obs_mean, obs_square)
            moments.standardize(next_obs, obs_count, obs_mean, obs_square, standardize.limit, next_obs)
        for i in range(n):
            for j in range(raw_obs.shape[1]):
                sum_of_all += next_obs[i, j]
    counts[0], counts[1], counts[2] = n_finals, n_ended, math.isfinite(sum_of_all)
