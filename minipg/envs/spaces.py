"""Between Gymnasium's spaces and the arrays of networks and distributions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
from gymnasium import spaces

from minipg.checks import Array
from minipg.distribution import Distribution, bernoulli, categorical, gaussian, multicategorical, squashed
from minipg.envs.action_mask import MASK
from minipg.envs.faults import Misbehaviour
from minipg.envs.values import Outside, as_numpy, numbers, parts, require_inside
from minipg.errors import ConfigError, ShapeError
from minipg.runtime.backend import Backend


class ObservationCodec:
    """Observations as rows of numbers, as `gymnasium.spaces.flatten` lays them out.

    Discrete and MultiDiscrete are one-hot, the parts of a Dict or Tuple stand side by side. `size` is O; `stored` is
    the dtype in which a replay holds them: narrow integers as they are, everything else in single precision. `bytes` is
    the dtype of a Box of bytes (uint8 or int8), as images are, and None of any other space.
    `masks` are the sizes of the choices of which a Dict has the mask under "action_mask", in the first D columns then.
    Raises ConfigError for a space without a fixed number of numbers, and for one without any.
    """

    def __init__(self, space: spaces.Space[Any], masks: tuple[int, ...] = ()) -> None:
        self.masks = masks
        if masks and isinstance(space, spaces.Dict):  # an OrderedDict keeps its order
            names = sorted(space.spaces, key=lambda name: name != MASK)
            space = spaces.Dict(OrderedDict((name, space[name]) for name in names))
        if (part := _without_fixed_size("", space)) is not None:
            expected = "Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of them"
            where, way_out = "", ""
            if part:
                where = f" because of its part {part}"
                way_out = "; a wrapper may leave a part out, as gymnasium.wrappers:FilterObservation does (--wrapper)"
            raise ConfigError(f"observation space {space} is not supported{where}: expected {expected}{way_out}")
        self.space, self.size = space, spaces.flatdim(space)
        if self.size == 0:
            raise ConfigError(f"observation space {space} is not supported: it holds no numbers")
        self.signature = signature(space)
        self._leaves = list(_leaves(space))
        self.stored = np.result_type(*(leaf.stored for leaf in self._leaves))
        self._whole = not isinstance(space, spaces.Dict | spaces.Tuple)
        bytes_alone = isinstance(space, spaces.Box) and np.dtype(space.dtype) in (np.uint8, np.int8)
        self.bytes = np.dtype(space.dtype) if bytes_alone else None

    def read(self, obs: Any, dtype: Any = np.float32) -> tuple[Array, bool]:
        """One observation or a batch of them → (B, O) of `dtype`, and whether it was a single one.

        Raises ShapeError for what is not in the space, and for numbers that are not finite.
        """
        try:
            count = self._count(obs)
            rows = self._rows(obs, count)
        except Outside as error:
            row = "" if error.row is None else f" in row {error.row}"
            raise ShapeError(f"obs{error.part}: expected {error.expected}, got {error.found}{row}") from error
        # what is too large for the dtype becomes infinite, which is looked for next
        with nullcontext() if rows.dtype == dtype else np.errstate(over="ignore"):
            rows = np.array(rows, dtype)
        if np.count_nonzero(np.isfinite(rows)) < rows.size:
            row, component = np.argwhere(~np.isfinite(rows))[0]
            place = f"component {component}" + ("" if count is None else f" of row {row}")
            raise ShapeError(f"obs: expected finite numbers, got {rows[row, component]} in {place}")
        return rows, count is None

    def row(self, obs: Any, number: int = 0) -> Array:
        """One observation, of environment `number` → (O,). Raises EnvironmentFault for one outside its space."""
        return self._checked(obs, None, number)[0]

    def rows(self, obs: Any, count: int) -> Array:
        """A vector environment's observation → (N, O). Raises EnvironmentFault for one outside its space."""
        return self._checked(obs, count, 0)

    def _checked(self, obs: Any, count: int | None, number: int) -> Array:
        try:
            return self._rows(obs, count)
        except Outside as error:
            part = f" in {error.part}" if error.part else ""
            if count is None or error.row is not None:
                what = f"observation {error.found}{part} from environment {error.row if error.row else number}"
            else:
                what = f"observations {error.found}{part} from the vector environment"
            raise Misbehaviour(what, f"expected {error.expected}") from error

    def _rows(self, obs: Any, count: int | None) -> Array:
        """A batch of `count` observations, or with None a single one → (B, O). Raises Outside."""
        if self._whole:
            return self._leaves[0].columns("", obs, count)
        found = zip(self._leaves, parts(self.space, obs), strict=True)
        return np.concatenate([leaf.columns(part, value, count) for leaf, (part, _, value) in found], axis=1)

    def _count(self, obs: Any) -> int | None:
        """How many observations these are, None for a single one. Raises Outside where it is neither."""
        part, space, value = ("", self.space, obs) if self._whole else next(parts(self.space, obs))
        shape, one = as_numpy(value).shape, space.shape or ()
        if shape == one:
            return None
        if len(shape) == len(one) + 1 and shape[1:] == one:
            return shape[0]
        raise Outside(part, str(shape), f"shape {one} or {('any', *one)}")


