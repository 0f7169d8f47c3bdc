"""Rollouts of compiled environments: one kernel call for each group of environments."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, TypeGuard

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from minipg.checks import Array, as_array
from minipg.envs.compiled import CompiledVectorEnv
from minipg.kernels.cpu import act
from minipg.kernels.cpu.classic_control.rollout import Group, Place, Scale, Standardize, Trajectories, rollout
from minipg.policy import Policy
from minipg.rollout.batch import Batch
from minipg.rollout.normalizer import LIMIT, ObservationNormalizer, RewardScaler
from minipg.runtime.backend import WORTH_A_THREAD

MANY = 8  # environments: products of fewer rows are slower in two groups than in one


def compiled_rollout(envs: VectorEnv[Any, Any, Any], policy: Policy) -> CompiledRollout | None:
    """The rollouts of these environments under this policy, where kernels step both on the host."""
    return CompiledRollout(envs, policy) if _is_compiled(envs, policy) else None


def _is_compiled(envs: VectorEnv[Any, Any, Any], policy: Policy) -> TypeGuard[CompiledVectorEnv]:
    return (
        type(envs) is CompiledVectorEnv
        and envs.mode == AutoresetMode.SAME_STEP
        and policy.backend.name == "numba"
        and policy.distribution.name in ("categorical", "gaussian")
    )


class CompiledRollout:
    """Rollouts of compiled environments under one policy. A batch is valid until the next call."""

    def __init__(self, envs: CompiledVectorEnv, policy: Policy) -> None:
        self._envs, self._policy, self._steps = envs, policy, 0
        self._bound = float("inf") if envs.problem.actions else envs.problem.act_high

    def __call__(
        self,
        theta: Array,
        obs: Array,
        noise: Array,
        tally: tuple[Array, Array],
        normalizer: ObservationNormalizer | None,
        scaler: RewardScaler | None,
    ) -> tuple[Batch, bool]:
        """len(noise) steps of every environment, and whether every number in the batch is finite.

        theta (P,), obs (N, O) as the policy sees it, noise (T, N, …); tally: return and length of every environment's
        episode so far, (N,) each, which change, as the statistics do. Raises ShapeError for the θ of another policy.
        """
        envs, policy = self._envs, self._policy
        theta = as_array("theta", theta, (policy.layout.size,), obs.dtype)
        limits = len(noise), envs.time_limit, normalizer is None and scaler is None, obs.dtype
        if limits != self._steps:
            self._allocate(*limits)
            self._steps = limits
        trajectories = self._trajectories
        trajectories.obs[0] = obs
        standardize = None if normalizer is None else Standardize(LIMIT, *normalizer.moments.arrays)
        scale = None if scaler is None else Scale(LIMIT, scaler.gamma, scaler.running, *scaler.moments.arrays)
        place, dynamics = Place(*envs.in_kernels(), *tally), envs.problem.dynamics
        inputs = (policy.spec, theta, dynamics, noise, self._bound, place, standardize, scale, trajectories)
        policy.backend.map(lambda group: rollout(*inputs, group), self._groups)
        finals, ended, finite = self._groups[0].counts.tolist()
        for group in self._groups[1:]:
            finals, ended, finite = (a + b for a, b in zip((finals, ended, finite), group.counts.tolist(), strict=True))
        final_obs, final_at, returns, lengths = self._nothing
        if finals:
            final_obs = np.concatenate([group.final_obs[: group.counts[0]] for group in self._groups])
            final_at = np.concatenate([group.final_at[: group.counts[0]] for group in self._groups])
            final_obs = final_obs if normalizer is None else normalizer(final_obs)
        if ended:
            where = trajectories.lengths.nonzero()
            returns, lengths = trajectories.returns[where], trajectories.lengths[where]
        batch = Batch(
            trajectories.obs[:-1], *trajectories[1:6], self._everywhere, self._nowhere, trajectories.obs[-1],
            final_obs, final_at, returns, lengths,
        )  # fmt: skip
        return batch, finite == len(self._groups)

    def _allocate(self, steps: int, time_limit: int, apart: bool, dtype: Any) -> None:
        """Arrays for rollouts of so many steps. Environments that share no statistics are stepped in two groups."""
        envs, distribution = self._envs, self._policy.distribution
        n, observed = envs.num_envs, envs.single_observation_space.shape[0]  # type: ignore[index]
        self._trajectories = Trajectories(
            np.empty((steps + 1, n, observed), dtype),
            np.empty((steps, n, *distribution.act_shape), np.int64 if distribution.discrete else dtype),
            np.empty((steps, n, distribution.n_params), dtype), np.empty((steps, n), dtype),
            np.empty((steps, n), bool), np.empty((steps, n), bool), np.empty((steps, n)),
            np.empty((steps, n), np.int64),
        )  # fmt: skip
        halves = [0, n // 2, n] if apart and n >= MANY and n * steps >= WORTH_A_THREAD else [0, n]
        self._groups = [
            self._group(a, b, (b - a) * (steps // time_limit + 1), observed, dtype) for a, b in pairwise(halves)
        ]
        self._everywhere, self._nowhere = np.ones((steps, n), bool), np.zeros((steps, n), bool)
        self._nothing = np.empty((0, observed), dtype), np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64)

    def _group(self, first: int, last: int, finals: int, observed: int, dtype: Any) -> Group:
        n = last - first
        return Group(
            first, last, np.empty((finals, observed), dtype), np.empty(finals, np.int64), np.zeros(3, np.int64),
            np.ones(n, bool), np.empty(n), np.empty(n), np.empty(self._envs.problem.dynamics.draws),
            np.empty(act.work_size(self._policy.mlp.sizes, self._policy.layout.size, n), dtype),
        )  # fmt: skip
