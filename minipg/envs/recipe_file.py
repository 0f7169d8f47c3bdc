"""Recipes as JSON, for an agent's file. What is read from a file names things; it never imports or calls them.

An environment of a file is made by what is registered here under its id, with the arguments of the file, which are
plain data. Its wrappers have to be subclasses of gymnasium.Wrapper, in Gymnasium, here, or in an imported module.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from minipg.envs.guard import missing_extra
from minipg.envs.recipe import NotRepeatable, Recipe, is_watching
from minipg.envs.values import shown
from minipg.runtime.modules import installed_only

_MOST, _MOST_WRAPPERS = 1 << 26, 64  # bytes of an array, and wrappers that a file may name
_SPEC = ("max_episode_steps", "order_enforce")


def describe_recipe(recipe: Recipe) -> dict[str, Any]:
    """The JSON of a recipe. Raises NotRepeatable for one that a file cannot hold."""
    spec, registered = recipe.spec, gym.registry.get(recipe.spec.id)
    entries = ("entry_point", "vector_entry_point")
    if registered is None or any(getattr(spec, entry) != getattr(registered, entry) for entry in entries):
        raise NotRepeatable(f"{spec.id} is not what is registered under that id")
    wrappers = [[entry.entry_point, entry.kwargs] for entry in spec.additional_wrappers]
    wrappers += [[reference_of(wrapper), arguments] for wrapper, arguments in recipe.wrappers]
    for entry, arguments in wrappers:
        if arguments is None:
            raise NotRepeatable(f"the wrapper {entry} does not record its arguments")
    return {
        "id": spec.id,
        "kwargs": encode(spec.kwargs),
        **{name: getattr(spec, name) for name in _SPEC},
        "wrappers": [[entry, encode(arguments)] for entry, arguments in wrappers],
        "vector": recipe.vector,
    }


def read_recipe(description: dict[str, Any]) -> Recipe:
    """The inverse of `describe_recipe`. Raises NotRepeatable for what is not here, others for a damaged description."""
    registered = registered_as(description["id"])
    wrappers = tuple((_wrapper(entry), _sane(_arguments(arguments))) for entry, arguments in description["wrappers"])
    if len(wrappers) > _MOST_WRAPPERS:
        raise NotRepeatable(f"it has {len(wrappers)} wrappers")
    changes = {name: description[name] for name in _SPEC}
    spec = replace(registered, kwargs=_arguments(description["kwargs"]), additional_wrappers=(), **changes)
    return Recipe(spec, wrappers, bool(description["vector"]))


def _arguments(encoded: Any) -> dict[str, Any]:
    arguments = decode(encoded)
    if not isinstance(arguments, dict) or not all(isinstance(name, str) for name in arguments):
        raise ValueError(f"{shown(arguments)} for arguments by name")
    return arguments


def _sane(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a wrapper that may come from a file: a stack of 10⁹ observations fills any memory."""
    for name, value in arguments.items():
        sizes = [abs(part) for part in (value if isinstance(value, tuple | list) else [value]) if type(part) is int]
        if name != "max_episode_steps" and (max(sizes, default=0) > 2**16 or math.prod(sizes) > 2**24):
            raise NotRepeatable(f"its wrapper's {name}={shown(value)} is too large to be believed")
    return arguments


def registered_as(env_id: str) -> EnvSpec:
    """What is registered under an id. Raises NotRepeatable where nothing is."""
    if env_id.startswith("ALE/"):
        with_ale(env_id)
    if env_id not in gym.registry:
        cure = "import the module that registers it, or --imports MODULE"
        raise NotRepeatable(f"nothing is registered as {env_id} here; {cure}")
    return gym.registry[env_id]


def with_ale(env_id: str) -> None:
    """Register the environments of the installed ale_py, `env_id` among them. Raises EnvironmentFault without it."""
    try:
        with installed_only():
            import ale_py  # it registers them as it is imported
    except ModuleNotFoundError as error:
        raise missing_extra(f"environment {env_id}", "atari") from error
    gym.register_envs(ale_py)


def describe_id(env_id: str) -> dict[str, Any]:
    """What is registered under an id, as JSON; empty where that cannot be written, or the id names a module."""
    try:
        return describe_recipe(Recipe(gym.registry[env_id]))
    except (KeyError, NotRepeatable):
        return {}


