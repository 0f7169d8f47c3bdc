"""The compiled problems on a GPU, thousands side by side, as a Gymnasium vector environment.

Dynamics, limits and rewards are those of `CompiledVectorEnv`. `step` copies actions to the device and observations from
it; a rollout (minipg/rollout/device.py) copies neither.

The random numbers are counter-based. The first state of episode e of environment n comes from the numbers that
`Generator(Philox(key=seed, counter=[0, e, n, 0]))` draws. So the state of a stream is one number, the count of episodes
begun, and one seed serves all environments.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from minipg.checks import Array, fitting, require
from minipg.envs.problem_vector import ProblemVectorEnv, final_infos
from minipg.envs.problems import actions_of
from minipg.runtime.backend import Backend, to_host

_STATE = ("state", "elapsed", "episode", "obs", "returns", "lengths")


class DeviceState(NamedTuple):
    """What kernels step the environments by: time limit, seed, and the environments' own arrays, on the device."""

    time_limit: int
    seed: int
    state: Array
    elapsed: Array
    episode: Array
    obs: Array


class DeviceVectorEnv(ProblemVectorEnv):
    """`num_envs` environments of one problem in one array of the device, reset within the step that ends an episode."""

    def __init__(
        self, name: str, num_envs: int = 1, max_episode_steps: int | None = None, backend: Backend | None = None
    ) -> None:
        super().__init__(name, num_envs, max_episode_steps)
        self.backend = backend or Backend("cupy")
        self._kernels = self.backend.kernels("classic_control.batch").kernels(self.problem)
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}
        xp = self.backend.xp
        self._state = xp.zeros((num_envs, self.problem.state))
        self._obs = xp.zeros(self.observation_space.shape, "float32")
        self._elapsed, self._episode, self._lengths = (xp.zeros(num_envs, "int64") for _ in range(3))
        self._returns, self._all = xp.zeros(num_envs), xp.ones(num_envs, "bool")
        self._seed, self._begun = 0, False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """New episodes everywhere: the first ones of `seed`, or the next ones if it is None."""
        whole = isinstance(seed, int | np.integer) and 0 <= seed < 2**64
        require(seed is None or whole, "seed", "an integer from 0 to 2⁶⁴ − 1", seed)
        require(not options, "options", "none on a device", options)
        if seed is None and not self._begun:
            seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
        if seed is not None:
            self._seed = int(seed)
            self._episode[...] = 0
        self._returns[...] = 0
        self._lengths[...] = 0
        self._restart(self._all)
        self._begun = True
        return self._observed(), {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """obs (N, O), rew (N,), terminated (N,), truncated (N,), infos, as from Gymnasium's vector environments."""
        if not self._begun:
            raise ResetNeeded("call reset before step")
        xp, acts = self.backend.xp, self.backend.to_device(actions_of(self.problem, actions, self.num_envs))
        rew, terminated, truncated = xp.empty(self.num_envs), *(xp.empty(self.num_envs, "bool") for _ in range(2))
        self._kernels.advance(
            self._all, acts, self.time_limit, self._state, self._elapsed, self._obs, rew, terminated, truncated
        )
        ended, cut = to_host(terminated), to_host(truncated)
        done, infos = ended | cut, {}
        if done.any():
            infos = final_infos(to_host(self._obs), done)
            self._restart(terminated | truncated)
        return self._observed(), to_host(rew), ended, cut, infos

    def in_kernels(self) -> DeviceState:
        """The arguments of a rollout on the device."""
        return DeviceState(self.time_limit, self._seed, self._state, self._elapsed, self._episode, self._obs)

    def tally(self) -> tuple[Array, Array]:
        """Return and length so far of the episode that each environment is in, (N,) each; device rollouts keep them."""
        return self._returns, self._lengths

    def save_state(self) -> dict[str, Array]:
        """The complete state, on the host: after `restore_state` the same actions give the same bits."""
        arrays = {name: to_host(getattr(self, f"_{name}").copy()) for name in _STATE}
        return arrays | {"seed": np.array(self._seed, np.uint64)}

    def restore_state(self, saved: dict[str, Array]) -> None:
        """The inverse of `save_state`. Raises ShapeError for another problem's state or another number of them."""
        found = fitting(saved, self.save_state())
        for name in _STATE:
            setattr(self, f"_{name}", self.backend.to_device(found[name]))
        self._seed, self._begun = int(found["seed"]), True

    def _restart(self, where: Array) -> None:
        self._kernels.restart(where, self._seed, self._state, self._elapsed, self._episode, self._obs)

    def _observed(self) -> Array:
        return np.array(to_host(self._obs))
