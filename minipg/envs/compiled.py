"""The classic control problems over compiled kernels: Gymnasium's own numbers, much sooner.

With the same seed they show, step by step, what Gymnasium's environments of the same name show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from minipg.checks import Array, as_array, fitting, require
from minipg.envs.problems import actions_of, dynamics_of, generator_of, no_options, problem_of, spaces_of, stream_of
from minipg.errors import ShapeError
from minipg.kernels.cpu.classic_control.batch import kernels

Infos: TypeAlias = dict[str, Any]


class CompiledEnv(gym.Env[Array, Any]):
    """One environment. Like Gymnasium's, it knows no time limit of its own: `gymnasium.make` adds that."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, name: str, render_mode: None = None) -> None:
        require(render_mode is None, "render_mode", "None: nothing is drawn", render_mode)
        self.problem, self.dynamics = problem_of(name), dynamics_of(name)
        self.observation_space, self.action_space = spaces_of(self.problem)
        self._state, self._elapsed = np.zeros(self.problem.state), -1

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, Infos]:
        """The first observation of a new episode, and no info."""
        super().reset(seed=seed)
        no_options(options)
        self.dynamics.begin(self.np_random.random(self.problem.dynamics.draws), self._state)
        self._elapsed = 0
        return self._observed(), {}

    def step(self, act: Any) -> tuple[Array, float, bool, bool, Infos]:
        """obs (O,), reward, terminated, False, no info."""
        if self._elapsed < 0:
            raise ResetNeeded("call reset before step")
        (told,) = actions_of(self.problem, np.asarray(act)[None], 1)
        reward, terminated = self.dynamics.step(self._state, self._elapsed == 0, told)
        self._elapsed += 1
        return self._observed(), reward, terminated, False, {}

    def save_state(self) -> dict[str, Array]:
        """Everything that decides what happens next; `restore_state` takes it back to the bit."""
        stream = stream_of(self.np_random)
        return {"state": self._state.copy(), "elapsed": np.array(self._elapsed), "stream": stream}

    def restore_state(self, saved: dict[str, Array]) -> None:
        """The inverse of `save_state`. Raises ShapeError for the state of another problem."""
        found = fitting(saved, self.save_state())
        self._state, self._elapsed = found["state"], int(found["elapsed"])
        self.np_random = generator_of(found["stream"])

    def _observed(self) -> Array:
        obs = np.empty(len(self.problem.obs_low), np.float32)
        self.dynamics.observe(self._state, obs)
        return obs


class CompiledVectorEnv(VectorEnv[Array, Array, Array]):
    """`num_envs` environments of one problem in one array, stepped by one compiled call.

    Environment n is seeded with seed + n, or with the n-th of a list. It has a stream of random numbers of its own, so
    its episodes do not depend on how many others there are.
    """

    def __init__(
        self,
        name: str,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: None = None,
    ) -> None:
        require(num_envs >= 1, "num_envs", "an integer ≥ 1", num_envs)
        require(render_mode is None, "render_mode", "None: nothing is drawn", render_mode)
        self.problem, self.num_envs, self.mode = problem_of(name), num_envs, AutoresetMode(autoreset_mode)
        self._kernels = kernels(self.problem.file)
        self.time_limit = self.problem.time_limit if max_episode_steps is None else max_episode_steps
        require(self.time_limit >= 1, "max_episode_steps", "an integer ≥ 1", max_episode_steps)
        self.metadata = {"render_modes": [], "autoreset_mode": self.mode}
        self.single_observation_space, self.single_action_space = spaces_of(self.problem)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

        self._state, self._elapsed = np.zeros((num_envs, self.problem.state)), np.full(num_envs, -1)
        self._stream, self._seeds = np.zeros((num_envs, 4), np.uint64), [-1] * num_envs
        self._obs, self._done = np.zeros((num_envs, len(self.problem.obs_low)), np.float32), np.zeros(num_envs, bool)
        self._all, self._none = np.ones(num_envs, bool), np.zeros(num_envs, bool)
        self._draws, self._begun = np.empty(self.problem.dynamics.draws), False

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, Infos]:
        """New episodes everywhere, or where options["reset_mask"] (N,) says; a seed of None lets a stream go on."""
        if isinstance(seed, int | np.integer):
            seed = [int(seed) + n for n in range(self.num_envs)]
        seeds = [None] * self.num_envs if seed is None else list(seed)
        if len(seeds) != self.num_envs:
            raise ShapeError(f"seed: expected an integer or {self.num_envs} of them, got {len(seeds)}")
        options = dict(options or {})
        where = as_array("reset_mask", options.pop("reset_mask", self._all), (self.num_envs,), bool)
        no_options(options)
        for n in np.flatnonzero(where).tolist():
            if seeds[n] is not None or self._elapsed[n] < 0:
                generator, self._seeds[n] = seeding.np_random(seeds[n])
                self._stream[n] = stream_of(generator)
        self._done = self._done & ~where
        self._restart(where)
        self._begun = bool(self._elapsed.min() >= 0)
        return self._obs.copy(), {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, Infos]:
        """obs (N, O), rew (N,), terminated (N,), truncated (N,), infos: those of Gymnasium's vector environments."""
        told = actions_of(self.problem, actions, self.num_envs)
        resetting = self._done if self.mode == AutoresetMode.NEXT_STEP else self._none
        if not self._begun or (self.mode == AutoresetMode.DISABLED and self._done.any()):
            raise ResetNeeded("call reset before step, in every environment that has not begun or whose episode ended")
        rew, (terminated, truncated) = np.empty(self.num_envs), np.empty((2, self.num_envs), bool)
        self._kernels.advance(
            ~resetting, told, self.time_limit,
            self._state, self._elapsed, self._obs, rew, terminated, truncated,
        )  # fmt: skip
        self._done, infos = terminated | truncated, {}
        if self.mode == AutoresetMode.SAME_STEP and self._done.any():
            infos, resetting = self._finals(), self._done
        self._restart(resetting)
        return self._obs.copy(), rew, terminated, truncated, infos

    def in_kernels(self) -> tuple[int, Array, Array, Array, Array, Array]:
        """The environments' own arrays, which a rollout in one call changes: the fields of its `Place`."""
        return self.time_limit, self._state, self._elapsed, self._stream, self._obs, self._done

    def save_state(self) -> dict[str, Array]:
        """Everything that decides what happens next; `restore_state` takes it back to the bit."""
        return {name: getattr(self, f"_{name}").copy() for name in ("state", "elapsed", "stream", "obs", "done")}

    def restore_state(self, saved: dict[str, Array]) -> None:
        """The inverse of `save_state`. Raises ShapeError for the state of another problem or of more environments."""
        for name, array in fitting(saved, self.save_state()).items():
            setattr(self, f"_{name}", array)
        self._seeds, self._begun = [-1] * self.num_envs, bool(self._elapsed.min() >= 0)

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """A generator for each environment that stands where its stream stands; drawing from it moves no stream."""
        return tuple(generator_of(stream) for stream in self._stream)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """What each stream was seeded with; -1 where that is not known."""
        return tuple(self._seeds)

    def _restart(self, where: Array) -> None:
        self._kernels.restart(where, self._stream, self._state, self._elapsed, self._obs, self._draws)

    def _finals(self) -> Infos:
        final = np.full(self.num_envs, None, object)
        for n in np.flatnonzero(self._done).tolist():
            final[n] = self._obs[n].copy()
        return {"final_obs": final, "_final_obs": self._done.copy(), "final_info": {}, "_final_info": self._done.copy()}