class _Leaf:
    """A space without parts, and what its columns are: the numbers themselves, or flags of what they equal."""

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.space, self.dtype, self.shape = space, np.dtype(space.dtype), space.shape or ()
        self.binary, self.of, self.equal = isinstance(space, spaces.MultiBinary), np.zeros(0, np.int64), np.zeros(0)
        if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
            sizes = np.ravel(space.n if isinstance(space, spaces.Discrete) else space.nvec)
            # column c says whether component of[c] equals equal[c]
            self.of = np.repeat(np.arange(len(sizes)), sizes)
            self.equal = np.concatenate([np.arange(n) for n in sizes]) + np.ravel(space.start)[self.of]
        narrow = self.dtype.kind in "iu" and self.dtype.itemsize <= 2
        flags = len(self.of) or self.binary or self.dtype.kind == "b"
        self.stored = np.dtype("uint8" if flags else self.dtype if narrow else "float32")

    def columns(self, part: str, value: Any, count: int | None) -> Array:
        """The values of `count` observations, or with None of a single one → (B, …). Raises Outside."""
        lead, rows = ((), 1) if count is None else ((count,), count)
        ready = type(value) is np.ndarray and value.dtype == self.dtype and value.shape == lead + self.shape
        array = value if ready else numbers(part, self.space, value, lead)
        flat = array.reshape(rows, -1)
        if len(self.of):
            flags = flat[:, self.of] == self.equal
            if np.count_nonzero(flags) < flat.size:
                inside = np.logical_or.reduceat(flags, np.flatnonzero(np.diff(self.of, prepend=-1)), axis=1)
                require_inside(part, self.space, array, inside.reshape(array.shape), len(lead))
            return flags.astype(np.float32)
        if self.binary and np.count_nonzero(flat >> 1):  # neither 0 nor 1
            require_inside(part, self.space, array, (array == 0) | (array == 1), len(lead))
        return flat


