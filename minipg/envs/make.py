"""Vector environments out of whatever an agent may be given: ids, recipes, functions, environments, vectors."""

from __future__ import annotations

import inspect
import warnings
from contextlib import nullcontext
from functools import partial
from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from minipg.checks import require
from minipg.envs.action_mask import ActionMask, masked, says_masks, says_without_reset
from minipg.envs.faults import Checked, describe, require_spaces
from minipg.envs.guard import closed_after, missing_extra
from minipg.envs.imports import made
from minipg.envs.recipe import (
    Env,
    EnvFunction,
    Maker,
    NotRepeatable,
    Recipe,
    Vector,
    VectorOfCaller,
    name_of,
    recipe_of,
    resolve,
)
from minipg.envs.recipe_file import with_ale
from minipg.envs.register import compiled_arguments
from minipg.errors import ConfigError, EnvironmentFault, MinipgError, unknown_name
from minipg.kernels.cpu.classic_control import PROBLEMS

# the most environments where each is an object or a process of its own: more are a mistake, or a damaged file
_MAX_ENVS = {"process": 512, "envpool": 4096, "gymnasium": 4096}
_VECTORS = ("auto", "compiled", "device", "gymnasium", "process", "envpool")


def make_vector(
    env: Any, num_envs: int, vec: str = "auto", timeout: float = 60.0, on_device: bool = False, masks: bool = False
) -> Vector:
    """`num_envs` environments side by side, which reset within the step that ends an episode.

    env: see `resolve`. An environment becomes a vector of one, a vector is returned as it is: it may reset in the same
    step or in the next. `vec` says how the others are stepped: by "compiled" kernels, the same on a GPU ("device"), in
    this process ("gymnasium"), in one process each ("process"), or by EnvPool ("envpool", which resets in the next
    step). "auto" is compiled where it can be, on the device if `on_device`, and in this process elsewhere.
    `timeout`: seconds that an environment in a process has to answer in before it is restarted.
    `masks`: put the masks of environments that say which actions are allowed into their observations (`ActionMask`).
    Raises UnknownNameError for an id that is not registered, EnvironmentFault for an environment that cannot be made
    or used, BackendError for a device where there is none, ConfigError for any other argument.
    """
    require(vec in _VECTORS, "vec", f"one of {', '.join(_VECTORS)}", vec)
    env = resolve(env)
    if isinstance(env, gym.Env | gym.vector.VectorEnv):
        require(vec == "auto", "vec", "auto, with an environment instance", vec)
    if isinstance(env, gym.vector.VectorEnv):
        return _usable(env)
    if isinstance(env, gym.Env):
        if num_envs != 1:
            raise ConfigError(f"num_envs: expected 1 with an environment instance, got {num_envs}; pass its id instead")
        seen = ActionMask(env) if masks and says_masks(env) else env
        return VectorOfCaller([lambda: Checked(seen, 0)], copy=False, autoreset_mode=AutoresetMode.SAME_STEP)
    # adapters are imported where they are used: importing minipg needs none of them
    arguments = compiled_arguments(env) if vec in ("auto", "compiled", "device") else None
    if arguments is None and vec in ("compiled", "device"):
        known = f"one of {', '.join(PROBLEMS)}, with Gymnasium's arguments and no wrapper,"
        raise ConfigError(f"vec: expected {known} for {vec}, got {name_of(env)}; auto takes any")
    if arguments is not None:
        physics = ", ".join(sorted(set(arguments) - {"name", "max_episode_steps"}))
        if vec == "device" and physics:
            raise ConfigError(f"vec: device takes no argument {physics} of {name_of(env)}; compiled does")
        if vec == "device" or (vec == "auto" and on_device and not physics):
            from minipg.envs.device import DeviceVectorEnv

            return DeviceVectorEnv(num_envs=num_envs, **arguments)
        from minipg.envs.compiled import CompiledVectorEnv

        return CompiledVectorEnv(num_envs=num_envs, autoreset_mode=AutoresetMode.SAME_STEP, **arguments)
    if vec == "auto" and isinstance(env, str):
        from minipg.envs.pool import suggest_envpool

        suggest_envpool(env, num_envs)
    vec = "gymnasium" if vec == "auto" else vec
    require(num_envs <= _MAX_ENVS[vec], "num_envs", f"at most {_MAX_ENVS[vec]} of {name_of(env)} ({vec})", num_envs)
    if vec == "envpool":
        return _by_envpool(env, num_envs)
    if vec == "process":
        return _in_processes(env, num_envs, timeout, masks)
    if isinstance(env, Recipe) and env.vector:
        return _usable(_reported(name_of(env), partial(made, env.spec, gym.make_vec, num_envs=num_envs)))
    return _in_this_process(env, num_envs, masks)


def _by_envpool(env: Maker, num_envs: int) -> Vector:
    from minipg.envs.pool import EnvPoolVectorEnv

    if isinstance(env, str):
        return EnvPoolVectorEnv(env, num_envs)
    if isinstance(env, Recipe) and env.wrappers and env.spec.id.startswith("ALE/"):
        from minipg.envs.atari_pool import AtariPool

        return AtariPool(env, num_envs)
    raise ConfigError(f"vec: envpool makes environments of its own ids, not of an EnvSpec or a function ({env})")


