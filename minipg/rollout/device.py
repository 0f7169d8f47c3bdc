"""Rollouts that never leave the device: policy and environments there, and the batch they make.

What a rollout of compiled environments means (minipg/rollout/compiled.py) it means here. Two things come down: how many
episodes ended, how many were cut and whether all numbers are finite, in one transfer; and, where episodes ended, their
returns and lengths in another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from minipg.checks import Array, as_array
from minipg.envs.device import DeviceVectorEnv
from minipg.policy import Policy
from minipg.rollout.batch import Batch
from minipg.rollout.normalizer import LIMIT, ObservationNormalizer, RewardScaler
from minipg.runtime.backend import to_host


def on_device(envs: VectorEnv[Any, Any, Any], policy: Policy) -> DeviceRollout | None:
    """The rollout of these environments under this policy, where both are on the device."""
    known = policy.distribution.name in ("categorical", "gaussian", "squashed")
    if type(envs) is DeviceVectorEnv and not policy.backend.on_host and known:
        return DeviceRollout(envs, policy)
    return None


@dataclass(frozen=True)
class DeviceRollout:
    """What the collector calls, once for the noise and once for the batch."""

    envs: DeviceVectorEnv
    policy: Policy

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: type) -> Array:
        """What `sample` turns into actions, drawn on the device from a key of `rng`'s: shape + act_shape."""
        distribution, backend = self.policy.distribution, self.policy.backend
        out: Array = backend.xp.empty(shape + distribution.act_shape, dtype)
        stream = backend.kernels("classic_control.stream")
        draw = stream.uniform if distribution.discrete else stream.normal
        draw(rng.integers(2**64, size=2, dtype=np.uint64), out)
        return out

    def __call__(
        self,
        theta: Array,
        obs: Array,
        noise: Array,
        _: tuple[Array, Array],
        normalizer: ObservationNormalizer | None,
        scaler: RewardScaler | None,
    ) -> tuple[Batch, bool]:
        """len(noise) steps of every environment from `obs` (N, O) as the policy sees it.   theta (P,), noise (T, N, …).

        Besides the batch: whether all numbers in it are finite for certain. The statistics go on; the account of every
        episode so far is the environments' own (`tally`).
        Raises ShapeError where θ is that of another policy.
        """
        envs, policy = self.envs, self.policy
        backend, distribution, problem, (steps, n), dtype = (
            policy.backend, policy.distribution, envs.problem, noise.shape[:2], obs.dtype,
        )  # fmt: skip
        xp = backend.xp
        theta = as_array("theta", theta, (policy.layout.size,), dtype, xp)
        every_obs = xp.empty((steps + 1, *obs.shape), dtype)
        every_obs[0] = obs
        act = xp.empty(noise.shape, "int64" if distribution.discrete else dtype)
        params, rew = xp.empty((steps, n, distribution.n_params), dtype), xp.empty((steps, n), dtype)
        terminated, truncated = xp.empty((steps, n), "bool"), xp.empty((steps, n), "bool")
        most = n * (steps // envs.time_limit + 1)  # episodes that may be cut
        finals, final_at = xp.empty((most, obs.shape[1]), dtype), xp.empty(most, "int64")
        ended, counts, none = xp.empty((steps * n, 2)), xp.empty(3), xp.zeros(0)
        seen = (0.0, none, none, none) if normalizer is None else (LIMIT, *normalizer.moments.arrays)
        paid = (
            (0.0, 0.0, none, none, none, none)
            if scaler is None
            else (LIMIT, float(scaler.gamma), scaler.running, *scaler.moments.arrays)
        )
        work = xp.empty(n * sum(policy.mlp.sizes[1:]), dtype)
        rollout = backend.kernels("classic_control.rollout").rollout(problem.file, distribution.name)
        rollout(
            policy.in_kernels, theta, noise, math.inf if problem.actions else problem.act_high, envs.in_kernels(),
            envs.tally(), seen, paid, (every_obs, act, params, rew, terminated, truncated), (finals, final_at),
            (ended, counts), work,
        )  # fmt: skip
        *numbers, total = to_host(counts).tolist()
        ends, cuts = map(int, numbers)
        episodes = to_host(ended[:ends]) if ends else np.zeros((0, 2))
        last = finals[:cuts] if normalizer is None else normalizer(finals[:cuts])
        everywhere, nowhere = np.ones((steps, n), bool), np.zeros((steps, n), bool)
        batch = Batch(
            every_obs[:-1], act, params, rew, terminated, truncated, everywhere, nowhere, every_obs[-1], last,
            final_at[:cuts], episodes[:, 0].copy(), episodes[:, 1].astype(np.int64),
        )  # fmt: skip
        return batch, math.isfinite(total)
