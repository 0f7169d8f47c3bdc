"""How an environment was made: what it takes to make another one like it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import SyncVectorEnv, VectorEnv, VectorWrapper

from minipg.envs.action_mask import ActionMask
from minipg.envs.faults import Checked, describe
from minipg.envs.imports import made
from minipg.envs.values import equal, shown
from minipg.errors import ConfigError, EnvironmentFault
from minipg.runtime.modules import as_the_caller, imports_for

_MOST = 1 << 25  # numbers of an observation that is stacked
Env: TypeAlias = gym.Env[Any, Any]
Vector: TypeAlias = VectorEnv[Any, Any, Any]

_WRAPPERS = "gymnasium.wrappers."
_WATCHING = {"PassiveEnvChecker", "HumanRendering", "RecordVideo", "RenderCollection"}
_WATCHING_VECTORS = {"RecordEpisodeStatistics", "DictInfoToList", "HumanRendering", "RecordVideo"}
# wrappers with running statistics, which a new one would not have
_LEARNING = {"NormalizeObservation", "NormalizeReward"}


class NotRepeatable(EnvironmentFault):
    """An environment of which no second one can be made; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}, so no other environment like it can be made; pass env")
        self.reason = reason


@dataclass(frozen=True)
class Recipe:
    """The arguments of `gymnasium.make`, and the wrappers around what it makes, from the inside out.

    `vector`: `gymnasium.make_vec` makes it, by a vector entry point of its own.
    """

    spec: EnvSpec
    wrappers: tuple[tuple[Callable[..., Env], dict[str, Any]], ...] = ()
    vector: bool = False

    def make(self, **options: Any) -> Env:
        """A new environment; `options` as for `gymnasium.make`. Raises whatever the environment raises."""
        env: Env = made(self.spec, disable_env_checker=True, **options)
        for wrapper, arguments in self.wrappers:
            stacked = arguments.get("stack_size", 1)
            if isinstance(stacked, int) and stacked * _numbers(env.observation_space) > _MOST:  # a file may ask for it
                env.close()
                raise NotRepeatable(f"its wrappers would make observations of more than {_MOST:,} numbers")
            with imports_for(getattr(wrapper, "__module__", "")):
                env = wrapper(env, **arguments)
        return env


def _numbers(space: gym.Space[Any]) -> int:
    """How many numbers an element of a space has."""
    if isinstance(space, gym.spaces.Dict | gym.spaces.Tuple):
        return sum(map(_numbers, space.values() if isinstance(space, gym.spaces.Dict) else space))
    return math.prod(space.shape or ())


class EnvFunction:
    """A function that makes environments: it has to return a new one at every call. `first` is what it made first.

    Raises EnvironmentFault if it raises, ConfigError if it returns anything but a new environment.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self._used = function, False
        self.name = getattr(function, "__qualname__", type(function).__name__)
        self.first = self._made()

    def __call__(self, **options: Any) -> Env:
        """Another environment."""
        env = self._made(**options)
        if env.unwrapped is self.first.unwrapped:
            raise ConfigError(f"env: expected a new environment from every call of {self.name}, got the same one again")
        return env

    def take_first(self) -> Env:
        """The first environment, once; after that another one."""
        self._used, used = True, self._used
        return self() if used else self.first

    def _made(self, **options: Any) -> Env:
        try:
            # a file may name a class that is installed; anything else is the caller's
            with imports_for(self.function.__module__) if isinstance(self.function, type) else as_the_caller():
                env = self.function(**options)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a function may raise anything
            raise EnvironmentFault(f"{self.name}() raised {type(error).__name__}: {describe(error)}") from error
        if not isinstance(env, gym.Env):
            hint = "; pass the vector environment itself" if isinstance(env, VectorEnv) else ""
            raise ConfigError(f"env: expected a gymnasium.Env from {self.name}(), got {shown(env)}{hint}")
        return env


Maker: TypeAlias = str | Recipe | EnvFunction
Source: TypeAlias = Maker | Env | Vector


def resolve(env: Any) -> Source:
    """What an agent may be given as its environment, in one of five forms. Raises ConfigError for anything else.

    An id, a recipe (of an EnvSpec), a function (or class) that makes environments, an environment, or a vector.
    """
    if isinstance(env, str | Recipe | EnvFunction | gym.Env | VectorEnv):
        return env
    if isinstance(env, EnvSpec):
        return Recipe(env)
    if callable(env):
        return EnvFunction(env)
    forms = "an id, an EnvSpec, a function that makes an environment, a gymnasium.Env or a VectorEnv"
    raise ConfigError(f"env: expected {forms}, got {shown(env)}")


def name_of(env: Source) -> str:
    """The id of an environment; the name of its class where it has none."""
    if isinstance(env, str):
        return env
    if isinstance(env, EnvFunction):
        return name_of(env.first)
    if env.spec is not None:
        return env.spec.id
    inner = env.unwrapped
    return name_of(inner.envs[0]) if isinstance(inner, SyncVectorEnv) else type(inner).__name__


class VectorOfCaller(SyncVectorEnv):
    """A vector around an environment of the caller: `close` closes it, Python's garbage collector does not."""

    def __del__(self) -> None:
        """Nothing, where Gymnasium 1.1 closes the environment."""


