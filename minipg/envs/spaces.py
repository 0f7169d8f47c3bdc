"""Between Gymnasium's spaces and the arrays that networks and distributions speak."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, iterate

from minipg.checks import Array
from minipg.errors import EnvironmentFault


class ObservationCodec:
    """Observations as rows of numbers: Gymnasium's own flattening (one-hot for Discrete, side by side for Dict, Tuple).

    `size` is O. Raises EnvironmentFault for a space without a fixed flat size.
    """

    def __init__(self, space: spaces.Space[Any]) -> None:
        if not space.is_np_flattenable:
            raise EnvironmentFault(f"observation space {space}: expected Box, Discrete, MultiDiscrete, MultiBinary, "
                                   "or a Dict or Tuple of them")  # fmt: skip
        self.space = space
        self.size = spaces.flatdim(space)
        self._batched: dict[int, spaces.Space[Any]] = {}

    def row(self, obs: Any) -> Array:
        """One observation → (O,)."""
        return np.asarray(spaces.flatten(self.space, obs)).reshape(self.size)

    def rows(self, obs: Any, count: int) -> Array:
        """A vector environment's observation → (N, O)."""
        if isinstance(self.space, spaces.Box):
            return np.asarray(obs).reshape(count, self.size)
        if isinstance(self.space, spaces.Discrete):
            return np.eye(self.size, dtype=np.float32)[np.asarray(obs) - self.space.start]
        if count not in self._batched:
            self._batched[count] = batch_space(self.space, count)
        return np.stack([self.row(one) for one in iterate(self._batched[count], obs)])


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
