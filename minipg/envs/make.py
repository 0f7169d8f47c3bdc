"""A vector environment out of whatever the caller has."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from minipg.checks import require
from minipg.envs.faults import Checked, describe
from minipg.envs.guard import missing_extra
from minipg.envs.register import compiled_name
from minipg.errors import ConfigError, EnvironmentFault, unknown_name
from minipg.kernels.cpu.classic_control import PROBLEMS

# of how many environments at most something is made for each: whoever asks for more, by mistake or in a file, is told
_MOST = {"process": 512, "envpool": 4096, "gymnasium": 4096}
VECTORS = ("auto", "compiled", "device", "gymnasium", "process", "envpool")


def make_vector(
    env: str | gym.Env[Any, Any] | VectorEnv[Any, Any, Any],
    num_envs: int,
    vec: str = "auto",
    patience: float = 60.0,
    on_device: bool = False,
) -> VectorEnv[Any, Any, Any]:
    """`num_envs` copies of a Gymnasium id, reset within the step that ends an episode; an instance as a vector of one.

    `vec` says how: "compiled" kernels, the same on a GPU ("device"), "gymnasium" in line, "process" in a process each,
    "envpool" in EnvPool's threads (reset in the next step); "auto" is compiled where it can be, in line elsewhere, and
    on the device where, `on_device`, networks are.
    A vector environment is used as it is: it may reset in the same step or in the next one. `patience` is how many
    seconds an environment in a process may take to answer before it is begun anew.
    Raises UnknownNameError for an id that is not registered, EnvironmentFault for one that cannot be made,
    BackendError for a device where there is none, ConfigError for a `vec` that is unknown, not installed, or not to be
    had for this environment.
    """
    require(vec in VECTORS, "vec", f"one of {', '.join(VECTORS)}", vec)
    require(isinstance(env, str) or vec == "auto", "vec", "auto, with an environment instance", vec)
    if isinstance(env, VectorEnv):
        if env.metadata.get("autoreset_mode") not in (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP):
            raise EnvironmentFault(
                "this vector environment does not say when it resets: set metadata['autoreset_mode'] to "
                "AutoresetMode.SAME_STEP or AutoresetMode.NEXT_STEP"
            )
        return env
    if not isinstance(env, str):
        if num_envs != 1:
            raise ConfigError(f"num_envs: expected 1 with an environment instance, got {num_envs}; pass its id instead")
        return SyncVectorEnv([lambda: Checked(env, 0)], copy=False, autoreset_mode=AutoresetMode.SAME_STEP)
    # adapters are imported where they are used: importing minipg needs none of them
    name = compiled_name(env) if vec in ("auto", "compiled", "device") else None
    if name is None and vec in ("compiled", "device"):
        raise ConfigError(f"vec: expected one of {', '.join(PROBLEMS)} for {vec}, got {env}; auto makes any")
    if name is not None and (vec == "device" or (vec == "auto" and on_device)):
        from minipg.envs.device import DeviceVectorEnv

        return DeviceVectorEnv(name, num_envs)
    if name is not None:
        from minipg.envs.compiled import CompiledVectorEnv

        return CompiledVectorEnv(name, num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
    vec = "gymnasium" if vec == "auto" else vec
    require(num_envs <= _MOST[vec], "num_envs", f"at most {_MOST[vec]} of {env} ({vec})", num_envs)
    if vec == "envpool":
        from minipg.envs.pool import EnvPoolVectorEnv

        return EnvPoolVectorEnv(env, num_envs)
    if vec == "process":
        from minipg.envs.processes import in_processes

        return in_processes(_make(env), num_envs, patience)
    made = [partial(_make_checked, env, number) for number in range(num_envs)]
    return SyncVectorEnv(made, copy=False, autoreset_mode=AutoresetMode.SAME_STEP)


def _make_checked(env_id: str, number: int) -> gym.Env[Any, Any]:
    return Checked(_make(env_id), number)


def make_drawn(env_id: str, render_mode: str) -> gym.Env[Any, Any]:
    """One environment of a Gymnasium id that draws itself; for a compiled one, which does not, the one it equals.

    Raises EnvironmentFault for one that has no such mode, and whatever `make_vector` raises.
    """
    name = compiled_name(env_id) or env_id
    modes = _make(name).metadata.get("render_modes") or []  # of whatever wrappers its id brings, too
    if render_mode not in modes:
        what = f"it has only {', '.join(map(str, modes))}" if modes else "it cannot be drawn"
        raise EnvironmentFault(f"environment {name} has no render mode {render_mode}: {what}")
    return _make(name, render_mode=render_mode)


def _make(env_id: str, **options: Any) -> gym.Env[Any, Any]:
    try:
        if env_id.startswith("ALE/"):
            import ale_py  # its environments are registered by its import

            gym.register_envs(ale_py)
        with warnings.catch_warnings(record=True) as caught:
            env = gym.make(env_id, disable_env_checker=True, **options)
        for warning in caught:  # of an environment that was made; of one that was not, the error says enough
            warnings.warn(warning.message, stacklevel=2)
        return env
    except gym.error.DependencyNotInstalled as error:
        raise missing_extra(f"environment {env_id}", describe(error)) from error
    except gym.error.UnregisteredEnv as error:
        raise unknown_name("environment", env_id, gym.registry) from error
    except Exception as error:  # an environment may raise anything
        if isinstance(error, ModuleNotFoundError) and error.name == "ale_py":
            raise missing_extra(f"environment {env_id}", "atari") from error
        raise EnvironmentFault(f"environment {env_id}: {describe(error)}") from error