def _leaves(space: spaces.Space[Any]) -> Iterator[_Leaf]:
    """The leaves of a space, in the order of `parts`."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        for part in space.values() if isinstance(space, spaces.Dict) else space.spaces:
            yield from _leaves(part)
    else:
        yield _Leaf(space)


def signature(space: spaces.Space[Any], bounds: bool = False) -> str:
    """What a network depends on in a space, as text that is equal for equal spaces; `bounds`: those of a Box too.

    Nothing depends on the bounds of observations. Actions are clipped or scaled to theirs.
    """
    if isinstance(space, spaces.Dict):
        return f"Dict({', '.join(f'{key!r}: {signature(part, bounds)}' for key, part in space.items())})"
    if isinstance(space, spaces.Tuple):
        return f"Tuple({', '.join(signature(part, bounds) for part in space.spaces)})"
    if isinstance(space, spaces.Box):
        kind = {"f": "float", "b": "bool"}.get(space.dtype.kind, "int")
        limits = [_few(space.low), _few(space.high)] if bounds else []
        return f"Box({', '.join([*limits, str(space.shape), kind])})"
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        size = space.n if isinstance(space, spaces.Discrete) else space.nvec.tolist()
        start = f", start={np.asarray(space.start).tolist()}" if np.any(space.start) else ""
        return f"{type(space).__name__}({size}{start})"
    return f"MultiBinary({space.shape})" if isinstance(space, spaces.MultiBinary) else str(space)


def _few(numbers: Array) -> str:
    """An array as one number where all are equal; to six digits, as versions may round bounds otherwise."""
    texts = [f"{number:.6g}" for number in np.ravel(numbers)]
    return texts[0] if len(set(texts)) == 1 else f"[{', '.join(texts)}]"


def _without_fixed_size(name: str, space: spaces.Space[Any]) -> str | None:
    """The first part, below the part called `name`, that has no fixed number of numbers; None if there is none."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = space.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        found = (_without_fixed_size(f"{name}[{key!r}]", part) for key, part in parts)
        return next((part for part in found if part is not None), None)
    fixed = isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary)
    return None if fixed else name


def layout_of(space: spaces.Space[Any], name: str) -> list[str]:
    """A line for each leaf of a space called `name`, in the order of its numbers in a row."""
    if isinstance(space, spaces.Dict):
        return [line for key, part in space.items() for line in layout_of(part, f"{name}[{key!r}]")]
    if isinstance(space, spaces.Tuple):
        return [line for k, part in enumerate(space.spaces) for line in layout_of(part, f"{name}[{k}]")]
    one_hot = ", one-hot" if isinstance(space, spaces.Discrete | spaces.MultiDiscrete) else ""
    return [f"{name}: {spaces.flatdim(space)} numbers of {signature(space)}{one_hot}"]


class ActionCodec:
    """What the distribution samples → what the environment takes: indices from the space's start, bits, or reals.

    Reals are clipped to the Box. With `squash`, tanh of them is scaled to it; with `scale`, they themselves, which are
    from −1 to 1 then. The raw action stays with its log-probability in the batch; only the environment sees the other
    one. Raises ConfigError for any other space.
    """

    def __init__(self, space: spaces.Space[Any], squash: bool = False, scale: bool = False) -> None:
        self.space: Any = space
        self.signature = signature(space, bounds=True)
        self.shape = space.shape or ()
        self.discrete = isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary)
        if not self.discrete and not (isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating)):
            expected = "Discrete, MultiDiscrete, MultiBinary or Box of floats"
            raise ConfigError(f"action space {space} is not supported: expected {expected}")
        self.size = int(space.n) if isinstance(space, spaces.Discrete) else int(np.prod(self.shape))
        self.squash, self.scale = squash and isinstance(space, spaces.Box), scale
        self._start = getattr(space, "start", 0)
        if scale and not isinstance(space, spaces.Box):
            raise ConfigError(f"a deterministic policy needs an action space of real numbers (Box), got {space}")
        if isinstance(space, spaces.Box) and (squash or scale) and not np.isfinite([space.low, space.high]).all():
            what = "squash" if squash else "a deterministic policy"
            raise ConfigError(f"{what}: expected an action space with finite bounds, got {space}")

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
        if self.squash or self.scale:
            share = (
                1 + (np.tanh(shaped) if self.squash else shaped)
            ) / 2  # of the way from low to high, whose difference might overflow
            shaped = (1 - share) * space.low + share * space.high
        return np.minimum(np.maximum(shaped, space.low), space.high).astype(space.dtype, copy=False)
