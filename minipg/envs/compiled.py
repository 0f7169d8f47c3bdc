"""The classic control problems over compiled kernels: Gymnasium's numbers to the bit, at a multiple of the speed.

With the same seed, each step returns what Gymnasium's environment of the same name returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode

from minipg.checks import Array, as_array, fitting, require
from minipg.envs.drawing import RENDER_MODES, Drawing
from minipg.envs.problem_vector import ProblemVectorEnv, final_infos
from minipg.envs.problems import actions_of, generator_of, problem_of, spaces_of, stream_of, with_options
from minipg.errors import ShapeError
from minipg.kernels.cpu.classic_control.batch import begin_one, kernels, one_step, restart

Infos: TypeAlias = dict[str, Any]
_INTEGER, _ARRAY, _SINGLE = np.int64, np.ndarray, np.dtype(np.float32)


class CompiledEnv(gym.Env[Array, Any]):
    """One environment, as Gymnasium's of the same name: arguments, options of `reset`, `state`, pictures (by pygame).

    `gymnasium.make` adds the time limit. `physics`: g of Pendulum-v1, goal_velocity of the mountain cars,
    sutton_barto_reward of CartPole-v1; other constants are those of Gymnasium, whatever attributes are set here.
    Raises ConfigError for any other argument.
    """

    metadata = {"render_modes": RENDER_MODES}  # noqa: RUF012

    def __init__(self, name: str, render_mode: str | None = None, **physics: Any) -> None:
        require(render_mode in (None, *RENDER_MODES), "render_mode", "None, human or rgb_array", render_mode)
        self.problem, self.render_mode = problem_of(name, physics), render_mode
        self.observation_space, self.action_space = spaces_of(self.problem)
        self._state, self._elapsed, self._torque = np.zeros(self.problem.state), -1, None
        self._read_state: Array | None = None  # the state, if the caller has it since the last step
        self._obs = np.zeros(len(self.problem.obs_low), np.float32)
        self._step, self._dynamics = one_step(self.problem.dynamics.__class__), self.problem.dynamics
        self._count, self._shape = self.problem.actions, None if self.problem.actions else (1,)
        self._drawing = None if render_mode is None else Drawing(name, render_mode)
        if self._drawing is not None:
            self.metadata = {**self.metadata, "render_fps": self._drawing.render_fps}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, Infos]:
        """The first observation of a new episode, and no infos."""
        super().reset(seed=seed)
        dynamics = with_options(self.problem, options)
        begin_one(dynamics, self.np_random.random(dynamics.draws), self._state, self._obs)
        self._elapsed, self._torque, self._read_state = 0, None, None
        if self.render_mode == "human":
            self.render()
        return self._obs.copy(), {}

    def step(self, act: Any) -> tuple[Array, float, bool, bool, Infos]:
        """obs (O,), reward, terminated, False, and no infos."""
        if self._elapsed < 0:
            raise ResetNeeded("call reset before step")
        if self._read_state is not None:
            self._take_read_state()
        kind = type(act)  # the usual kinds of action first
        if (kind is int or kind is _INTEGER) and 0 <= (index := int(act)) < self._count:
            number: float = index
        elif kind is _ARRAY and act.dtype is _SINGLE and act.shape == self._shape:
            number = act.item()
        else:
            number = float(actions_of(self.problem, np.asarray(act)[None], 1)[0])
        reward, terminated = self._step(self._dynamics, self._state, self._elapsed == 0, number, self._obs)
        self._elapsed += 1
        if self._drawing is not None:
            self._torque = np.clip(number, -self.problem.act_high, self.problem.act_high)
            if self.render_mode == "human":
                self.render()
        return self._obs.copy(), reward, terminated, False, {}

    @property
    def state(self) -> Array | None:
        """The state (S,), as Gymnasium's attribute: it may be set, or changed in place, and a step makes a new one.

        It is None before the first reset. MountainCarContinuous-v0 computes in the precision of the state.
        """
        if self._read_state is None and self._elapsed >= 0:
            single = self._elapsed > 0 and self.problem.file == "mountain_car_continuous"
            self._read_state = self._state.astype(np.float32 if single else np.float64)
        return self._read_state

    @state.setter
    def state(self, state: Any) -> None:
        array = np.asarray(state)
        dtype = np.float32 if array.dtype == _SINGLE else np.float64
        self._read_state = as_array("state", array, self._state.shape, dtype)
        self._elapsed = max(self._elapsed, 0)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_step"}  # compiled code is not pickled

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._step = one_step(self._dynamics.__class__)

    def _take_read_state(self) -> None:
        assert self._read_state is not None
        self._state[:] = self._read_state
        self._elapsed = 0 if self._read_state.dtype != _SINGLE else max(self._elapsed, 1)
        self._read_state = None

    def render(self) -> Any:
        """A picture (H, W, 3) of bytes with render_mode "rgb_array"; with "human", None, and the window is redrawn."""
        if self._drawing is None:
            gym.logger.warn("render() without a render_mode: gymnasium.make(..., render_mode='rgb_array') draws")
            return None
        if self._elapsed < 0:
            raise ResetNeeded("call reset before render")
        return self._drawing.draw(self._state if self._read_state is None else self._read_state, self._torque)

    def close(self) -> None:
        """Close the window."""
        if self._drawing is not None:
            self._drawing.close()

    def save_state(self) -> dict[str, Array]:
        """The complete state: after `restore_state` the same actions give the same bits."""
        stream = stream_of(self.np_random)
        if self._read_state is not None:
            self._take_read_state()
        return {"state": self._state.copy(), "elapsed": np.array(self._elapsed), "stream": stream}

    def restore_state(self, saved: dict[str, Array]) -> None:
        """The inverse of `save_state`. Raises ShapeError for another problem's state."""
        found = fitting(saved, self.save_state())
        self._state, self._elapsed, self._read_state = found["state"], int(found["elapsed"]), None
        self.np_random = generator_of(found["stream"])


