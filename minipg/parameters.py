"""One flat vector θ, and the named arrays inside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from minipg.checks import Array, as_array, as_flat, namespace


@dataclass(frozen=True)
class Layout:
    """The position of each named array in θ: `entries` are (name, shape) in order, row by row, without gaps."""

    entries: tuple[tuple[str, tuple[int, ...]], ...]

    @cached_property
    def size(self) -> int:
        """P, the length of θ."""
        return sum(math.prod(shape) for _, shape in self.entries)

    def views(self, theta: Array) -> dict[str, Array]:
        """name → view of θ; writing to a view writes to θ.   theta (P,)."""
        theta = as_flat("theta", theta, self.size, namespace(theta))
        views, start = {}, 0
        for name, shape in self.entries:
            stop = start + math.prod(shape)
            views[name] = theta[start:stop].reshape(shape)
            start = stop
        return views

    def flatten(self, arrays: dict[str, Array], dtype: type = np.float32) -> Array:
        """The inverse of `views`: a new θ (P,) of `dtype`, on the host."""
        parts = [as_array(name, arrays[name], shape, dtype).ravel() for name, shape in self.entries]
        return np.concatenate(parts) if parts else np.zeros(0, dtype)
