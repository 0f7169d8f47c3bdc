"""Saved states of environments, which can be restored any number of times.

A saved state is complete: the stream of random numbers and the steps of the time limit are in it. Two environments with
the same state that take the same actions return the same bits.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TypeAlias

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import VectorEnv

from minipg.checks import Array
from minipg.envs.compiled import CompiledVectorEnv
from minipg.envs.device import DeviceVectorEnv
from minipg.envs.faults import LIFE_LOST
from minipg.envs.problems import actions_of
from minipg.envs.recipe import Env, in_line
from minipg.errors import ConfigError
from minipg.runtime.backend import Backend, to_host

Outcome: TypeAlias = tuple[Any, Array, Array, Array]


class Snapshots(Protocol):
    """States of a vector environment, and lanes that step copies of them. A lane is not reset at an episode's end."""

    @property
    def width(self) -> int | None:
        """The number of lanes; None if there may be any number."""

    def save(self, n: int) -> Any:
        """The state of environment n."""

    def begin(self, states: Sequence[Any]) -> None:
        """Put one state into each lane, from the first on."""

    def step(self, actions: Array, going: Array) -> Outcome:
        """Step the lanes with the flag `going` (W,) set → obs (W, …), rew, terminated, truncated (W,).

        In the other lanes rewards are 0, flags False, and observations mean nothing.
        """

    def apart(self) -> Any:
        """A context that leaves the environments as they were, whatever was done in the lanes."""


def snapshots_of(envs: VectorEnv[Any, Any, Any]) -> Snapshots:
    """The Snapshots of these environments. Raises ConfigError if their states cannot be saved."""
    if isinstance(envs, CompiledVectorEnv):
        return CompiledSnapshots(envs, Backend("numba", 1), lambda: envs.in_kernels()[1:3])
    if isinstance(envs, DeviceVectorEnv):
        return CompiledSnapshots(envs, envs.backend, lambda: envs.in_kernels()[2:4])
    if in_line(envs):
        return InLineSnapshots(in_line(envs))
    raise _no_snapshots(type(envs).__name__)


def _no_snapshots(what: str) -> ConfigError:
    return ConfigError(
        "sampling: vine needs an environment whose state can be saved (compiled, on a device too; in this process: "
        f"classic control, MuJoCo, ALE without sticky actions, or one with save_state and restore_state), got {what}"
    )


