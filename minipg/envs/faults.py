"""What an environment may do wrong, and the messages that name it."""

from __future__ import annotations

import copy
import math
import traceback
from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from minipg.checks import Array
from minipg.envs.values import Outside, as_numpy, numbers, parts, shown
from minipg.errors import EnvironmentFault
from minipg.runtime.progress import printable

# key of infos: a life was lost in this step. That ends an episode for learning, while the game and its score continue
LIFE_LOST = "minipg.life_lost"


class Misbehaviour(EnvironmentFault):
    """What an environment did (`what`) and why it is wrong (`detail`); `guarded` puts the step between the two."""

    def __init__(self, what: str, detail: str) -> None:
        super().__init__(what, detail)
        self.what, self.detail = what, detail

    def __str__(self) -> str:
        return f"{self.what}: {self.detail}"


def describe(error: BaseException) -> str:
    """An error's message in one printable line; the name of its type where it has none."""
    return printable(" ".join(str(error).split()) or type(error).__name__)


class Checked(gym.Wrapper[Any, Any, Any, Any]):
    """Environment `number` of a vector: an exception in it, or a value that it must not return, is a Misbehaviour.

    Gymnasium's vectors stack some wrong values without a word, and of others do not name the environment. Infos are
    dropped, except LIFE_LOST: nothing learns from them.
    """

    def __init__(self, env: gym.Env[Any, Any], number: int) -> None:
        super().__init__(env)
        self.number = number
        require_spaces(env)
        box = isinstance(env.observation_space, spaces.Box)
        self._shape, self._dtype = (env.observation_space.shape, env.observation_space.dtype) if box else (None, None)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The first observation of a new episode, and no infos."""
        return self._called("reset", 2, seed=seed, options=options)[0], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step: observation, reward, terminated, truncated, and of the infos LIFE_LOST."""
        obs, reward, terminated, truncated, info = self._called("step", 5, action)
        if type(terminated) is not bool or type(truncated) is not bool:
            for name, flag in (("terminated", terminated), ("truncated", truncated)):
                if not _is_scalar(flag, "biu") or flag not in (0, 1):
                    raise self._strange(f"{name} {shown(flag)}", "True or False")
        if terminated or truncated:
            obs = copy.deepcopy(obs)  # the reset that follows may overwrite it
        kept = {LIFE_LOST: True} if isinstance(info, dict) and _life_lost(info) else {}
        return obs, self._real(reward), bool(terminated), bool(truncated), kept

    def _called(self, method: str, count: int, *args: Any, **options: Any) -> Any:
        """What the environment's reset or step returned: a tuple of `count`, with an observation of its space."""
        try:
            returned = getattr(self.env, method)(*args, **options)
        except KeyboardInterrupt:
            raise
        except Misbehaviour as fault:  # of a wrapper of minipg's
            raise Misbehaviour(f"{fault.what} from environment {self.number}", fault.detail) from None
        except BaseException as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            detail = f"{describe(error)} ({Path(at.filename).name}, line {at.lineno})"
            raise Misbehaviour(f"environment {self.number} raised {type(error).__name__}", detail) from error
        if not isinstance(returned, tuple) or len(returned) != count:
            raise self._strange(f"{method} that returned {shown(returned)}", f"a tuple of {count}")
        obs = returned[0]
        if type(obs) is np.ndarray and obs.shape == self._shape and obs.dtype == self._dtype:
            return returned  # nearly always
        try:
            for part in parts(self.env.observation_space, obs):
                numbers(*part, casting="same_kind")  # Gymnasium's vectors refuse what is not
        except Outside as error:
            place = f" in {error.part}" if error.part else ""
            raise self._strange(f"observation {error.found}{place}", error.expected) from None
        return returned

    def _real(self, reward: Any) -> float:
        if type(reward) is float:
            return reward
        if isinstance(reward, Real | Decimal) or _is_scalar(reward, "biuf"):
            try:
                return float(reward)
            except OverflowError:  # the collector refuses it as not finite
                return math.inf if reward > 0 else -math.inf
            except ValueError:  # a signalling NaN of decimal
                pass
        shape = as_numpy(reward).shape
        expected = f"a real number, not an array of shape {shape}" if shape else "a real number"
        raise self._strange(f"reward {shown(reward)}", expected)

    def _strange(self, what: str, expected: str) -> Misbehaviour:
        return Misbehaviour(f"{what} from environment {self.number}", f"expected {expected}")


def require_spaces(env: gym.Env[Any, Any]) -> None:
    """Raise EnvironmentFault for an environment without spaces."""
    for name in ("observation_space", "action_space"):
        if not hasattr(env, name):
            raise EnvironmentFault(f"environment {type(env.unwrapped).__name__} has no {name}")


def column(what: str, values: Any, count: int, kinds: str, expected: str) -> Array:
    """A vector environment's `values`, one for each environment, as (N,). Raises Misbehaviour for anything else.

    `kinds` are the letters of the NumPy dtypes allowed, and `expected` names them.
    """
    array = as_numpy(values)
    if array.shape != (count,) or array.dtype.kind not in kinds:
        raise Misbehaviour(f"{what} {shown(values)} from the vector environment", f"expected {count} {expected}")
    return array


def infos_of(infos: Any, count: int) -> dict[str, Any]:
    """A vector environment's infos as a dict. Raises Misbehaviour.

    Gymnasium's DictInfoToList makes them a list, one dict for each environment; None counts as no infos.
    """
    if isinstance(infos, dict):
        return infos
    if infos is None:
        return {}
    if isinstance(infos, Sequence) and len(infos) == count and all(isinstance(info, dict) for info in infos):
        final = np.full(count, None, object)
        for n, info in enumerate(infos):
            final[n] = info.get("final_obs")
        found: dict[str, Any] = {"final_obs": final} if any(obs is not None for obs in final) else {}
        return found | {LIFE_LOST: np.array([_life_lost(info) for info in infos])}
    raise Misbehaviour(f"infos {shown(infos)} from the vector environment", f"expected a dict, or {count} of them")


def _life_lost(info: dict[str, Any]) -> bool:
    """The flag of a lost life; comparisons of NumPy's numbers give np.bool_."""
    flag = info.get(LIFE_LOST, False)
    return flag is True or (_is_scalar(flag, "biu") and flag == 1)


def _is_scalar(value: Any, kinds: str) -> bool:
    array = as_numpy(value)
    return array.ndim == 0 and array.dtype.kind in kinds
