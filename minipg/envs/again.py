"""Another environment like the one an agent was trained on: in this process, or from what its file says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv

from minipg.envs.altered import altered
from minipg.envs.faults import describe as message_of
from minipg.envs.make import make_env, make_vector
from minipg.envs.recipe import EnvFunction, Maker, NotRepeatable, Recipe, Source, recipe_of, recipe_of_vector
from minipg.envs.recipe_file import describe_id, describe_recipe, found, read_recipe, reference_of, require_same_id
from minipg.errors import EnvironmentFault


def repeatable(env: Source) -> Maker:
    """What makes more environments like `env`: an id, a recipe or a function.

    For an environment, one more is made, compared with it, and closed. Raises NotRepeatable, an EnvironmentFault, where
    its recipe is unknown or does not hold all there is.
    """
    if isinstance(env, gym.Env):
        return _compared(recipe_of(env), [env])
    if isinstance(env, VectorEnv):
        return _compared(*recipe_of_vector(env))
    return env


def _compared(recipe: Recipe, envs: Sequence[gym.Env[Any, Any] | VectorEnv[Any, Any, Any]]) -> Recipe:
    if not envs:
        return recipe
    try:
        fresh = (
            make_vector(recipe, envs[0].num_envs, "gymnasium") if isinstance(envs[0], VectorEnv) else make_env(recipe)
        )
    except EnvironmentFault as error:
        raise NotRepeatable(f"{recipe.spec.id} could not be made again ({message_of(error)})") from error
    if difference := altered(envs, fresh):
        raise NotRepeatable(f"this {recipe.spec.id} differs from a new one ({difference})")
    return recipe


def describe(env: Source) -> dict[str, Any]:
    """How to make more environments like `env`, as JSON for a file; `rebuild` is the inverse.

    One of: {"id": what is registered under it}, {"recipe": …}, {"class": "module:name"}, or, where there is no way,
    {"reason": why}.
    """
    if isinstance(env, str):
        return {"id": describe_id(env)}
    try:
        return _described(env)
    except NotRepeatable as error:
        return {"reason": error.reason}


def _described(env: Source) -> dict[str, Any]:
    if isinstance(env, EnvFunction):
        try:
            return _described(env.first)
        except NotRepeatable:
            if isinstance(env.function, type):
                return {"class": reference_of(env.function)}
            raise NotRepeatable(f"it is made by a function ({env.name}), which a file cannot hold") from None
    recipe = repeatable(env)
    assert isinstance(recipe, Recipe)
    return {"recipe": describe_recipe(recipe)}


def rebuild(name: str, description: dict[str, Any]) -> Any:
    """The env argument of an agent that was trained on the environment `name`, of this description.

    Raises NotRepeatable where that environment cannot be made here, and KeyError, TypeError or ValueError for a
    description that is damaged.
    """
    ((kind, content),) = description.items()
    if kind == "id":
        require_same_id(name, content)
        return name
    if kind == "recipe":
        return read_recipe(content)
    if kind == "class":
        kind = found(content)
        if not (isinstance(kind, type) and issubclass(kind, gym.Env)):
            why = "is not here, and a file imports nothing (import its module first)"
            raise NotRepeatable(f"its class {content} {why}")
        return kind
    if kind == "reason":
        raise NotRepeatable(str(content))
    raise ValueError(f"unknown kind {kind!r}")
