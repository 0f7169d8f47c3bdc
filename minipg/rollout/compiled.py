"""Rollouts of compiled environments, in one call of a kernel that steps policy and environments alike."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeGuard

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from minipg.checks import Array, as_array
from minipg.envs.compiled import CompiledVectorEnv
from minipg.kernels.cpu.classic_control.rollout import rollout
from minipg.policy import Policy
from minipg.rollout.batch import Batch
from minipg.rollout.normalizer import LIMIT, ObservationNormalizer, RewardScaler


def in_one_call(envs: VectorEnv[Any, Any, Any], policy: Policy) -> Callable[..., tuple[Batch, bool]] | None:
    """`collect_in_one_call` of these environments under this policy, where there is a kernel for them."""
    return partial(collect_in_one_call, envs, policy) if stepped_by_kernels(envs, policy) else None


def stepped_by_kernels(envs: VectorEnv[Any, Any, Any], policy: Policy) -> TypeGuard[CompiledVectorEnv]:
    """Whether policy and environments alike can be stepped within a kernel, on the host."""
    return (
        type(envs) is CompiledVectorEnv
        and envs.mode == AutoresetMode.SAME_STEP
        and policy.backend.name == "numba"
        and policy.distribution.name in ("categorical", "gaussian")
    )


def collect_in_one_call(
    envs: CompiledVectorEnv,
    policy: Policy,
    theta: Array,
    obs: Array,
    noise: Array,
    tally: tuple[Array, Array],
    normalizer: ObservationNormalizer | None,
    scaler: RewardScaler | None,
) -> tuple[Batch, bool]:
    """len(noise) steps of every environment from `obs` (N, O), as the policy sees it.   theta (P,), noise (T, N, …).

    Besides the batch: whether all numbers in it are finite for certain.

    tally: return and length of every environment's episode so far, (N,) each; they and the statistics go on.
    Raises ShapeError where θ is that of another policy.
    """
    (steps, n), dtype, problem, distribution = noise.shape[:2], obs.dtype, envs.problem, policy.distribution
    theta = as_array("theta", theta, (policy.layout.size,), dtype)
    every_obs = np.empty((steps + 1, *obs.shape), dtype)
    every_obs[0] = obs
    act = np.empty(noise.shape, np.int64 if distribution.discrete else dtype)
    params: Array = np.empty((steps, n, distribution.n_params), dtype)
    rew, (terminated, truncated) = np.empty((steps, n), dtype), np.empty((2, steps, n), bool)
    most = n * (steps // envs.time_limit + 1)  # episodes that may be cut
    finals, final_at = np.empty((most, obs.shape[1]), dtype), np.empty(most, np.int64)
    gained, lasted, counts = np.empty((steps, n)), np.empty((steps, n), np.int64), np.zeros(2, np.int64)
    none = np.zeros(0)
    seen = (0.0, none, none, none) if normalizer is None else (LIMIT, *normalizer.moments.arrays)
    paid = (
        (0.0, 0.0, np.zeros((n, 1)), none, none, none)
        if scaler is None
        else (LIMIT, float(scaler.gamma), scaler.running, *scaler.moments.arrays)
    )
    work = np.empty(n * sum(policy.mlp.sizes[1:]), dtype)
    rollout(problem.file, distribution.name)(
        policy.in_kernels, theta, noise,
        np.inf if problem.actions else problem.act_high, envs.in_kernels(), tally, seen, paid,
        (every_obs, act, params, rew, terminated, truncated), (finals, final_at), (gained, lasted, counts), work,
    )  # fmt: skip
    cuts, sound = counts.tolist()
    last = finals[:cuts] if normalizer is None else normalizer(finals[:cuts])
    everywhere, nowhere, over = np.ones((steps, n), bool), np.zeros((steps, n), bool), lasted > 0
    batch = Batch(
        every_obs[:-1], act, params, rew, terminated, truncated, everywhere, nowhere, every_obs[-1], last,
        final_at[:cuts], gained[over], lasted[over],
    )  # fmt: skip
    return batch, bool(sound)