class CompiledSnapshots:
    """For compiled environments: lanes are rows of separate arrays, on the same device, stepped by one call.

    `arrays` returns the environments' states (N, S) and the steps of their episodes (N,), as `backend` steps them.
    """

    width = None

    def __init__(
        self, envs: CompiledVectorEnv | DeviceVectorEnv, backend: Backend, arrays: Callable[[], tuple[Array, ...]]
    ) -> None:
        self.envs, self.backend, self._arrays = envs, backend, arrays
        self._kernels = backend.kernels("classic_control.batch").kernels(envs.problem)

    def save(self, n: int) -> tuple[Array, ...]:
        """The problem's state (S,), and the steps of the episode so far (). Steps draw no random numbers."""
        return tuple(array[n].copy() for array in self._arrays())

    def begin(self, states: Sequence[tuple[Array, ...]]) -> None:
        """Put one state into each lane."""
        xp = self.backend.xp
        self._state, self._elapsed = (xp.stack(rows) for rows in zip(*states, strict=True))
        self._obs = xp.zeros((len(states), len(self.envs.problem.obs_low)), "float32")

    def step(self, actions: Array, going: Array) -> Outcome:
        """Step all lanes by one call. Actions are copied to the device, and results from it."""
        xp, up, lanes = self.backend.xp, self.backend.to_device, len(going)
        acts = up(actions_of(self.envs.problem, actions, lanes))
        rew, terminated, truncated = xp.empty(lanes), xp.empty(lanes, "bool"), xp.empty(lanes, "bool")
        self._kernels.advance(
            up(going), acts, self.envs.time_limit, self._state, self._elapsed, self._obs, rew, terminated, truncated
        )
        return to_host(self._obs), to_host(rew), to_host(terminated), to_host(truncated)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Nothing to restore: lanes are separate from the environments."""
        yield


class InLineSnapshots:
    """For environments in this process: the lanes are the environments themselves, stepped without their vector."""

    def __init__(self, envs: Sequence[Env]) -> None:
        self.envs, self.width = envs, len(envs)
        self._parts = [_parts_of(env) for env in envs]

    def save(self, n: int) -> list[Any]:
        """The state of each wrapper and of the environment inside."""
        return [part.save() for part in self._parts[n]]

    def begin(self, states: Sequence[list[Any]]) -> None:
        """Put one state into each environment, from the first on."""
        for parts, state in zip(self._parts, states, strict=False):
            for part, saved in zip(parts, state, strict=True):
                part.restore(saved)

    def step(self, actions: Array, going: Array) -> Outcome:
        """One environment after another."""
        obs: list[Any] = [None] * len(going)
        rew, (terminated, truncated) = np.zeros(len(going)), np.zeros((2, len(going)), bool)
        for n in np.flatnonzero(going).tolist():
            obs[n], rew[n], terminated[n], truncated[n], info = self.envs[n].step(actions[n])
            terminated[n] |= info.get(LIFE_LOST, False)
        filler = next(one for one in obs if one is not None)
        space = self.envs[0].observation_space
        batch: Any = gym.vector.utils.create_empty_array(space, len(obs))
        rows = [filler if one is None else one for one in obs]
        return gym.vector.utils.concatenate(space, rows, batch), rew, terminated, truncated

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Save every environment, and restore it whatever happens."""
        states = [self.save(n) for n in range(self.width)]
        try:
            yield
        finally:
            self.begin(states)


class _Part(NamedTuple):
    """How one part of an environment is saved and restored; `restore` does not change its argument."""

    save: Callable[[], Any]
    restore: Callable[[Any], None]


def _parts_of(env: gym.Env[Any, Any]) -> list[_Part]:
    parts = []
    while isinstance(env, gym.Wrapper):
        parts.append(_attributes(env, "env"))
        env = env.env
    if hasattr(env, "save_state") and hasattr(env, "restore_state"):
        return [*parts, _Part(env.save_state, env.restore_state)]
    if hasattr(env, "ale") and hasattr(env.ale, "cloneSystemState"):
        sticky = env.ale.getFloat("repeat_action_probability")
        if sticky > 0:  # no state of ALE's contains the action that might be repeated
            raise _no_snapshots(f"{env} with repeat_action_probability {sticky:g}")
        return [*parts, _attributes(env, "ale"), _Part(env.ale.cloneSystemState, env.ale.restoreSystemState)]
    data = getattr(env, "data", None)
    if type(data).__module__.startswith("mujoco."):
        return [*parts, _attributes(env, "model", "data", "mujoco_renderer"), _mujoco(env, data)]
    if type(env).__module__.startswith("gymnasium.envs.classic_control."):
        return [*parts, _attributes(env)]
    raise _no_snapshots(str(env))


def _attributes(thing: Any, *others: str) -> _Part:
    """The attributes of a Python object, except `others`, spaces and the specification."""

    def save() -> dict[str, Any]:
        own = {k: v for k, v in vars(thing).items() if k not in others and not isinstance(v, gym.Space | EnvSpec)}
        try:
            return copy.deepcopy(own)  # in one call: what attributes share stays shared
        except Exception as error:  # an attribute may raise anything
            raise _no_snapshots(f"{type(thing).__name__} ({error})") from error

    return _Part(save, lambda saved: vars(thing).update(copy.deepcopy(saved)))


def _mujoco(env: Any, data: Any) -> _Part:
    """All of MjData: rewards also depend on what the last step derived, which the state alone would not restore."""
    import mujoco

    def save() -> Any:
        saved = mujoco.MjData(env.model)
        mujoco.mj_copyData(saved, env.model, data)
        return saved

    return _Part(save, lambda saved: mujoco.mj_copyData(data, env.model, saved))
