"""Whether an environment differs from a new one of the same recipe: what was changed in it is in no recipe."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property, partial
from itertools import islice
from types import ModuleType
from typing import Any
from zlib import crc32

import gymnasium as gym
import numpy as np

from minipg.envs.guard import guarded
from minipg.envs.recipe import Env, Vector, layers
from minipg.envs.values import equal, shown
from minipg.errors import EnvironmentFault

_WHEN = "in a comparison with a new one"
_STEPS = 100
_DEPTH = 4  # objects within objects
_ITEMS = 20_000  # of a list or dict
_OPAQUE = (gym.Env, gym.vector.VectorEnv, ModuleType, type)
_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.ndarray, np.generic, gym.Space)
# attributes of an environment that say nothing of how it behaves, or are looked at by themselves
_SKIPPED = {
    "env", "envs", "spec", "render_mode", "isopen", "_np_random", "_np_random_seed", "_cached_spec", "_saved_kwargs",
    "_read_state",
}  # fmt: skip


def altered(envs: Sequence[Env | Vector], fresh: Env | Vector) -> str:
    """The first difference between one of `envs` and a `fresh` one of the same recipe; empty if there is none.

    Attributes that reset, step and close change are state and may differ. So `fresh` is played here, for two episodes
    or 100 steps, and closed. Compared are numbers, strings, arrays, spaces, the code of functions, what consists of
    them, and which attributes there are.
    """
    kinds, fixed, known = _kinds(fresh), _attributes(fresh), _names(fresh)
    for now in _played(fresh):
        fixed = {name: value for name, value in fixed.items() if name in now and equal(value, now[name])}
        known |= _names(fresh)
    for env in envs:
        if _kinds(env) != kinds:
            return f"it is {_kinds(env)}, a new one is {kinds}"
        if new := _names(env) - known:
            return f"it has {min(new)}, a new one has not"
        now = _attributes(env)
        for name, value in fixed.items():
            made_late = value is None and name not in now  # a window, say, which is no plain value
            if not made_late and not equal(value, now.get(name)):
                return f"{name} is {shown(now.get(name))}, in a new one {shown(value)}"
    return ""


def _kinds(env: Env | Vector) -> str:
    return " of ".join(type(layer).__name__ for layer in layers(env))


def _played(env: Env | Vector) -> Iterator[dict[str, Any]]:
    """The attributes of an environment at the beginnings and ends of episodes of random actions, and once closed."""
    with suppress(Exception):  # random actions may be why
        actions = copy.deepcopy(env.action_space)  # a class may have one space for all its environments
        actions.seed(0)
        guarded(_WHEN, env.reset, seed=0)
        yield _attributes(env)
        episodes = 0
        for t in range(_STEPS):
            _, _, terminated, truncated, _ = guarded(_WHEN, env.step, actions.sample())
            ended = np.any(terminated) or np.any(truncated)  # of a vector, that of any environment
            if ended or t < 2 or t == _STEPS - 1:
                yield _attributes(env)
            if ended:
                episodes += 1
                if episodes == 2:
                    break
                guarded(_WHEN, env.reset)
    with suppress(EnvironmentFault):
        guarded(_WHEN, env.close)
    yield _attributes(env)


def _names(env: Env | Vector) -> set[str]:
    """Attributes that are plain values or take the place of one of the class: others may be made for drawing.

    Without cached properties, which appear where they are first read.
    """
    return {
        name
        for layer in layers(env)
        for name, value in getattr(layer, "__dict__", {}).items()
        if name not in _SKIPPED
        and (hasattr(type(layer), name) or isinstance(value, _PLAIN))
        and not isinstance(getattr(type(layer), name, None), cached_property)
    }


def _attributes(env: Env | Vector) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for layer in layers(env):
        gymnasiums = type(layer).__module__.startswith("gymnasium.wrappers.")  # their arguments are in the recipe
        for name, value in getattr(layer, "__dict__", {}).items():
            if name == "_max_episode_steps" or callable(value) if gymnasiums else name not in _SKIPPED:
                found |= dict(_leaves(value, name, _DEPTH, {id(layer)}))
    return found


def _leaves(value: Any, name: str, depth: int, above: set[int]) -> Iterator[tuple[str, Any]]:
    """The plain values in an attribute, each with the expression that leads to it."""
    if isinstance(value, _PLAIN):
        # a copy: an environment may write into its own array
        yield name, value.copy() if isinstance(value, np.ndarray) else value
    elif depth == 0 or id(value) in above or isinstance(value, _OPAQUE):
        return
    elif callable(value):
        yield name, _code(value)
        inside = {"func": value.func, "args": value.args, **value.keywords} if isinstance(value, partial) else None
        for key, item in (getattr(value, "__dict__", {}) if inside is None else inside).items():
            yield from _leaves(item, f"{name}.{key}", depth - 1, above | {id(value)})
    elif isinstance(value, list | tuple | dict):
        yield f"len({name})", len(value)
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in islice(items, _ITEMS):
            yield from _leaves(item, f"{name}[{key!r}]", depth, above | {id(value)})
    elif type(value).__name__ == "MjModel":  # of MuJoCo, whose objects have no __dict__
        yield name, f"MjModel ({crc32(pickle.dumps(value)):08x})"
    elif hasattr(value, "__dict__"):
        for key, item in vars(value).items():
            yield from _leaves(item, f"{name}.{key}", depth - 1, above | {id(value)})


def _code(function: Any) -> str:
    """Where a function is from, and which code it is; of another callable object its type."""
    function = getattr(function, "__func__", function)  # of a method
    code = getattr(function, "__code__", None)
    named = function if hasattr(function, "__qualname__") else type(function)
    name = f"{getattr(named, '__module__', None)}.{named.__qualname__}"
    return name if code is None else f"{name} ({crc32(code.co_code + repr(code.co_consts).encode()):08x})"
