"""Whether a space can hold an observation: its parts, and the numbers in each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from minipg.checks import Array

Space = spaces.Space[Any]
_FEW = 8  # of so few numbers all are shown


class Outside(Exception):
    """An observation that its space does not hold: what was `found`, in which `part` and `row`, and what is `expected`.

    `part` is written as one would index it, ['image'][0]; it is empty where the observation has no parts.
    """

    def __init__(self, part: str, found: str, expected: str, row: int | None = None) -> None:
        super().__init__(part, found, expected, row)
        self.part, self.found, self.expected, self.row = part, found, expected, row


def parts(space: Space, obs: Any, part: str = "") -> Iterator[tuple[str, Space, Any]]:
    """The parts of an observation, or of a batch of them, in the order of `space`: place, space and value of each.

    A Dict or Tuple consists of its parts' parts, any other space of itself. Raises Outside for keys or a length that
    differ from those of the space.
    """
    if isinstance(space, spaces.Dict):
        if not isinstance(obs, Mapping) or set(obs) != set(space.spaces):
            raise Outside(part, shown(obs), f"a dict with the keys {', '.join(map(repr, space.spaces))}")
        for key, inner in space.items():
            yield from parts(inner, obs[key], f"{part}[{key!r}]")
    elif isinstance(space, spaces.Tuple):
        if not isinstance(obs, tuple | list) or len(obs) != len(space.spaces):
            raise Outside(part, shown(obs), f"a tuple of {len(space.spaces)}")
        for k, (inner, value) in enumerate(zip(space.spaces, obs, strict=True)):
            yield from parts(inner, value, f"{part}[{k}]")
    else:
        yield part, space, obs


def numbers(part: str, space: Space, value: Any, lead: tuple[int, ...] = (), casting: str = "unsafe") -> Array:
    """One part as an array of `lead` + the space's shape, whose numbers fit into the space's dtype.

    Integers may be of another integer dtype than the space's, as far as NumPy's rule `casting` allows it and none is
    too large. The bounds of a Box are not looked at: many environments exceed their own. Raises Outside.
    """
    array, dtype, shape = as_numpy(value), np.dtype(space.dtype), lead + (space.shape or ())
    kinds = "biuf" if dtype.kind == "f" else "biu"
    if array.dtype.kind not in kinds or not np.can_cast(array.dtype, dtype, casting):  # type: ignore[arg-type]
        raise Outside(part, f"{shown(value)} of {array.dtype}", f"numbers of {dtype}")
    if array.shape != shape:
        raise Outside(part, f"of shape {array.shape}", f"shape {shape}")
    if dtype.kind != "f" and not np.can_cast(array.dtype, dtype):  # a cast would wrap what is too large
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        require_inside(part, space, array, (array >= low) & (array <= high), len(lead))
    return array


def require_inside(part: str, space: Space, array: Array, inside: Array, lead: int = 0) -> None:
    """Raise Outside unless the flags `inside`, of the array's shape, are all set; `lead`: 1 for a batch, 0 for one."""
    if not inside.all():
        place = np.argwhere(~inside)[0].tolist()
        row = array[place[0]] if lead else array
        found = f"{np.ravel(row)}" if row.size <= _FEW else f"{array[tuple(place)]} at {place[lead:]}"
        raise Outside(part, found, f"one of {space}", place[0] if lead else None)


def as_numpy(value: Any) -> Array:
    """`value` as an array; of dtype object where it cannot be one, such as a ragged list."""
    if isinstance(value, np.ndarray):
        return value
    try:
        return np.asarray(value)
    except Exception:  # a thing whose own conversion may raise anything
        return np.array(None)


def shown(value: Any) -> str:
    """A value in at most 60 characters, on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def equal(a: Any, b: Any) -> bool:
    """Whether two values are of one type and the same, all that they consist of included; NaN equals NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b or (a != a and b != b))
