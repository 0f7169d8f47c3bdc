"""Whether an environment was changed after it was made, which its specification does not record."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from itertools import islice
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np

from minipg.envs.recipe import Env, layers
from minipg.envs.values import equal, shown

_STEPS = 100
_DEPTH = 4  # objects within objects
_ITEMS = 1000  # of a list or dict
_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.ndarray, np.generic, gym.Space)
# attributes of an environment that say nothing of how it behaves, or are looked at by themselves
_SKIPPED = {"env", "spec", "render_mode", "_np_random", "_np_random_seed", "_cached_spec", "_saved_kwargs"}


def altered(envs: list[Env], fresh: Env) -> str:
    """The first difference between one of `envs` and a `fresh` one that its recipe made; empty if there is none.

    Attributes that reset and step change are state and may differ. So `fresh` is played here, for two episodes or 100
    steps. Only numbers, strings, arrays, spaces and what consists of them are compared.
    """
    kinds, fixed = _kinds(fresh), _attributes(fresh)
    for now in _played(fresh):
        fixed = {name: value for name, value in fixed.items() if name in now and equal(value, now[name])}
    for env in envs:
        if _kinds(env) != kinds:
            return f"it is {_kinds(env)}, and gymnasium.make makes {kinds}"
        now = _attributes(env)
        for name, value in fixed.items():
            if name not in now or not equal(value, now[name]):
                return f"{name} is {shown(now.get(name))} and was {shown(value)}"
    return ""


def _kinds(env: Env) -> str:
    return " of ".join(type(layer).__name__ for layer in layers(env))


def _played(env: Env) -> Iterator[dict[str, Any]]:
    """The attributes of an environment while random actions are played: at the beginnings and ends of episodes."""
    try:
        env.action_space.seed(0)
        env.reset(seed=0)
        yield _attributes(env)
        episodes = 0
        for t in range(_STEPS):
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            ended = terminated or truncated
            if ended or t < 2 or t == _STEPS - 1:
                yield _attributes(env)
            if ended:
                episodes += 1
                if episodes == 2:
                    return
                env.reset()
    except Exception:  # an environment may raise anything, and random actions may be why
        return


def _attributes(env: Env) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for layer in layers(env):
        if type(layer).__module__.startswith("gymnasium.wrappers."):
            names = ("_max_episode_steps",)  # the arguments of the others are in the recipe
            own = {name: value for name, value in vars(layer).items() if name in names}
        else:
            own = {name: value for name, value in vars(layer).items() if name not in _SKIPPED}
        for name, value in own.items():
            found |= dict(_leaves(value, name, _DEPTH, {id(layer)}))
    return found


def _leaves(value: Any, name: str, depth: int, above: set[int]) -> Iterator[tuple[str, Any]]:
    """The plain values in an attribute, each with the expression that leads to it."""
    if isinstance(value, _PLAIN):
        # a copy: an environment may write into its own array
        yield name, value.copy() if isinstance(value, np.ndarray) else value
    elif depth == 0 or id(value) in above or isinstance(value, gym.Env | ModuleType | type) or callable(value):
        return
    elif isinstance(value, list | tuple | dict):
        yield f"len({name})", len(value)
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in islice(items, _ITEMS):
            yield from _leaves(item, f"{name}[{key!r}]", depth, above | {id(value)})
    elif type(value).__name__ == "MjModel":  # of MuJoCo, whose objects have no __dict__
        yield name, pickle.dumps(value)
    elif hasattr(value, "__dict__"):
        for key, item in vars(value).items():
            yield from _leaves(item, f"{name}.{key}", depth - 1, above | {id(value)})
