"""Rollouts of compiled environments: one kernel call, or one for each half of the environments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from minipg.checks import Array, as_array
from minipg.envs.compiled import CompiledVectorEnv
from minipg.kernels.cpu import act
from minipg.kernels.cpu.classic_control.rollout import EnvState, Scale, Standardize, Trajectories, Workspace, rollout
from minipg.policy import Policy
from minipg.rollout.batch import Batch, RunningEpisodes
from minipg.rollout.normalizer import LIMIT, ObservationNormalizer, RewardScaler

MANY, LONG = 8, 1024  # environments N, and steps N·T: with fewer, two halves are slower than one call


def compiled_rollout(envs: VectorEnv[Any, Any, Any], policy: Policy) -> CompiledRollout | None:
    """The rollouts of these environments under this policy; None unless both are compiled for the processor."""
    known = policy.backend.name == "numba" and policy.distribution.name in ("categorical", "gaussian")
    if type(envs) is CompiledVectorEnv and envs.mode == AutoresetMode.SAME_STEP and known:
        return CompiledRollout(envs, policy)
    return None


class CompiledRollout:
    """Rollouts of compiled environments under one policy. A batch is valid until the next call."""

    def __init__(self, envs: CompiledVectorEnv, policy: Policy) -> None:
        self._envs, self._policy = envs, policy
        self._bound = float("inf") if envs.problem.actions else envs.problem.act_high
        self._made_for: tuple[Any, ...] = ()
        self._no_episodes = np.empty(0), np.empty(0, np.int64)

    def __call__(
        self,
        theta: Array,
        obs: Array,
        noise: Array,
        running: RunningEpisodes,
        normalizer: ObservationNormalizer | None,
        scaler: RewardScaler | None,
    ) -> tuple[Batch, bool]:
        """The batch of len(noise) steps of every environment, and True if every number in it is finite.

        theta (P,), obs (N, O) as the policy sees it, noise (T, N, …). `running` and the statistics change in place.
        Raises ShapeError for the θ of another policy.
        """
        envs, policy = self._envs, self._policy
        theta = as_array("theta", theta, (policy.layout.size,), obs.dtype)
        shared_statistics = normalizer is not None or scaler is not None
        made_for = len(noise), envs.time_limit, shared_statistics, obs.dtype
        if made_for != self._made_for:
            self._allocate(*made_for)
            self._made_for = made_for
        standardize = None if normalizer is None else Standardize(LIMIT, *normalizer.moments.arrays)
        scale = None if scaler is None else Scale(LIMIT, scaler.gamma, scaler.running, *scaler.moments.arrays)
        state, whole, dynamics = EnvState(*envs.in_kernels(), *running), self._whole, envs.problem.dynamics
        whole.obs[0] = obs

        def run(noise: Array, state: EnvState, trajectories: Trajectories, workspace: Workspace) -> None:
            inputs = policy.spec, theta, dynamics, noise, self._bound, state, standardize, scale
            rollout(*inputs, trajectories, workspace)

        if len(self._workspaces) == 1:
            run(noise, state, whole, self._workspaces[0])
        else:
            self._in_halves(run, noise, state)
        finals, ended, finite = self._counts()
        final_obs, final_at = self._finals(finals)
        returns, lengths = self._no_episodes
        if ended:
            where = whole.lengths.nonzero()
            returns, lengths = whole.returns[where], whole.lengths[where]
        batch = Batch(
            whole.obs[:-1], whole.act, whole.params, whole.rew, whole.terminated, whole.truncated,
            self._all_true, self._all_false, self._all_false, whole.obs[-1],
            final_obs if normalizer is None or not finals else normalizer(final_obs), final_at, returns, lengths,
        )  # fmt: skip
        return batch, finite == len(self._workspaces)

    def _in_halves(self, run: Callable[..., None], noise: Array, state: EnvState) -> None:
        """Each half in separate arrays: threads that write to one cache line wait for each other."""
        columns, limit, states = self._columns, state.time_limit, self._states
        for half, half_state in zip(columns, states, strict=True):
            for array, copy in zip(state[1:], half_state, strict=True):
                copy[:] = array[half]
        for half, trajectories in zip(columns, self._halves, strict=True):
            trajectories.obs[0] = self._whole.obs[0, half]

        def run_half(k: int) -> None:
            run(noise[:, columns[k]].copy(), EnvState(limit, *states[k]), self._halves[k], self._workspaces[k])

        self._policy.backend.map(run_half, range(len(columns)))
        for half, half_state, trajectories in zip(columns, states, self._halves, strict=True):
            for array, copy in zip(state[1:], half_state, strict=True):
                array[half] = copy
            for array, part in zip(self._whole, trajectories, strict=True):
                array[:, half] = part

    def _counts(self) -> list[int]:
        """The numbers of final observations, of episodes that ended, and of workspaces with only finite numbers."""
        counts = [workspace.counts.tolist() for workspace in self._workspaces]
        return counts[0] if len(counts) == 1 else [sum(column) for column in zip(*counts, strict=True)]

    def _finals(self, count: int) -> tuple[Array, Array]:
        """The last observations (K, O) of truncated episodes, and the flat rows (K,) they followed."""
        first, *others = self._workspaces
        if count == 0 or not others:
            return first.final_obs[:count], first.final_at[:count]
        envs, found, at = self._envs.num_envs, [], []
        for half, workspace in zip(self._columns, self._workspaces, strict=True):
            k = workspace.counts[0]
            t, n = np.divmod(workspace.final_at[:k], half.stop - half.start)
            found.append(workspace.final_obs[:k])
            at.append(t * envs + half.start + n)
        return np.concatenate(found), np.concatenate(at)

    def _allocate(self, steps: int, time_limit: int, shared_statistics: bool, dtype: Any) -> None:
        """Allocate the arrays of a rollout: for all environments, and for each half if two threads are faster."""
        n = self._envs.num_envs
        two = n >= MANY and n * steps >= LONG and not shared_statistics
        self._columns = [slice(0, n // 2), slice(n // 2, n)] if two else [slice(0, n)]
        sizes = [column.stop - column.start for column in self._columns]
        self._whole = self._trajectories(steps, n, dtype)
        self._halves = [self._trajectories(steps, size, dtype) for size in sizes] if two else []
        state = *self._envs.in_kernels()[1:], np.zeros(n), np.zeros(n, np.int64)
        self._states = [[np.empty((size, *array.shape[1:]), array.dtype) for array in state] for size in sizes]
        self._workspaces = [self._workspace(size, size * (steps // time_limit + 1), dtype) for size in sizes]
        self._all_true, self._all_false = np.ones((steps, n), bool), np.zeros((steps, n), bool)

    def _trajectories(self, steps: int, n: int, dtype: Any) -> Trajectories:
        distribution, observed = self._policy.distribution, self._policy.mlp.sizes[0]
        return Trajectories(
            np.empty((steps + 1, n, observed), dtype),
            np.empty((steps, n, *distribution.act_shape), np.int64 if distribution.discrete else dtype),
            np.empty((steps, n, distribution.n_params), dtype), np.empty((steps, n), dtype),
            np.empty((steps, n), bool), np.empty((steps, n), bool), np.empty((steps, n)),
            np.empty((steps, n), np.int64),
        )  # fmt: skip

    def _workspace(self, n: int, finals: int, dtype: Any) -> Workspace:
        policy = self._policy
        return Workspace(
            np.empty((finals, policy.mlp.sizes[0]), dtype), np.empty(finals, np.int64), np.zeros(3, np.int64),
            np.ones(n, bool), np.empty(n), np.empty(n), np.empty(self._envs.problem.dynamics.draws),
            np.empty(act.work_size(policy.mlp.sizes, policy.layout.size, n), dtype),
        )  # fmt: skip
