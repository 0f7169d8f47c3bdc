"""Which twin computes, where its arrays are, and how its work is spread over the cores.

Kernels run on one thread each. `map_rows` uses several cores, and fisher_threads.py does with the same tiles: a batch
is cut into tiles, free threads take tiles, and the caller adds up what comes back in the order of the tiles. Neither
the tiles nor the order depend on the number of threads, so every bit of the result is the same. Smaller blocks that fit
a core's cache are the kernels' own (TILE in kernels/cpu/mlp.py). No threading layer of Numba or OpenMP is involved.

On a GPU (`cupy`) all rows are one tile and threads play no part. Arrays stay on the device once they are there:
`to_device` brings them up, as public functions do that are given arrays of the host, and `to_host` brings them down,
which waits for the device. Numbers that the host decides by come down in one transfer (`fetch`). What describes shapes
(sizes, settings) is on the host in every twin.
"""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from minipg.checks import Array, namespace, require
from minipg.errors import BackendError, unknown_name
from minipg.runtime.threads import Job, OneBlasThread, Waiting, available_threads, pool

TILE_ROWS, MOST_TILES = 512, 8  # smaller tiles are not worth waking a thread for; more leave more sums to add up
WORTH_A_THREAD = 256  # rows of an update: with fewer, to hand work to a second thread takes longer than the work
_TWINS = {"numba": "minipg.kernels.cpu", "numpy": "minipg.kernels.reference", "cupy": "minipg.kernels.gpu"}

BACKENDS = tuple(_TWINS)

_import = cache(importlib.import_module)

T = TypeVar("T")
R = TypeVar("R")


def installed_backends() -> list[str]:
    """The twins that can compute on this machine."""
    return [name for name in _TWINS if name != "cupy" or why_no_device() is None]


def why_no_device() -> str | None:
    """Why CuPy cannot compute here, in a line; None where a device has answered."""
    try:
        cupy = _import("cupy")
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            return 'CuPy is not installed: pip install "minipg-rl[gpu]" for CUDA 12, or [gpu-cuda13] for CUDA 13'
        return f"CuPy cannot be imported: {_first_line(error)}"
    runtime = cupy.cuda.runtime
    try:
        driver = runtime.driverGetVersion()
        if driver == 0:
            return "there is no NVIDIA driver on this machine"
        if runtime.getDeviceCount() == 0:
            return "there is no GPU on this machine"
    except Exception as error:
        return f"no GPU can be used: {_first_line(error)}"
    try:
        # what computes is compiled here, and multiplied by a library: both are looked for at their first use
        cupy.asnumpy(cupy.ones((1, 1), "float32") @ cupy.ones((1, 1), "float32") + 1)
    except Exception as error:
        versions = f"the driver supports CUDA up to {_version(driver)}"
        with suppress(Exception):  # the library that would say it may be the one that is missing
            versions = f"CuPy is made for CUDA {_version(runtime.runtimeGetVersion())}, {versions}"
        return f"a CUDA library is missing or of another version ({versions}): {_first_line(error)}"
    return None


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def to_host(array: Any) -> Any:
    """An array as NumPy has it. From a device, this is the only way, and it waits for all that was asked before."""
    return array if (xp := namespace(array)) is np else xp.asnumpy(array)


def fetch(*numbers: Any) -> Sequence[Any]:
    """Numbers that are to be looked at: those of a device all in one transfer, as floats; others as they are."""
    if (xp := namespace(numbers[0])) is np:
        return numbers
    flat: list[float] = to_host(xp.concatenate([number.ravel().astype(np.float64) for number in numbers])).tolist()
    return flat