def require_same_id(env_id: str, description: dict[str, Any]) -> None:
    """Raise NotRepeatable where this id means something else here than it did when it was described."""
    now = describe_id(env_id)
    if now and description.get("id") == env_id and now != description:
        changes = [f"{name} is {now[name]} and was {was}" for name, was in description.items() if now.get(name) != was]
        raise NotRepeatable(f"{env_id} is registered in another way here ({'; '.join(changes)})")


def reference_of(thing: Any) -> str:
    """A class as "module:name". Raises NotRepeatable for a function, or a class that has no such name."""
    reference = f"{thing.__module__}:{thing.__qualname__}" if isinstance(thing, type) else ""
    if not reference or found(reference) is not thing:
        raise NotRepeatable(f"{getattr(thing, '__qualname__', shown(thing))} is not a class that a file can name")
    return reference


def found(reference: str) -> Any:
    """What "module:name" names in an imported module, in Gymnasium, or of minipg's Atari; None where nothing."""
    module, _, name = reference.partition(":")
    try:
        if module.partition(".")[0] == "gymnasium" or module == "minipg.envs.atari":
            with installed_only():
                import_module(module)
        thing: Any = sys.modules[module]
        for part in name.split("."):
            thing = vars(thing)[part]  # not getattr: of a name that it lacks, a module may import another one
        return thing
    except (KeyError, TypeError, ImportError):
        return None


def not_imported(reference: str) -> str:
    """Why what "module:name" names is not found, and the way out."""
    module = reference.partition(":")[0]
    return f"{reference} is not here, and a file imports nothing: import {module} first, or --imports {module}"


def imported_class(reference: str) -> type[Any] | None:
    """The class that "module:name" names in a module that is imported already; None if there is none."""
    thing = found(reference)
    return thing if isinstance(thing, type) else None


def _wrapper(reference: Any) -> Callable[..., Any]:
    wrapper = found(str(reference))
    if is_watching(wrapper):  # it might write files
        raise NotRepeatable(f"its wrapper {reference} does not belong in a file")
    if not (isinstance(wrapper, type) and issubclass(wrapper, gym.Wrapper)):
        raise NotRepeatable(f"its wrapper {not_imported(str(reference))}")
    return wrapper


# ---- arguments: JSON holds None, booleans, numbers, strings and lists; anything else is marked by its type -----------


def encode(value: Any) -> Any:
    """A value as JSON from which `decode` makes the same one. Raises NotRepeatable."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is list:
        return [encode(item) for item in value]
    if type(value) is tuple:
        return {"tuple": [encode(item) for item in value]}
    if type(value) in (set, frozenset):
        return {type(value).__name__: [encode(item) for item in sorted(value, key=repr)]}
    if type(value) is dict:
        return {"dict": [[encode(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, np.generic | np.ndarray) and value.dtype.kind in "biufU":
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        return {kind: [value.dtype.str, list(value.shape), np.ravel(value).tolist()]}
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return {"dtype" if isinstance(value, np.dtype) else "type": np.dtype(value).str}
    raise NotRepeatable(f"its argument {shown(value)} cannot be written to a file")


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "tuple": lambda items: tuple(map(decode, items)),
    "set": lambda items: set(map(decode, items)),
    "frozenset": lambda items: frozenset(map(decode, items)),
    "dict": lambda items: {decode(key): decode(item) for key, item in items},
    "array": lambda array: _decoded(*array),
    "scalar": lambda array: _decoded(array[0], [1], array[2])[0],
    "dtype": np.dtype,
    "type": lambda name: np.dtype(name).type,
}


def _decoded(dtype: str, shape: list[int], values: list[Any]) -> Any:
    kind = np.dtype(dtype)
    if kind.kind not in "biufU" or kind.itemsize * len(values) > _MOST:
        raise ValueError(f"an array of {len(values)} × {kind}")
    return np.array(values, kind).reshape(shape)


def decode(value: Any) -> Any:
    """The inverse of `encode`. Raises KeyError, TypeError or ValueError for anything else."""
    if isinstance(value, dict):
        ((kind, content),) = value.items()
        return _DECODERS[kind](content)
    return [decode(item) for item in value] if isinstance(value, list) else value
