"""Environments that say which actions are allowed: the mask becomes a part of the observation.

So a mask is collected, stored, sent and saved as observations are, and the policy finds it there  (DI-9).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from minipg.checks import Array
from minipg.envs.faults import Misbehaviour
from minipg.envs.values import as_numpy, shown

MASK = "action_mask"
Env = gym.Env[Any, Any]


def choices_of(actions: Any) -> tuple[int, ...]:
    """The number of options of each choice in an action space, as () for one that has no masks."""
    if isinstance(actions, spaces.Discrete):
        return (int(actions.n),)
    return tuple(np.ravel(actions.nvec).tolist()) if isinstance(actions, spaces.MultiDiscrete) else ()


def shown_choices(observations: Any, actions: Any) -> tuple[int, ...]:
    """The same, and () as well if the observations are no Dict with a mask of these choices under "action_mask"."""
    choices = choices_of(actions)
    mask: Any = observations.spaces.get(MASK) if isinstance(observations, spaces.Dict) else None
    bits = isinstance(mask, spaces.MultiBinary) or (
        isinstance(mask, spaces.Box) and bool((mask.low == 0).all() and (mask.high == 1).all())
    )
    return choices if choices and bits and mask.shape == (sum(choices),) else ()


def allowed(mask: Array, choices: tuple[int, ...]) -> Array:
    """Whether each row of masks (B, D) allows an option of every choice → (B,) bool."""
    if len(choices) == 1:
        return np.asarray((mask != 0).any(axis=1))
    starts = np.cumsum(choices) - np.array(choices)
    return np.asarray(np.logical_or.reduceat(mask != 0, starts, axis=1).all(axis=1))


class ActionMask(gym.Wrapper[Any, Any, Any, Any]):
    """Shows the mask beside the observation: Dict(action_mask=MultiBinary(D), observation=…).

    The mask is what `action_masks()` returns, a method of the environment or of a wrapper, else info["action_mask"]. An
    environment that has it in its observations is left as it is. Raises Misbehaviour, before the end of an episode, for
    a mask that is missing or of another size, and for one without an allowed action.
    """

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self.choices = choices_of(env.action_space)
        self.in_obs = bool(shown_choices(env.observation_space, env.action_space))
        if not self.in_obs:
            mask = spaces.MultiBinary(sum(self.choices))
            self.observation_space = spaces.Dict({MASK: mask, "observation": env.observation_space})

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """What the environment's reset returns, with the mask in the observation."""
        returned = self.env.reset(seed=seed, options=options)
        if not (isinstance(returned, tuple) and len(returned) == 2):
            return returned  # `Checked` says what is wrong
        return self._shown(*returned, over=False), returned[1]

    def step(self, action: Any) -> Any:
        """What the environment's step returns, with the mask in the observation."""
        returned: Any = self.env.step(action)
        if not (isinstance(returned, tuple) and len(returned) == 5):
            return returned
        obs, _, terminated, truncated, info = returned
        return self._shown(obs, info, over=bool(np.any(terminated) or np.any(truncated))), *returned[1:]

    def _shown(self, obs: Any, info: Any, over: bool) -> Any:
        if self.in_obs:
            value = obs.get(MASK) if isinstance(obs, dict) else None
        elif (method := _method(self.env)) is not None:
            value = method()
        else:
            value = info.get(MASK) if isinstance(info, dict) else None
        if over and value is None:  # nothing is chosen any more
            value = np.ones(sum(self.choices), np.int8)
        mask, size = _flat(value), sum(self.choices)
        if mask.shape != (size,) or mask.dtype.kind not in "biuf" or np.count_nonzero((mask != 0) & (mask != 1)):
            numbers = f"{size} numbers, 1 for an allowed action and 0 for any other"
            raise Misbehaviour(f"action mask {shown(value)}", f"expected {numbers} (mask_actions=False ignores masks)")
        if not over and not allowed(mask[None], self.choices)[0]:
            raise Misbehaviour(f"action mask {mask.astype(int)}", "expected an allowed action in every choice")
        return obs if self.in_obs else {MASK: mask.astype(np.int8), "observation": obs}


def _flat(value: Any) -> Array:
    """A mask as one row; those of several choices may be a tuple of arrays, as Gymnasium's spaces take them."""
    if isinstance(value, tuple | list) and len(value) and np.ndim(value[0]):
        return np.concatenate([np.ravel(as_numpy(part)) for part in value])
    return np.ravel(as_numpy(value))


def _method(env: Any) -> Callable[[], Any] | None:
    """`action_masks` of the environment, or of the outermost wrapper that has it."""
    while True:
        if callable(getattr(type(env), "action_masks", None)):
            method: Callable[[], Any] = env.action_masks
            return method
        if not isinstance(env, gym.Wrapper):
            return None
        env = env.env


def says_without_reset(env: Any) -> bool:
    """Whether an environment shows masks in its observations, or has a method for them."""
    observations, actions = (getattr(env, f"{name}_space", None) for name in ("observation", "action"))
    return bool(choices_of(actions)) and (bool(shown_choices(observations, actions)) or _method(env) is not None)


def says_masks(env: Any) -> bool:
    """Whether an environment says which actions are allowed. A copy of it is reset where its infos have to tell.

    An environment that cannot be copied is reset itself.
    """
    if says_without_reset(env) or not choices_of(getattr(env, "action_space", None)):
        return says_without_reset(env)
    try:
        with suppress(Exception):
            env = copy.deepcopy(env)  # one that counts its episodes is left at the first
        return MASK in env.reset()[1]
    except KeyboardInterrupt:
        raise
    except BaseException:  # an environment may raise anything: it is reported where it is reset to be used
        return False


def masked(make: Callable[[], Env]) -> Callable[[], Env]:
    """A function that makes the environments of `make` with their masks in their observations."""
    return partial(_made, make)


def _made(make: Callable[[], Env]) -> Env:
    return ActionMask(make())