class CompiledVectorEnv(ProblemVectorEnv):
    """`num_envs` environments of one problem in one array, stepped by one compiled call.

    Environment n is seeded with seed + n, or with the n-th of a list. Each has its own stream of random numbers, so its
    episodes do not depend on `num_envs`. `physics`: as of `CompiledEnv`.
    """

    def __init__(
        self,
        name: str,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **physics: Any,
    ) -> None:
        super().__init__(name, num_envs, max_episode_steps, **physics)
        require(render_mode in (None, "rgb_array"), "render_mode", "None or rgb_array", render_mode)
        self.mode, self._kernels = AutoresetMode(autoreset_mode), kernels(self.problem)
        self.metadata = {"render_modes": ["rgb_array"], "autoreset_mode": self.mode}
        self.render_mode, self._drawing = render_mode, None
        if render_mode is not None:
            self._drawing = Drawing(name, render_mode)
            self.metadata["render_fps"] = self._drawing.render_fps
        self._state, self._elapsed = np.zeros((num_envs, self.problem.state)), np.full(num_envs, -1)
        self._stream, self._seeds = np.zeros((num_envs, 4), np.uint64), [-1] * num_envs
        self._obs, self._done = np.zeros((num_envs, len(self.problem.obs_low)), np.float32), np.zeros(num_envs, bool)
        self._all, self._none = np.ones(num_envs, bool), np.zeros(num_envs, bool)
        self._draws, self._begun = np.empty(self.problem.dynamics.draws), False
        self._torques = np.zeros(num_envs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, Infos]:
        """New episodes everywhere, or where options["reset_mask"] (N,) is set; other options as Gymnasium's.

        An environment with the seed None keeps its stream of random numbers.
        """
        if isinstance(seed, int | np.integer):
            seed = [int(seed) + n for n in range(self.num_envs)]
        seeds = [None] * self.num_envs if seed is None else list(seed)
        if len(seeds) != self.num_envs:
            raise ShapeError(f"seed: expected an integer or {self.num_envs} of them, got {len(seeds)}")
        options = dict(options or {})
        where = as_array("reset_mask", options.pop("reset_mask", self._all), (self.num_envs,), bool)
        dynamics = with_options(self.problem, options)
        for n in np.flatnonzero(where).tolist():
            if seeds[n] is not None or self._elapsed[n] < 0:
                generator, self._seeds[n] = seeding.np_random(seeds[n])
                self._stream[n] = stream_of(generator)
        self._done = self._done & ~where
        restart(dynamics, where, self._stream, self._state, self._elapsed, self._obs, self._draws)
        self._begun = bool(self._elapsed.min() >= 0)
        return self._obs.copy(), {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, Infos]:
        """obs (N, O), rew (N,), terminated (N,), truncated (N,), infos, as from Gymnasium's vector environments."""
        acts = actions_of(self.problem, actions, self.num_envs)
        resetting = self._done if self.mode == AutoresetMode.NEXT_STEP else self._none
        if not self._begun or (self.mode == AutoresetMode.DISABLED and self._done.any()):
            raise ResetNeeded("call reset before step: an environment has not been reset, or its episode has ended")
        rew, (terminated, truncated) = np.empty(self.num_envs), np.empty((2, self.num_envs), bool)
        self._kernels.advance(
            ~resetting, acts, self.time_limit, self._state, self._elapsed, self._obs, rew, terminated, truncated
        )
        if self._drawing is not None:
            self._torques = np.clip(acts, -self.problem.act_high, self.problem.act_high)
        self._done, infos = terminated | truncated, {}
        if self.mode == AutoresetMode.SAME_STEP and self._done.any():
            infos, resetting = final_infos(self._obs, self._done), self._done
        self._kernels.restart(resetting, self._stream, self._state, self._elapsed, self._obs, self._draws)
        return self._obs.copy(), rew, terminated, truncated, infos

    def render(self) -> tuple[Array, ...] | None:
        """A picture (H, W, 3) of bytes for each environment; None without render_mode "rgb_array"."""
        if self._drawing is None:
            return None
        if not self._begun:
            raise ResetNeeded("call reset before render")
        torques = (None if elapsed == 0 else act for elapsed, act in zip(self._elapsed, self._torques, strict=True))
        return tuple(self._drawing.draw(state, torque) for state, torque in zip(self._state, torques, strict=True))

    def in_kernels(self) -> tuple[int, Array, Array, Array, Array, Array]:
        """The environments' own arrays, which a rollout in one call changes: the fields of its `EnvState`."""
        return self.time_limit, self._state, self._elapsed, self._stream, self._obs, self._done

    def save_state(self) -> dict[str, Array]:
        """The complete state: after `restore_state` the same actions give the same bits."""
        return {name: getattr(self, f"_{name}").copy() for name in ("state", "elapsed", "stream", "obs", "done")}

    def restore_state(self, saved: dict[str, Array]) -> None:
        """The inverse of `save_state`. Raises ShapeError for another problem's state or another number of them."""
        for name, array in fitting(saved, self.save_state()).items():
            setattr(self, f"_{name}", array)
        self._seeds, self._begun = [-1] * self.num_envs, bool(self._elapsed.min() >= 0)

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """A generator for each environment, a copy of its stream: drawing from it does not move the stream."""
        return tuple(generator_of(stream) for stream in self._stream)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seed of each stream; -1 where it is not known."""
        return tuple(self._seeds)
