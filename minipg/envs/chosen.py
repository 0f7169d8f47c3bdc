"""An environment chosen by texts: an id, arguments as NAME=VALUE, wrappers as MODULE:CLASS."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import gymnasium as gym

from minipg.checks import require
from minipg.envs.faults import describe
from minipg.envs.recipe import Env, Recipe
from minipg.envs.recipe_file import NotRepeatable, registered_as
from minipg.errors import ConfigError, EnvironmentFault
from minipg.runtime.modules import as_the_caller

_LIMIT = "max_episode_steps"


def env_of(
    env_id: str, arguments: Sequence[str] = (), wrappers: Sequence[str] = (), frames: str | None = None
) -> str | Recipe:
    """The environment of an id with arguments and wrappers, the first wrapper innermost; the id itself without any.

    With `frames`, the id or the name of an Atari game, seen as frames of this kind; the arguments are those of `atari`.

    An argument is NAME=VALUE, a wrapper MODULE:CLASS or MODULE:CLASS(NAME=VALUE, …); a value is a Python literal, or
    else a text. The modules are imported. Raises ConfigError, and EnvironmentFault for an id that is not registered.
    """
    if frames is not None:
        from minipg.envs.atari import atari  # imported here: other environments do not need its kernels

        settings: dict[str, Any] = dict(_argument("env_kwargs", text) for text in arguments)
        others = ", ".join(sorted(settings.keys() & {"game", "frames", "wrappers"}))
        require(not others, "env_kwargs", "arguments of the game; its name, --frames and --wrapper are others", others)
        return atari(env_id, frames, **settings, wrappers=tuple(map(_wrapper, wrappers)))
    if not arguments and not wrappers:
        return env_id
    module, colon, name = env_id.rpartition(":")
    if colon:
        imported(module)
    try:
        spec = registered_as(name)
    except NotRepeatable as error:
        raise EnvironmentFault(f"environment {env_id}: {error.reason}") from error
    kwargs = dict(_argument("env_kwargs", text) for text in arguments)
    limit = kwargs.pop(_LIMIT, spec.max_episode_steps)
    spec = replace(spec, kwargs={**spec.kwargs, **kwargs}, max_episode_steps=limit)
    return Recipe(spec, tuple(_wrapper(text) for text in wrappers))


def modules_of(*texts: str) -> list[str]:
    """The modules that these texts name, each MODULE:NAME or a name without a module; Gymnasium's aside."""
    named = [text.partition("(")[0].rpartition(":")[0] for text in texts]
    return [module for module in dict.fromkeys(named) if module and module.partition(".")[0] != "gymnasium"]


def imported(module: str) -> Any:
    """A module by its name. Raises ConfigError if it cannot be imported."""
    try:
        with as_the_caller():
            return import_module(module)
    except Exception as error:  # a module may raise anything
        raise ConfigError(f"{module}: cannot be imported ({type(error).__name__}: {describe(error)})") from error


def _argument(where: str, text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ConfigError(f"{where}: expected NAME=VALUE, got {text!r}")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return name, value


def _wrapper(text: str) -> tuple[Callable[..., Env], dict[str, Any]]:
    reference, parenthesis, rest = text.partition("(")
    module, colon, name = reference.partition(":")
    if not colon or not name.isidentifier() or (parenthesis and not rest.endswith(")")):
        raise ConfigError(f"wrapper: expected MODULE:CLASS or MODULE:CLASS(NAME=VALUE, …), got {text!r}")
    found = getattr(imported(module), name, None)
    if not (isinstance(found, type) and issubclass(found, gym.Wrapper)):
        what = "has no such class" if found is None else "is no gymnasium.Wrapper"
        raise ConfigError(f"wrapper: {reference} {what}")
    return found, _keywords(text, rest.removesuffix(")"))


def _keywords(text: str, inside: str) -> dict[str, Any]:
    """The arguments between the parentheses."""
    try:
        call: Any = ast.parse(f"f({inside})", mode="eval").body
        if call.args:
            raise ValueError("arguments without names")
        if any(word.arg is None for word in call.keywords):
            raise ValueError("** is no name")
        return {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    except (ValueError, SyntaxError, TypeError, AttributeError, RecursionError, MemoryError) as error:
        raise ConfigError(f"wrapper: expected literals by name in {text!r} ({describe(error)})") from error
