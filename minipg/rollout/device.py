"""Rollouts on a device: the policy, the environments and the batch are there.

The environments are those of minipg/rollout/compiled.py. Two arrays are copied to the host: the counts of ended and
truncated episodes, with a number that is finite if all are; and, if any episode ended, the returns and lengths.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from minipg.checks import Array, as_array
from minipg.envs.device import DeviceVectorEnv
from minipg.kernels.cpu.classic_control.rollout import Scale, Standardize
from minipg.kernels.gpu.classic_control.arguments import EnvState, Rollout
from minipg.policy import Policy
from minipg.rollout.batch import Batch, RunningEpisodes
from minipg.rollout.normalizer import LIMIT, ObservationNormalizer, RewardScaler
from minipg.runtime.backend import to_host


def on_device(envs: VectorEnv[Any, Any, Any], policy: Policy) -> DeviceRollout | None:
    """The rollout of these environments under this policy; None unless both are on the device."""
    known = policy.distribution.name in ("categorical", "gaussian", "squashed")
    if type(envs) is DeviceVectorEnv and not policy.backend.on_host and known:
        return DeviceRollout(envs, policy)
    return None


@dataclass(frozen=True)
class DeviceRollout:
    """Rollouts of environments on a device. The collector calls `noise`, then the object itself."""

    envs: DeviceVectorEnv
    policy: Policy

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: type) -> Array:
        """The random numbers of the actions, drawn on the device from a key that `rng` draws: shape + act_shape."""
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
        _: RunningEpisodes,
        normalizer: ObservationNormalizer | None,
        scaler: RewardScaler | None,
    ) -> tuple[Batch, bool]:
        """The batch of len(noise) steps of every environment, and True if every number in it is finite.

        theta (P,), obs (N, O) as the policy sees it, noise (T, N, …). The statistics are updated in place. The running
        episodes are in the environments' `tally`, so the argument is not used. Raises ShapeError for the θ of another
        policy.
        """
        envs, policy, problem = self.envs, self.policy, self.envs.problem
        xp, distribution, (steps, n), dtype = policy.backend.xp, policy.distribution, noise.shape[:2], obs.dtype
        theta = as_array("theta", theta, (policy.layout.size,), dtype, xp)
        cuts = n * (steps // envs.time_limit + 1)  # episodes that may be truncated
        out = Rollout(
            obs=xp.empty((steps + 1, *obs.shape), dtype),
            act=xp.empty(noise.shape, "int64" if distribution.discrete else dtype),
            params=xp.empty((steps, n, distribution.n_params), dtype), rew=xp.empty((steps, n), dtype),
            terminated=xp.empty((steps, n), "bool"), truncated=xp.empty((steps, n), "bool"),
            final_obs=xp.empty((cuts, obs.shape[1]), dtype), final_at=xp.empty(cuts, "int64"),
            episodes=xp.empty((steps * n, 2)), counts=xp.empty(3),
        )  # fmt: skip
        out.obs[0] = obs
        standardize, scale = Standardize(0.0, *[None] * 3), Scale(0.0, 0.0, *[None] * 4)
        if normalizer is not None:
            standardize = Standardize(LIMIT, *normalizer.moments.arrays)
        if scaler is not None:
            scale = Scale(LIMIT, scaler.gamma, scaler.running, *scaler.moments.arrays)
        bound = math.inf if problem.actions else problem.act_high
        kernels, state = policy.backend.kernels("classic_control.rollout"), EnvState(*envs.in_kernels(), *envs.tally())
        kernels.rollout(problem.file, policy.spec, theta, noise, bound, state, standardize, scale, out)
        *numbers, total = to_host(out.counts).tolist()
        ends, cuts = map(int, numbers)
        episodes = to_host(out.episodes[:ends]) if ends else np.zeros((0, 2))
        last = out.final_obs[:cuts] if normalizer is None else normalizer(out.final_obs[:cuts])
        all_true, all_false = np.ones((steps, n), bool), np.zeros((steps, n), bool)
        batch = Batch(
            out.obs[:-1], *out[1:6], all_true, all_false, all_false, out.obs[-1], last, out.final_at[:cuts],
            episodes[:, 0].copy(), episodes[:, 1].astype(np.int64),
        )  # fmt: skip
        return batch, math.isfinite(total)
