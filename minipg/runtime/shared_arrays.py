"""Arrays that several threads or processes read and write."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from multiprocessing.shared_memory import SharedMemory
from typing import Any, NamedTuple

import numpy as np

from minipg.checks import Array

_LINE = 64  # bytes of a cache line: arrays begin on lines of their own


class Spec(NamedTuple):
    """The shape and dtype of an array."""

    shape: tuple[int, ...]
    dtype: str


class SharedArrays:
    """Arrays in one block of shared memory, zero at first. A copy by pickle refers to the same memory.

    `arrays` are valid as long as this object. The block is removed with the object that was made first, or when its
    process ends.
    """

    def __init__(self, specs: Sequence[Spec], name: str | None = None) -> None:
        self._specs = tuple(specs)
        starts, end = [], 0
        for shape, dtype in self._specs:
            starts.append(end)
            end += -(-int(np.prod(shape)) * np.dtype(dtype).itemsize // _LINE) * _LINE
        self._block = SharedMemory(name, create=name is None, size=end)
        self.arrays: tuple[Array, ...] = tuple(
            np.ndarray(spec.shape, spec.dtype, self._block.buf, start)
            for spec, start in zip(self._specs, starts, strict=True)
        )
        if name is None:
            weakref.finalize(self, self._block.unlink)

    def __reduce__(self) -> tuple[Any, ...]:
        return SharedArrays, (self._specs, self._block.name)