def in_line(envs: Vector) -> list[Env]:
    """The environments that a vector steps one after the other, and does nothing else; none of any other vector."""
    if isinstance(envs, SyncVectorEnv) and type(envs) in (SyncVectorEnv, VectorOfCaller):
        return list(envs.envs)
    return []


def layers(env: Env | Vector) -> list[Env | Vector]:
    """The wrappers of an environment and itself, from the outside in, without minipg's and those that only watch."""
    found: list[Env | Vector] = []
    while isinstance(env, gym.Wrapper):
        if not isinstance(env, Checked | ActionMask) and not is_watching(type(env)):
            found.append(env)
        env = env.env
    return [*found, env]


def recipe_of(env: Env) -> Recipe:
    """The recipe of an environment that `gymnasium.make` made. Raises NotRepeatable.

    What was changed in it since is not in the recipe (see `altered`).
    """
    *wrappers, base = layers(env)
    if base.spec is None:
        raise NotRepeatable(f"{type(base).__name__} was not made by gymnasium.make")
    chain: list[tuple[Any, dict[str, Any]]] = [(type(layer), _arguments(layer)) for layer in reversed(wrappers)]
    spec = replace(base.spec, kwargs=_without_window(base.spec.kwargs))
    # the two that gymnasium.make adds itself are part of the specification
    if chain and chain[0] == (gym.wrappers.OrderEnforcing, {"disable_render_order_enforcing": False}):
        spec, chain = replace(spec, order_enforce=True), chain[1:]
    if chain and chain[0][0] is gym.wrappers.TimeLimit:
        spec, chain = replace(spec, max_episode_steps=chain[0][1]["max_episode_steps"]), chain[1:]
    return Recipe(spec, tuple(chain))


def recipe_of_vector(envs: Vector) -> tuple[Recipe, Sequence[Env | Vector]]:
    """The recipe of the environments in a vector, and what of it a new one can be compared with: them, or the vector.

    Raises NotRepeatable.
    """
    while isinstance(envs, VectorWrapper):
        if not _is_gymnasiums(type(envs), _WATCHING_VECTORS):
            raise NotRepeatable(f"the vector wrapper {type(envs).__name__} does not record how it was made")
        envs = envs.env
    seen = in_line(envs)
    if envs.spec is not None and "vectorization_mode" in envs.spec.kwargs:
        recipe = _of_make_vec(envs.spec)
        # compiled environments have no attributes that anyone would change
        return recipe, [envs] if recipe.vector and not type(envs).__module__.startswith("minipg.") else seen
    if not seen:
        raise NotRepeatable(f"{type(envs).__name__} does not record how its environments were made")
    first, *others = [recipe_of(env) for env in seen]
    if not all(equal(_all_of(other), _all_of(first)) for other in others):
        raise NotRepeatable("the environments of the vector differ")
    return first, seen


def _all_of(recipe: Recipe) -> tuple[Any, ...]:
    return vars(recipe.spec), recipe.wrappers


def _of_make_vec(spec: EnvSpec) -> Recipe:
    kwargs = _without_window(spec.kwargs)
    mode, wrappers, options = (kwargs.pop(k, None) for k in ("vectorization_mode", "wrappers", "vector_kwargs"))
    kwargs.pop("num_envs", None)
    limit = kwargs.pop("max_episode_steps", spec.max_episode_steps)
    if (options or {}).get("observation_mode", "same") != "same":
        raise NotRepeatable("the vector has an observation_mode of its own")
    spec = replace(spec, kwargs=kwargs, max_episode_steps=limit)
    return Recipe(spec, tuple((wrapper, {}) for wrapper in wrappers or ()), mode == "vector_entry_point")


def _arguments(wrapper: Env | Vector) -> dict[str, Any]:
    """The arguments of a wrapper besides env."""
    kind = type(wrapper)
    if _is_gymnasiums(kind, _LEARNING):
        hint = "normalize_obs" if "Obs" in kind.__name__ else "normalize_reward"
        lack = f"has statistics that a new one lacks (minipg's {hint} saves its own)"
        raise NotRepeatable(f"the wrapper {kind.__name__} {lack}")
    if isinstance(wrapper, RecordConstructorArgs):
        return {name: value for name, value in wrapper._saved_kwargs.items() if name != "env"}
    parameters = inspect.signature(kind).parameters.values()
    if [p.kind for p in parameters] == [inspect.Parameter.POSITIONAL_OR_KEYWORD]:
        return {}
    lack = "does not record its arguments (gymnasium.utils.RecordConstructorArgs)"
    raise NotRepeatable(f"the wrapper {kind.__name__} {lack}")


def is_watching(wrapper: Any) -> bool:
    """Whether this class of Gymnasium's changes nothing that an agent sees: it draws, records or checks."""
    return _is_gymnasiums(wrapper, _WATCHING)


def _is_gymnasiums(wrapper: Any, names: set[str]) -> bool:
    return isinstance(wrapper, type) and wrapper.__module__.startswith(_WRAPPERS) and wrapper.__name__ in names


def _without_window(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if (name, value) != ("render_mode", "human")}
