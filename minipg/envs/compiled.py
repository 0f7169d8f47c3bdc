"""The classic control problems over compiled kernels: the numbers of Gymnasium's own environments, much sooner.

With the same seed a vector of these shows, step by step, what Gymnasium's SyncVectorEnv of its own ones shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from minipg.checks import Array, as_array, require
from minipg.errors import ConfigError, ShapeError, unknown_name
from minipg.kernels.cpu.classic_control import PROBLEMS, Problem
from minipg.kernels.cpu.classic_control import batch as kernels

Infos: TypeAlias = dict[str, Any]
_ALL = np.ones(1, bool)


def problem_of(name: str) -> Problem:
    """The problem that a Gymnasium id names. Raises UnknownNameError."""
    if name not in PROBLEMS:
        raise unknown_name("compiled environment", name, PROBLEMS)
    return PROBLEMS[name]


def spaces_of(problem: Problem) -> tuple[spaces.Box, spaces.Discrete | spaces.Box]:
    """The observation and the action space of one environment."""
    low, high = (np.array(bound, np.float32) for bound in (problem.obs_low, problem.obs_high))
    if problem.actions:
        return spaces.Box(low, high), spaces.Discrete(problem.actions)
    return spaces.Box(low, high), spaces.Box(-problem.act_high, problem.act_high, (1,), np.float32)


def actions_of(problem: Problem, act: Any, count: int) -> Array:
    """What `count` environments are told, as the kernels take it: (N,) float64. Raises ShapeError."""
    array = np.asarray(act)
    expected = (count,) if problem.actions else (count, 1)
    if array.shape != expected:
        raise ShapeError(f"actions: expected shape {expected}, got {array.shape}")
    if not problem.actions:
        return array[:, 0].astype(np.float32).astype(np.float64)
    if array.dtype.kind not in "iu" or not ((array >= 0) & (array < problem.actions)).all():
        raise ShapeError(f"actions: expected integers from 0 to {problem.actions - 1}, got {array}")
    return array.astype(np.float64)


class CompiledVectorEnv(VectorEnv[Array, Array, Array]):
    """`num_envs` environments of one problem, in one array, stepped by one compiled call.

    `reset(seed=s)` seeds environment n with s + n, `reset(seed=[…])` each with its own; a seed of None lets a stream
    go on. Each has a stream of random numbers to itself, so its episodes do not depend on how many others there are.
    Raises UnknownNameError, and ShapeError for actions that do not fit.
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
        self.problem = problem = problem_of(name)
        self.num_envs, self.mode = num_envs, AutoresetMode(autoreset_mode)
        self.time_limit = problem.time_limit if max_episode_steps is None else max_episode_steps
        self.metadata = {"render_modes": [], "autoreset_mode": self.mode}
        self.single_observation_space, self.single_action_space = spaces_of(problem)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

        self._state, self._elapsed = np.zeros((num_envs, problem.state)), np.zeros(num_envs, np.int64)
        self._stream = np.zeros((num_envs, 4), np.uint64)
        self._obs = np.zeros((num_envs, len(problem.obs_low)), np.float32)
        self._done = np.zeros(num_envs, bool)
        self._begun = np.zeros(num_envs, bool)
        self._seeded = np.zeros(num_envs, bool)
        self._draws = np.empty(problem.draws)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, Infos]:
        """New episodes everywhere, or where options["reset_mask"] says. The stream of a seed is NumPy's PCG64."""
        if isinstance(seed, int | np.integer):
            seed = [int(seed) + n for n in range(self.num_envs)]
        seeds = [None] * self.num_envs if seed is None else list(seed)
        if len(seeds) != self.num_envs:
            raise ShapeError(f"seed: expected an integer or {self.num_envs} of them, got {len(seeds)}")
        options = dict(options or {})
        where = as_array("reset_mask", options.pop("reset_mask", np.ones(self.num_envs, bool)), (self.num_envs,), bool)
        _no_options(options)
        for n in np.flatnonzero(where):
            if seeds[n] is not None or not self._seeded[n]:
                self._stream[n] = stream_of(seeding.np_random(seeds[n])[0])
                self._seeded[n] = True
        self._begun |= where
        self._done[where] = False
        self._restart(where)
        return self._obs.copy(), {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, Infos]:
        """obs (N, O), rew (N,), terminated (N,), truncated (N,), infos: as Gymnasium's vector environments."""
        if not self._begun.all():
            raise gym.error.ResetNeeded("call reset before step")
        act = actions_of(self.problem, actions, self.num_envs)
        if self.mode == AutoresetMode.DISABLED and self._done.any():
            raise gym.error.ResetNeeded("episodes have ended: reset them with options={'reset_mask': …}")
        resetting = self._done if self.mode == AutoresetMode.NEXT_STEP else np.zeros(self.num_envs, bool)
        rew = np.empty(self.num_envs)
        terminated, truncated = np.empty((2, self.num_envs), bool)
        kernels.advance(
            self.problem.number, ~resetting, act, self.time_limit,
            self._state, self._elapsed, self._obs, rew, terminated, truncated,
        )  # fmt: skip
        if resetting.any():
            self._restart(resetting)
        self._done = done = terminated | truncated
        infos: Infos = {}
        if self.mode == AutoresetMode.SAME_STEP and done.any():
            infos = self._final_infos(done)
            self._restart(done)
        return self._obs.copy(), rew, terminated, truncated, infos

    def save_state(self) -> dict[str, Array]:
        """Copies of everything that decides what happens next; `restore_state` takes them back to the bit."""
        return {name: getattr(self, f"_{name}").copy() for name in _STATE}

    def restore_state(self, saved: dict[str, Array]) -> None:
        """The inverse of `save_state`. Raises ShapeError for the state of a different vector."""
        fitting = {name: getattr(self, f"_{name}") for name in _STATE}
        if set(saved) != set(fitting):
            raise ShapeError(f"state: expected {', '.join(_STATE)}, got {', '.join(map(str, saved))}")
        arrays = {name: as_array(name, saved[name], like.shape, like.dtype) for name, like in fitting.items()}
        for name, array in arrays.items():
            setattr(self, f"_{name}", array.copy())

    @property
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """A generator for each environment, at the place where its stream is: copies, drawing from them moves nothing."""
        return tuple(generator_of(stream) for stream in self._stream)

    def _restart(self, where: Array) -> None:
        kernels.restart(
            self.problem.number, where, self._stream, self._state, self._elapsed, self._obs, self._draws
        )

    def _final_infos(self, done: Array) -> Infos:
        final = np.full(self.num_envs, None, object)
        for n in np.flatnonzero(done):
            final[n] = self._obs[n].copy()
        return {"final_obs": final, "_final_obs": done.copy(), "final_info": {}, "_final_info": done.copy()}


_STATE = ("state", "elapsed", "stream", "obs", "done", "begun", "seeded")


class CompiledEnv(gym.Env[Array, Any]):
    """One environment of a problem. Like Gymnasium's own, it knows no time limit: `gymnasium.make` adds that."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, name: str, render_mode: None = None) -> None:
        require(render_mode is None, "render_mode", "None: nothing is drawn", render_mode)
        self.vector = CompiledVectorEnv(name, 1, np.iinfo(np.int64).max, AutoresetMode.DISABLED)
        self.observation_space, self.action_space = spaces_of(self.vector.problem)
