"""EnvPool's environments, which step in C++ threads, as a Gymnasium vector environment."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from minipg.checks import Array
from minipg.errors import ConfigError, EnvironmentFault, installing, unknown_name
from minipg.runtime.modules import installed_only

# families in which EnvPool has every id of Gymnasium's, and is faster from some four environments on; a step of other
# environments is as short as the meeting of EnvPool's threads
_FAMILIES, _MANY = ("gymnasium.envs.mujoco.", "gymnasium.envs.box2d."), 4


@cache
def suggest_envpool(env_id: str, num_envs: int) -> None:
    """Log, once, that EnvPool is installed and would step `num_envs` environments of this id faster.

    EnvPool is not imported: that takes seconds.
    """
    spec = gym.registry.get(env_id)
    if spec is None or num_envs < _MANY or not str(spec.entry_point).startswith(_FAMILIES):
        return
    with installed_only():
        installed = "envpool" in sys.modules or find_spec("envpool") is not None
    if installed:
        logging.getLogger("minipg").warning(f"envpool is installed and steps {env_id} faster: --vec envpool")


class EnvPoolVectorEnv(VectorEnv[Any, Array, Array]):
    """`num_envs` environments of EnvPool.

    They reset in the next step: the step after an episode's end ignores its action, has reward 0, and returns the first
    observation of the next episode. EnvPool takes its seeds when it is made, so a reset with a seed makes it again;
    environment n is seeded with seed + n, or with the n-th of a list.
    Raises ConfigError if EnvPool is not installed, UnknownNameError for an id that EnvPool does not have.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, env_id: str, num_envs: int, **options: Any) -> None:
        try:
            with installed_only():
                import envpool
        except ModuleNotFoundError as error:
            what = f"vec: envpool needs a package that is not installed ({error.name})"
            raise ConfigError(f"{what}: {installing('envpool')}") from error
        known = envpool.list_all_envs()
        if env_id not in known:
            raise unknown_name("EnvPool environment", env_id, known)
        self._module, self._id, self._options, self.num_envs = envpool, env_id, options, num_envs
        self._pool = self._made()
        self.single_observation_space = self._pool.observation_space
        self.single_action_space = self._pool.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """The first observations (N, …) of new episodes, and no infos."""
        if seed is not None:
            seeds = [seed + n for n in range(self.num_envs)] if isinstance(seed, int) else list(seed)
            self._pool.close()
            self._pool = self._made(env_seed=seeds)
        obs, infos = self._pool.reset()
        return self._seen(obs), self._infos(infos, np.ones(self.num_envs, bool))

    def step(self, actions: Array) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """obs (N, …), rew (N,), terminated (N,), truncated (N,), and what `_infos` makes of EnvPool's."""
        obs, rew, terminated, truncated, infos = self._pool.step(actions)
        return self._seen(obs), rew, terminated, truncated, self._infos(infos, terminated | truncated)

    def _seen(self, obs: Any) -> Any:
        """EnvPool's observations in the form of the space."""
        return obs

    def _infos(self, infos: dict[str, Any], ended: Array) -> dict[str, Any]:
        """The infos of a reset or a step, from EnvPool's: none. `ended`: whose episodes have."""
        return {}

    def close_extras(self, **_: Any) -> None:
        """End the threads."""
        if hasattr(self, "_pool"):  # not where the pool could not be made
            self._pool.close()

    def _made(self, **seeds: Any) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about bounds that single precision does not hold exactly
                pool = self._module.make_gymnasium(self._id, num_envs=self.num_envs, **self._options, **seeds)
                _ = pool.observation_space  # made on first access, with a warning
                return pool
        except Exception as error:  # for example a missing asset or library of this environment
            raise EnvironmentFault(f"EnvPool's environment {self._id}: {error}") from error
