"""What making an environment imports: what is installed, unless the caller has registered it from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from minipg.runtime.modules import as_the_caller, imports_for, installed_only


def made(env: str | EnvSpec, make: Callable[..., Any] = gym.make, **options: Any) -> Any:
    """`make(env, **options)`. A working folder on the path is not searched for what an installed environment imports.

    A file may name such an environment: phys2d/CartPole-v1 imports jax, which need not be installed.
    """
    with _imports(env):
        return make(env, **options)


def _imports(env: str | EnvSpec) -> AbstractContextManager[None]:
    spec = _registered(env.rpartition(":")[2]) if isinstance(env, str) else env
    if spec is None:  # a module that the caller names may register it
        return as_the_caller() if ":" in str(env) else installed_only()
    entry: Any = spec.entry_point or spec.vector_entry_point
    return imports_for(entry.partition(":")[0] if isinstance(entry, str) else entry.__module__)


def _registered(env_id: str) -> EnvSpec | None:
    """What Gymnasium makes of an id: of one without a version, the newest."""
    versions = (spec for spec in gym.registry.values() if spec.id.rpartition("-v")[0] == env_id)
    return gym.registry.get(env_id) or max(versions, key=lambda spec: spec.version or 0, default=None)
