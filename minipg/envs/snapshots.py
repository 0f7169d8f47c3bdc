"""States of environments, saved where they stand and taken up again, as often as wanted.

Whatever decides what happens next is in a saved state, the stream of random numbers and the steps of the time limit
included: two environments that take up the same state and are told the same show the same, to the bit.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TypeAlias

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import SyncVectorEnv, VectorEnv

from minipg.checks import Array
from minipg.envs.compiled import CompiledVectorEnv
from minipg.envs.device import DeviceVectorEnv
from minipg.envs.problems import actions_of
from minipg.errors import ConfigError
from minipg.runtime.backend import Backend, to_host

Outcome: TypeAlias = tuple[Any, Array, Array, Array]


class Snapshots(Protocol):
    """The states of a vector environment, and lanes in which they go on. A lane whose episode ended is not reset."""

    @property
    def width(self) -> int | None:
        """How many lanes there are, None for any number."""

    def save(self, n: int) -> Any:
        """The state in which environment n stands."""

    def begin(self, states: Sequence[Any]) -> None:
        """Put one state in each lane, from the first on."""

    def step(self, actions: Array, going: Array) -> Outcome:
        """A step of the lanes that are `going` (W,): obs (W, …), rew, terminated, truncated (W,).

        Of the others the rewards are 0, the flags False, and the observations mean nothing.
        """

    def apart(self) -> Any:
        """A context after which the environments stand where they stood, whatever was done in the lanes."""


def snapshots_of(envs: VectorEnv[Any, Any, Any]) -> Snapshots:
    """How the states of these environments are saved. Raises ConfigError where they cannot be."""
    if isinstance(envs, CompiledVectorEnv):
        return CompiledSnapshots(envs, Backend("numba", 1), lambda: envs.in_kernels()[1:3])
    if isinstance(envs, DeviceVectorEnv):
        return CompiledSnapshots(envs, envs.backend, lambda: envs.in_kernels()[2:4])
    if type(envs) is SyncVectorEnv:
        return InLineSnapshots(envs)
    raise _not_to_be_had(type(envs).__name__)


def _not_to_be_had(what: str) -> ConfigError:
    return ConfigError(
        "sampling: expected for vine an environment whose state can be saved (compiled, on a device too; in line: "
        f"classic control, MuJoCo, ALE without sticky actions, or one with save_state and restore_state), got {what}"
    )


class CompiledSnapshots:
    """Of compiled environments: lanes are rows of arrays of their own, where theirs are, all stepped by one call.

    `place` gives the environments' state (N, S) and the steps of their episodes (N,), as `backend` steps them.
    """

    width = None

    def __init__(
        self, envs: CompiledVectorEnv | DeviceVectorEnv, backend: Backend, place: Callable[[], tuple[Array, ...]]
    ) -> None:
        self.envs, self.backend, self._place = envs, backend, place
        self._kernels = backend.kernels("classic_control.batch").kernels(envs.problem.file)

    def save(self, n: int) -> tuple[Array, ...]:
        """The problem's state (S,), and the steps that the episode has taken (). No step draws a random number."""
        return tuple(array[n].copy() for array in self._place())

    def begin(self, states: Sequence[tuple[Array, ...]]) -> None:
        """One state in each lane."""
        xp = self.backend.xp
        self._state, self._elapsed = (xp.stack(rows) for rows in zip(*states, strict=True))
        self._obs = xp.zeros((len(states), len(self.envs.problem.obs_low)), "float32")

    def step(self, actions: Array, going: Array) -> Outcome:
        """All lanes at once. Actions go to a device and what they lead to comes from it."""
        xp, up, lanes = self.backend.xp, self.backend.to_device, len(going)
        told = up(actions_of(self.envs.problem, actions, lanes))
        rew, terminated, truncated = xp.empty(lanes), xp.empty(lanes, "bool"), xp.empty(lanes, "bool")
        self._kernels.advance(
            up(going), told, self.envs.time_limit, self._state, self._elapsed, self._obs, rew, terminated, truncated
        )
        return to_host(self._obs), to_host(rew), to_host(terminated), to_host(truncated)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Nothing to do: lanes are not the environments themselves."""
        yield


class InLineSnapshots:
    """Of Python objects in one process: the lanes are these environments, lent, without their vector around them."""

    def __init__(self, envs: SyncVectorEnv) -> None:
        self.envs, self.width = envs, envs.num_envs
        self._parts = [_parts_of(env) for env in envs.envs]

    def save(self, n: int) -> list[Any]:
        """Of each wrapper and of what is inside."""
        return [part.save() for part in self._parts[n]]

    def begin(self, states: Sequence[list[Any]]) -> None:
        """One state in each environment, from the first on."""
        for parts, state in zip(self._parts, states, strict=False):
            for part, saved in zip(parts, state, strict=True):
                part.restore(saved)

    def step(self, actions: Array, going: Array) -> Outcome:
        """One environment after another."""
        obs: list[Any] = [None] * len(going)
        rew, (terminated, truncated) = np.zeros(len(going)), np.zeros((2, len(going)), bool)
        for n in np.flatnonzero(going).tolist():
            obs[n], rew[n], terminated[n], truncated[n], _ = self.envs.envs[n].step(actions[n])
        shown = next(one for one in obs if one is not None)
        batch: Any = gym.vector.utils.create_empty_array(self.envs.single_observation_space, len(obs))
        rows = [shown if one is None else one for one in obs]
        return gym.vector.utils.concatenate(self.envs.single_observation_space, rows, batch), rew, terminated, truncated

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Save every environment, and put it back whatever happens."""
        states = [self.save(n) for n in range(self.width)]
        try:
            yield
        finally:
            self.begin(states)


class _Part(NamedTuple):
    """How one part of an environment is saved; what `restore` is given stays as it is."""

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
        if sticky > 0:  # the action that might be repeated is in no state that ALE gives away
            raise _not_to_be_had(f"{env} with repeat_action_probability {sticky:g}")
        return [*parts, _attributes(env, "ale"), _Part(env.ale.cloneSystemState, env.ale.restoreSystemState)]
    data = getattr(env, "data", None)
    if type(data).__module__.startswith("mujoco."):
        return [*parts, _attributes(env, "model", "data", "mujoco_renderer"), _mujoco(env, data)]
    if type(env).__module__.startswith("gymnasium.envs.classic_control."):
        return [*parts, _attributes(env)]
    raise _not_to_be_had(str(env))


def _attributes(thing: Any, *others: str) -> _Part:
    """What a Python object holds itself, but for `others` and for what describes it."""

    def save() -> dict[str, Any]:
        own = {k: v for k, v in vars(thing).items() if k not in others and not isinstance(v, gym.Space | EnvSpec)}
        try:
            return copy.deepcopy(own)  # as a whole: what is shared among them stays shared
        except Exception as error:  # an attribute may raise anything
            raise _not_to_be_had(f"{type(thing).__name__} ({error})") from error

    return _Part(save, lambda saved: vars(thing).update(copy.deepcopy(saved)))


def _mujoco(env: Any, data: Any) -> _Part:
    """All of MjData: rewards also come from what the last step derived, which its state alone would not bring back."""
    import mujoco

    def save() -> Any:
        saved = mujoco.MjData(env.model)
        mujoco.mj_copyData(saved, env.model, data)
        return saved

    return _Part(save, lambda saved: mujoco.mj_copyData(data, env.model, saved))
