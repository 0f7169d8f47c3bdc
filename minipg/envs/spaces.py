"""Between Gymnasium's spaces and the arrays that networks and distributions speak."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from minipg.checks import Array
from minipg.distribution import Distribution, bernoulli, categorical, gaussian, multicategorical, squashed
from minipg.envs.faults import Misbehaviour
from minipg.errors import ConfigError, ShapeError
from minipg.runtime.backend import Backend


class ObservationCodec:
    """Observations as rows of numbers: Gymnasium's own flattening (one-hot for Discrete, side by side for Dict, Tuple).

    `size` is O. Raises ConfigError for a space without a fixed flat size.
    """

    def __init__(self, space: spaces.Space[Any]) -> None:
        if not _has_fixed_size(space):
            raise ConfigError(
                f"observation space {space} is not supported: expected Box, Discrete, MultiDiscrete, MultiBinary, "
                "or a Dict or Tuple of them"
            )
        self.space = space
        self.size = spaces.flatdim(space)

    def read(self, obs: Any) -> tuple[Array, bool]:
        """One observation or a batch of them → (B, O), and whether it was a single one. Raises ShapeError."""
        try:
            leaf, space = _first_leaf(obs, self.space)
            shape, own = np.shape(leaf), space.shape or ()
            if shape == own:
                return self.row(obs)[None], True
            if shape[1:] == own and len(shape) > len(own):
                return self.rows(obs, shape[0]), False
        except (TypeError, ValueError, LookupError, Misbehaviour) as error:
            raise ShapeError(f"obs: expected an observation of {self.space}, got {obs!r}") from error
        raise ShapeError(f"obs: expected shape {own} or {('any', *own)}, got {shape}")

    def row(self, obs: Any) -> Array:
        """One observation → (O,)."""
        return np.asarray(spaces.flatten(self.space, obs)).reshape(self.size)

    def rows(self, obs: Any, count: int) -> Array:
        """A vector environment's observation → (N, O). Raises EnvironmentFault for one outside its space."""
        return _rows(self.space, obs, count)


def _rows(space: spaces.Space[Any], obs: Any, count: int) -> Array:
    if isinstance(space, spaces.Dict):
        return np.concatenate([_rows(part, obs[key], count) for key, part in space.items()], axis=1)
    if isinstance(space, spaces.Tuple):
        return np.concatenate([_rows(part, one, count) for part, one in zip(space, obs, strict=True)], axis=1)
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        sizes = np.ravel(space.n if isinstance(space, spaces.Discrete) else space.nvec)
        values = _numbers(space, obs, count)
        index = values - np.ravel(space.start)
        inside = ((index >= 0) & (index < sizes)).all(axis=1)
        if not inside.all():
            n = int(np.argmin(inside))
            raise Misbehaviour(f"observation {values[n]} from environment {n}", f"expected one of {space}")
        one_hot = np.zeros((count, sizes.sum()), np.float32)
        np.put_along_axis(one_hot, index + np.cumsum(sizes) - sizes, 1, axis=1)
        return one_hot
    return _numbers(space, obs, count)


def _numbers(space: spaces.Space[Any], obs: Any, count: int) -> Array:
    array, shape = np.asarray(obs), (count, *(space.shape or ()))
    if array.shape != shape or array.dtype.kind not in "biuf":
        raise Misbehaviour(
            f"observations of {array.dtype}{array.shape} from the vector environment",
            f"expected {space.dtype}{shape}",
        )
    return array.reshape(count, -1)


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
    """What the distribution samples → what the environment takes: indices from the space's start, bits, or reals.

    Reals are clipped to the Box; with `squash`, tanh of them is scaled to it. The raw action stays with its
    log-probability in the batch; only the environment sees the other one. Raises ConfigError for any other space.
    """

    def __init__(self, space: spaces.Space[Any], squash: bool = False) -> None:
        self.space: Any = space
        self.shape = space.shape or ()
        self.discrete = isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary)
        if not self.discrete and not (isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating)):
            raise ConfigError(
                f"action space {space} is not supported: expected Discrete, MultiDiscrete, MultiBinary or Box of floats"
            )
        self.size = int(space.n) if isinstance(space, spaces.Discrete) else int(np.prod(self.shape))
        self.squash, self._start = squash and isinstance(space, spaces.Box), getattr(space, "start", 0)
        if isinstance(space, spaces.Box) and squash and not np.isfinite([space.low, space.high]).all():
            raise ConfigError(f"squash: expected an action space with finite bounds, got {space}")

    def distribution(self, backend: Backend) -> Distribution:
        """The family of this space's actions."""
        if isinstance(self.space, spaces.MultiDiscrete):
            return multicategorical(np.ravel(self.space.nvec).tolist(), backend)
        if isinstance(self.space, spaces.MultiBinary):
            return bernoulli(self.size, backend)
        if isinstance(self.space, spaces.Discrete):
            return categorical(self.size, backend)
        return (squashed if self.squash else gaussian)(self.size, backend)

    def to_env(self, act: Array) -> Array:
        """act (N,) or (N, A) → (N, *space.shape) in the space's dtype."""
        space = self.space
        shaped = act.reshape(len(act), *self.shape)
        if self.discrete:
            return (shaped + self._start).astype(space.dtype, copy=False)
        if self.squash:
            share = (1 + np.tanh(shaped)) / 2  # of the way from low to high, whose difference might overflow
            shaped = (1 - share) * space.low + share * space.high
        return np.minimum(np.maximum(shaped, space.low), space.high).astype(space.dtype, copy=False)
