"""What an environment may do wrong, and in what words it is said."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from minipg.errors import EnvironmentFault


class Misbehaviour(EnvironmentFault):
    """What an environment did, and what more there is to say of it; between the two belongs when."""

    def __init__(self, what: str, detail: str) -> None:
        super().__init__(what, detail)
        self.what, self.detail = what, detail

    def __str__(self) -> str:
        return f"{self.what}: {self.detail}"


def describe(error: BaseException) -> str:
    """An error in one line, as far as it says anything; otherwise its type."""
    return " ".join(str(error).split()) or type(error).__name__


class Checked(gym.Wrapper[Any, Any, Any, Any]):
    """Environment `number` of a vector, looked over: what it raises or returns that it may not is a Misbehaviour.

    A vector would stack some of that without a word, and of the rest not say which environment it came from. Infos are
    left out: nothing learns from them.
    """

    def __init__(self, env: gym.Env[Any, Any], number: int) -> None:
        super().__init__(env)
        self.number = number
        box = isinstance(env.observation_space, spaces.Box)
        self._shape, self._dtype = (env.observation_space.shape, env.observation_space.dtype) if box else (None, None)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The first observation of a new episode."""
        try:
            returned = self.env.reset(seed=seed, options=options)
        except (Exception, SystemExit) as error:
            raise self._raised(error) from error
        self._look_over(returned, 2, "reset")
        return returned[0], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step."""
        try:
            returned = self.env.step(action)
        except (Exception, SystemExit) as error:
            raise self._raised(error) from error
        self._look_over(returned, 5, "step")
        obs, reward, terminated, truncated, _ = returned
        if type(reward) is not float and not _is_scalar(reward, "biuf"):
            raise self._strange(f"reward {_shown(reward)}", "a real number")
        if type(terminated) is not bool or type(truncated) is not bool:
            for name, flag in (("terminated", terminated), ("truncated", truncated)):
                if not _is_scalar(flag, "biu") or flag not in (0, 1):
                    raise self._strange(f"{name} {_shown(flag)}", "True or False")
        if terminated or truncated:
            obs = copy.deepcopy(obs)  # the reset that follows may write over it
        return obs, float(reward), bool(terminated), bool(truncated), {}

    def _look_over(self, returned: Any, count: int, call: str) -> None:
        if not isinstance(returned, tuple) or len(returned) != count:
            raise self._strange(f"{call} that returned {_shown(returned)}", f"a tuple of {count}")
        obs = returned[0]
        if type(obs) is np.ndarray and obs.shape == self._shape and obs.dtype == self._dtype:
            return  # as nearly always
        fault = misfit(obs, self.env.observation_space)
        if fault is not None:
            raise self._strange(*fault)

    def _raised(self, error: BaseException) -> Misbehaviour:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return Misbehaviour(
            f"environment {self.number} raised {type(error).__name__}",
            f"{describe(error)} ({Path(where.filename).name}, line {where.lineno})",
        )

    def _strange(self, what: str, expected: str) -> Misbehaviour:
        return Misbehaviour(f"{what} from environment {self.number}", f"expected {expected}")


def misfit(obs: Any, space: spaces.Space[Any]) -> tuple[str, str] | None:
    """What of an observation its space cannot hold, and what it expects; None where all fits in shape and dtype."""
    if isinstance(space, spaces.Dict):
        if not isinstance(obs, Mapping) or set(obs) != set(space.spaces):
            return f"observation {_shown(obs)}", f"a dict with the keys {', '.join(map(repr, space.spaces))}"
        return next(filter(None, (misfit(obs[key], part) for key, part in space.items())), None)
    if isinstance(space, spaces.Tuple):
        if not isinstance(obs, tuple | list) or len(obs) != len(space.spaces):
            return f"observation {_shown(obs)}", f"a tuple of {len(space.spaces)}"
        return next(filter(None, map(misfit, obs, space.spaces)), None)
    array = _array(obs)
    if array.dtype.kind not in "biuf" or not np.can_cast(array.dtype, np.dtype(space.dtype), "same_kind"):
        return f"observation {_shown(obs)} of {array.dtype}", f"numbers of {space.dtype}"
    if array.shape != space.shape:
        return f"observation of shape {array.shape}", f"shape {space.shape}"
    return None


def column(what: str, values: Any, count: int, kinds: str, expected: str) -> np.ndarray[Any, Any]:
    """What a vector environment gives for each of its environments, as (N,). Raises Misbehaviour for anything else."""
    array = _array(values)
    if array.shape != (count,) or array.dtype.kind not in kinds:
        raise Misbehaviour(f"{what} {_shown(values)} from the vector environment", f"expected {count} {expected}")
    return array


def _is_scalar(value: Any, kinds: str) -> bool:
    array = _array(value)
    return array.ndim == 0 and array.dtype.kind in kinds


def _array(value: Any) -> np.ndarray[Any, Any]:
    try:
        return np.asarray(value)
    except Exception:  # a ragged list, or a thing whose own conversion fails
        return np.array(None)


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