def _in_this_process(env: Maker, num_envs: int, masks: bool) -> Vector:
    made: list[Any] = []
    for _ in range(num_envs):
        with warnings.catch_warnings() if made else nullcontext():  # what the first says is enough
            if made:
                warnings.simplefilter("ignore")
            made.append(env.take_first() if isinstance(env, EnvFunction) else make_env(env))
    if len({id(one.unwrapped) for one in made}) < num_envs:
        raise ConfigError(
            f"env: expected a new environment from every call of {name_of(env)}'s function, got one twice"
        )
    if masks and says_masks(made[0]):
        made = list(map(ActionMask, made))
    envs = [partial(Checked, one, number) for number, one in enumerate(made)]
    return SyncVectorEnv(envs, copy=False, autoreset_mode=AutoresetMode.SAME_STEP)


def _in_processes(env: Maker, num_envs: int, timeout: float, masks: bool) -> Vector:
    from minipg.envs.processes import ProcessVectorEnv, says_masks_in_process

    like = env.first if isinstance(env, EnvFunction) else make_env(env)
    require_spaces(like)
    if isinstance(env, str):
        assert like.spec is not None  # gymnasium.make sets it
        make: Any = Recipe(like.spec).make  # a process may lack the registration
    else:
        make = env.function if isinstance(env, EnvFunction) else env.make
    with nullcontext() if like is getattr(env, "first", None) else closed_after(like):
        if masks and (says_without_reset(like) or says_masks_in_process(make, like.action_space, timeout)):
            make, like = masked(make), ActionMask(like)
        return ProcessVectorEnv(make, like.observation_space, like.action_space, num_envs, timeout)


def portable(env: Any) -> Any:
    """What an agent's environment is made from, in a form that can be sent to another process (by cloudpickle).

    The other process may lack the registration of an id, so its spec is sent.
    """
    if isinstance(env, EnvFunction):
        return env.function
    if not isinstance(env, str):
        return env
    if compiled_arguments(env) is not None:
        return Recipe(gym.registry[env])
    like = make_env(env)
    assert like.spec is not None  # gymnasium.make sets it
    with closed_after(like):
        return Recipe(like.spec)


def _usable(envs: Vector) -> Vector:
    for name in ("num_envs", "single_observation_space", "single_action_space"):
        if not hasattr(envs, name):
            raise EnvironmentFault(
                f"the vector environment {type(envs).__name__} has no {name}: it has to give num_envs, and the spaces "
                "of one environment (single_observation_space, single_action_space)"
            )
    mode = (envs.metadata or {}).get("autoreset_mode")
    if mode == AutoresetMode.DISABLED:
        raise EnvironmentFault(
            "this vector environment does not reset by itself: make it with autoreset_mode SAME_STEP or NEXT_STEP"
        )
    if mode not in (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP):
        raise EnvironmentFault(
            "this vector environment does not say when it resets: set metadata['autoreset_mode'] to "
            "AutoresetMode.SAME_STEP or AutoresetMode.NEXT_STEP"
        )
    return envs


def make_drawn(env: Any, render_mode: str) -> Env:
    """One environment that draws itself. Raises EnvironmentFault if it cannot, and whatever `make_vector` raises."""
    env = resolve(env)
    if isinstance(env, EnvFunction):
        parameters = inspect.signature(env.function).parameters.values()
        if any(p.name == "render_mode" or p.kind == p.VAR_KEYWORD for p in parameters):
            return env(render_mode=render_mode)
        try:
            env = recipe_of(env.first)
        except NotRepeatable as error:
            raise EnvironmentFault(f"{name_of(env)}: {env.name} takes no render_mode, so it draws nothing") from error
    if isinstance(env, Recipe) and env.spec.entry_point is None:
        raise EnvironmentFault(f"environment {name_of(env)} is made as a vector only, which is not drawn")
    if isinstance(env, gym.vector.VectorEnv):
        raise ConfigError(f"env: expected a single environment to draw, got {env}")
    if isinstance(env, gym.Env):
        require(env.render_mode == render_mode, "env", f"one made with render_mode={render_mode!r}", env)
        return env
    like = make_env(env)
    with closed_after(like):
        modes = like.metadata.get("render_modes") or []  # its wrappers may have a say in them
    if render_mode not in modes:
        what = f"it has only {', '.join(map(str, modes))}" if modes else "it cannot be drawn"
        raise EnvironmentFault(f"environment {name_of(env)} has no render mode {render_mode}: {what}")
    return make_env(env, render_mode=render_mode)


def make_env(env: Maker, **options: Any) -> Env:
    """One environment; `options` as for `gymnasium.make`. Raises UnknownNameError, EnvironmentFault or ConfigError."""
    if isinstance(env, str):
        if env.startswith("ALE/"):
            with_ale(env)
        return _reported(env, partial(made, env, disable_env_checker=True, **options))
    return _reported(name_of(env), partial(env.make if isinstance(env, Recipe) else env, **options))


def _reported(name: str, make: Any) -> Any:
    """What `make()` makes. An exception becomes an error in one line about the environment of this name."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            made = make()
        for warning in caught:  # if it could not be made, the error says enough
            warnings.warn(warning.message, stacklevel=2)
        return made
    except (MinipgError, KeyboardInterrupt):
        raise
    except gym.error.DependencyNotInstalled as error:
        raise missing_extra(f"environment {name}", describe(error)) from error
    except gym.error.UnregisteredEnv as error:
        raise unknown_name("environment", name, gym.registry) from error
    except BaseException as error:  # an environment may raise anything
        if isinstance(error, ModuleNotFoundError) and error.name == "ale_py":
            raise missing_extra(f"environment {name}", "atari") from error
        raise EnvironmentFault(f"environment {name}: {describe(error)}") from error
