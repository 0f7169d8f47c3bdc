"""EnvPool's Atari games with minipg's frames: the same frames as `AtariFrames`, by EnvPool's threads."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector.utils import batch_space

from minipg.checks import Array
from minipg.envs.atari import FIXED, AtariFrames
from minipg.envs.faults import LIFE_LOST
from minipg.envs.frames import FRAMES
from minipg.envs.pool import EnvPoolVectorEnv
from minipg.envs.recipe import Recipe
from minipg.errors import ConfigError
from minipg.runtime.threads import available_threads

# arguments of ale_py's environment, and those of EnvPool's with the same meaning
_SAME = ("repeat_action_probability", "full_action_space", "mode", "difficulty")


class AtariPool(EnvPoolVectorEnv):
    """`num_envs` Atari games of a recipe that `atari` made, by EnvPool. They reset in the next step.

    Raises ConfigError for a recipe that EnvPool cannot follow.
    """

    def __init__(self, recipe: Recipe, num_envs: int) -> None:
        if [wrapper for wrapper, _ in recipe.wrappers] != [AtariFrames]:
            raise ConfigError("vec: envpool takes frames of Atari games without further wrappers")
        settings, kwargs = dict(recipe.wrappers[0][1]), {**recipe.spec.kwargs, **FIXED}
        if kwargs != recipe.spec.kwargs:
            raise ConfigError(f"vec: envpool does not take arguments of {recipe.spec.id} that atari() did not set")
        if others := kwargs.keys() - {"game", *_SAME, *FIXED}:
            raise ConfigError(f"vec: envpool does not take the argument {min(others)} of {recipe.spec.id}")
        self._frames, self._life_loss = FRAMES[settings.pop("frames")], settings.pop("life_loss", False)
        super().__init__(
            recipe.spec.id.removeprefix("ALE/"), num_envs, **settings,
            **{name: kwargs[name] for name in _SAME if kwargs.get(name) is not None},
            img_height=self._frames.height, img_width=self._frames.width, stack_num=self._frames.stack,
            use_fire_reset=False, num_threads=min(num_envs, available_threads()),
        )  # fmt: skip
        self.single_observation_space = self._frames.space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._lives = np.zeros(num_envs, np.int64)

    def _seen(self, obs: Any) -> Array:
        return self._frames.seen(obs)

    def _infos(self, infos: dict[str, Any], ended: Array) -> dict[str, Any]:
        """In which environments a life was lost and the game continues, if that ends an episode for learning."""
        if not self._life_loss:
            return {}
        before, self._lives = self._lives, infos["lives"].copy()
        return {LIFE_LOST: (self._lives < before) & (self._lives > 0) & ~ended}
