"""A whole rollout in one call: a policy and compiled environments, step after step.

minipg/rollout/collector.py does the same for environments of every kind, a step a call; a test holds them equal. These
reset within the step that ends an episode, and take an action as it is or clipped to a bound.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from minipg.kernels.cpu import distribution_params, moments
from minipg.kernels.cpu._jit import jit_exact, unowned
from minipg.kernels.cpu.act import act as act_kernel
from minipg.kernels.cpu.classic_control.batch import advance, restart


class Place(NamedTuple):
    """The state of N environments, changed in place."""

    time_limit: int
    state: Any  # (N, S)
    elapsed: Any  # (N,) int64, steps since the reset
    stream: Any  # (N, 4) uint64, of random numbers
    obs: Any  # (N, O), not standardised
    done: Any  # (N,) bool: the last step ended an episode
    returns: Any  # (N,) of the episode so far
    lengths: Any  # (N,) int64 of the episode so far


class Standardize(NamedTuple):
    """Running moments by which observations are standardised."""

    limit: float
    count: Any  # (1,)
    mean: Any  # (O,)
    square: Any  # (O,)


class Scale(NamedTuple):
    """Running moments of the discounted return, by which rewards are divided."""

    limit: float
    gamma: float
    discounted: Any  # (N, 1) so far
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
    returns: Any  # (T, N) of the episode that ended in this step
    lengths: Any  # (T, N) int64 of that episode, 0 where none ended


class Workspace(NamedTuple):
    """What else a rollout writes, and arrays that it works on."""

    final_obs: Any  # → (K, O) last observations of truncated episodes, not standardised
    final_at: Any  # → (K,) the flat rows t·N + n that they followed
    counts: Any  # → (3,) int64: observations in final_obs, episodes ended, 1 if every number is finite
    everywhere: Any  # (N,) bool, True
    action: Any  # (N,) float64 to work on
    reward: Any  # (N,) float64 to work on
    draws: Any  # (K,) float64 to work on
    work: Any  # (act.work_size,) to work on


@jit_exact
def rollout(policy, theta, dynamics, noise, bound, place, standardize, scale, trajectories, workspace):
    """T steps of N environments under π_θ.   theta (P,), noise (T, N, …); actions are clipped to ±bound.

    Without `standardize` (None) observations stay as they are, without `scale` rewards do.
    """
    policy, theta = distribution_params._unowned(policy), unowned(theta)
    state, elapsed, stream = unowned(place.state), unowned(place.elapsed), unowned(place.stream)
    shown, done, returns, lengths = (
        unowned(place.obs),
        unowned(place.done),
        unowned(place.returns),
        unowned(place.lengths),
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
    work, draws, everywhere = unowned(workspace.work), unowned(workspace.draws), unowned(workspace.everywhere)

    steps, n = rew.shape
    sampled = acts.reshape(steps, n)
    finals, ended, total = 0, 0, 0.0
    for t in range(steps):
        act_kernel(policy, theta, obs[t], noise[t], params[t], acts[t], work)
        for i in range(n):
            action[i] = min(max(np.float32(sampled[t, i]), -bound), bound)
            total += sampled[t, i]
        over, cut = terminated[t], truncated[t]
        advance(dynamics, everywhere, action, place.time_limit, state, elapsed, shown, reward, over, cut)
        deviation = 1.0
        if scale is not None:
            for i in range(n):
                scale.discounted[i, 0] = scale.gamma * scale.discounted[i, 0] + reward[i]
            moments.merge(scale.discounted, scale.count, scale.mean, scale.square)
            deviation = math.sqrt(scale.square[0] / scale.count[0])
        for i in range(n):
            returns[i] += reward[i]
            lengths[i] += 1
            rew[t, i] = reward[i]
            if scale is not None:
                scaled = reward[i] / deviation if deviation > 0 else reward[i]
                rew[t, i] = min(max(scaled, -scale.limit), scale.limit)
            total += rew[t, i]
            done[i], ended_length[t, i] = over[i] or cut[i], 0
            if done[i]:
                ended += 1
                ended_return[t, i], ended_length[t, i] = returns[i], lengths[i]
                returns[i], lengths[i] = 0, 0
                if scale is not None:
                    scale.discounted[i, 0] = 0
                cut[i] = cut[i] and not over[i]
                if cut[i]:
                    for j in range(shown.shape[1]):
                        final_obs[finals, j] = shown[i, j]
                        total += shown[i, j]
                    final_at[finals] = t * n + i
                    finals += 1
        restart(dynamics, done, stream, state, elapsed, shown, draws)
        following = obs[t + 1]
        for i in range(n):
            for j in range(shown.shape[1]):
                following[i, j] = shown[i, j]
        if standardize is not None:
            moments.merge(following, standardize.count, standardize.mean, standardize.square)
            moments.standardize(
                following, standardize.count, standardize.mean, standardize.square, standardize.limit, following
            )
        for i in range(n):
            for j in range(shown.shape[1]):
                total += following[i, j]
    counts[0], counts[1], counts[2] = finals, ended, math.isfinite(total)