def tiles_of(rows: int) -> list[slice]:
    """A batch of `rows` rows in equal tiles: of TILE_ROWS rows or more, and at most MOST_TILES.

    A tape is written and read by the same tiles.
    """
    if rows < 2 * TILE_ROWS:
        return [slice(0, rows)] if rows else []
    size = -(-rows // min(MOST_TILES, rows // TILE_ROWS))
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def choose(flag: Any, x: Any, y: Any) -> Any:
    """x if the flag holds, else y; where only a device knows it, without asking."""
    return (x if flag else y) if (xp := namespace(flag)) is np else xp.where(flag, x, y)


@dataclass(frozen=True)
class Backend:
    """A twin of the kernels (`numba`, `numpy`, or `cupy` on a GPU) and the number of threads to spread tiles over.

    Raises BackendError where there is no GPU to compute on, and says why.
    """

    name: str = "numba"
    threads: int = field(default_factory=available_threads)

    def __post_init__(self) -> None:
        if self.name not in _TWINS:
            raise unknown_name("backend", self.name, _TWINS)
        require(self.threads >= 1, "threads", "at least 1", self.threads)
        if not self.on_host:
            if (reason := why_no_device()) is not None:
                raise BackendError(f"backend {self.name}: {reason}")
            object.__setattr__(self, "threads", 1)

    @cached_property
    def on_host(self) -> bool:
        """Whether numbers can be looked at without waiting for a device."""
        return self.name != "cupy"

    @cached_property
    def xp(self) -> Any:
        """The library that its arrays are of: NumPy, or CuPy."""
        return np if self.on_host else _import("cupy")

    def to_device(self, array: Any) -> Array:
        """An array where this backend computes: the very one that came, if it is there already."""
        return array if self.on_host else _import("cupy").asarray(array)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy is made of: a library cannot be copied."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def kernels(self, module: str) -> ModuleType:
        """The kernels of one file, e.g. `kernels("mlp").forward`; a GPU inherits those of the reference."""
        twin, inherits = _TWINS[self.name], self.name == "cupy"
        found: ModuleType = _import(f"{twin}._inherit").kernels(module) if inherits else _import(f"{twin}.{module}")
        return found

    def map_rows(self, f: Callable[[slice], R], rows: int) -> list[R]:
        """`f` of each tile of a batch of `rows` rows, in order."""
        return self.map(f, tiles_of(rows) if self.on_host or not rows else [slice(0, rows)])

    def map(self, f: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """`[f(x) for x in items]`, taken by the free threads. Threads that are busy elsewhere are not waited for."""
        if self.threads == 1 or len(items) == 1:
            with OneBlasThread():
                return [f(item) for item in items]
        results: list[Any] = [None] * len(items)
        todo = deque(range(len(items)))

        def drain() -> None:
            while True:
                try:
                    index = todo.popleft()
                except IndexError:
                    return
                results[index] = f(items[index])

        with OneBlasThread():
            jobs = [self.submit(drain) for _ in range(min(self.threads, len(items)) - 1)]
            try:
                drain()
            finally:  # what a helper has begun is waited for, in an interrupt too: it writes to the caller's arrays
                todo.clear()
                helpers = pool(self.threads)
                begun = [job for job in jobs if not helpers.take_back(job)]
                for job in begun:
                    job.wait(self._waiting)
            for job in begun:
                job.result()
        return results

    def both(self, f: Callable[[], T], g: Callable[[], R], rows: int = WORTH_A_THREAD) -> tuple[T, R]:
        """`(f(), g())`, side by side where there is a second thread and so many rows are worth it."""
        with OneBlasThread():
            if self.threads == 1 or rows < WORTH_A_THREAD:
                return f(), g()
            job = self.submit(g)
            try:
                first = f()
            finally:
                taken_back = pool(self.threads).take_back(job)
                if not taken_back:
                    job.wait(self._waiting)
            return first, g() if taken_back else job.result()

    def submit(self, f: Callable[..., R], *args: Any) -> Job[R]:
        """`f(*args)` on one of the other threads, as soon as one is free."""
        return pool(self.threads).submit(self._waiting, f, *args)

    @cached_property
    def _waiting(self) -> Waiting | None:
        kernels: Any = self.kernels("_spin_wait") if self.name == "numba" else None
        return kernels
