"""Between Gymnasium's spaces and the arrays that networks and distributions speak."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, iterate

from minipg.checks import Array
from minipg.errors import EnvironmentFault, ShapeError


class ObservationCodec:
    """Observations as rows of numbers: Gymnasium's own flattening (one-hot for Discrete, side by side for Dict, Tuple).

    `size` is O. Raises EnvironmentFault for a space without a fixed flat size.
    """

    def __init__(self, space: spaces.Space[Any]) -> None:
        if not _has_fixed_size(space):
            raise EnvironmentFault(
                f"observation space {space} is not supported: expected Box, Discrete, MultiDiscrete, MultiBinary, "
                "or a Dict or Tuple of them"
            )
        self.space = space
        self.size = spaces.flatdim(space)
        self._batched: dict[int, spaces.Space[Any]] = {}

    def read(self, obs: Any) -> tuple[Array, bool]:
        """One observation or a batch of them → (B, O), and whether it was a single one. Raises ShapeError."""
        try:
            leaf, space = _first_leaf(obs, self.space)
            shape, own = np.shape(leaf), space.shape or ()
            if shape == own:
                return self.row(obs)[None], True
            if shape[1:] == own and len(shape) > len(own):
                return self.rows(obs, shape[0]), False
        except (TypeError, ValueError, LookupError) as error:
            raise ShapeError(f"obs: expected an observation of {self.space}, got {obs!r}") from error
        raise ShapeError(f"obs: expected shape {own} or {('any', *own)}, got {shape}")

    def row(self, obs: Any) -> Array:
        """One observation → (O,)."""
        return np.asarray(spaces.flatten(self.space, obs)).reshape(self.size)

    def rows(self, obs: Any, count: int) -> Array:
        """A vector environment's observation → (N, O)."""
        if isinstance(self.space, spaces.Box):
            return np.asarray(obs).reshape(count, self.size)
        if isinstance(self.space, spaces.Discrete):
            index = np.asarray(obs) - self.space.start
            if not ((index >= 0) & (index < self.size)).all():
                raise EnvironmentFault(f"observation {obs} is not in {self.space}")
            one_hot = np.zeros((count, self.size), np.float32)
            one_hot[np.arange(count), index] = 1
            return one_hot
        if count not in self._batched:
            self._batched[count] = batch_space(self.space, count)
        return np.stack([self.row(one) for one in iterate(self._batched[count], obs)])


def _first_leaf(obs: Any, space: spaces.Space[Any]) -> tuple[Any, spaces.Space[Any]]:
    if isinstance(space, spaces.Dict):
        key = next(iter(space.spaces))
        return _first_leaf(obs[key], space[key])
    return _first_leaf(obs[0], space[0]) if isinstance(space, spaces.Tuple) else (obs, space)


def _has_fixed_size(space: spaces.Space[Any]) -> bool:
    if isinstance(space, spaces.Dict):
        return all(_has_fixed_size(part) for part in space.values())
    if isinstance(space, spaces.Tuple):
        return all(_has_fixed_size(part) for part in space)
    return isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary)


class ActionCodec:
    """What the distribution samples → what the environment takes: indices shifted, or reals clipped to the Box.

    The raw action stays with its log-probability in the batch; only the environment sees the clipped one.
    """

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.space = space
        if isinstance(space, spaces.Discrete):
            self.discrete, self.size = True, int(space.n)
        elif isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
            self.discrete, self.size = False, int(np.prod(space.shape))
        else:
            raise EnvironmentFault(f"action space {space} is not supported: expected Discrete or Box of floats")

    def to_env(self, act: Array) -> Array:
        """act (N,) or (N, A) → (N, *space.shape) in the space's dtype."""
        if isinstance(self.space, spaces.Discrete):
            return act + self.space.start
        assert isinstance(self.space, spaces.Box)
        shaped = act.reshape(len(act), *self.space.shape)
        return np.clip(shaped, self.space.low, self.space.high).astype(self.space.dtype, copy=False)
