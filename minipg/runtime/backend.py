"""The backend: the twin that computes, the library of its arrays, and the threads it uses.

A kernel runs on one thread. `map_rows` and fisher_threads.py use several: a batch is split into tiles, each free thread
takes the next tile, and the caller adds the results in the order of the tiles. Neither the tiles nor the order depend
on the number of threads, so every bit of the result is the same. Kernels split tiles further into blocks of rows that
fit a core's cache (BLOCK in kernels/arguments.py). Numba's and OpenMP's threads are not used.

On a GPU (`cupy`) all rows are one tile and no threads are used. Arrays stay on the device. `to_device` copies there, as
public functions do with arrays of the host; `to_host` copies back, and waits for the device. `fetch` copies the numbers
that the host needs for decisions in one transfer. Sizes and settings are on the host in every twin.
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

from minipg.checks import Array, as_int, namespace
from minipg.errors import BackendError, installing, unknown_name
from minipg.runtime.modules import installed_only
from minipg.runtime.threads import Helpers, Job, OneBlasThread, Waiting, available_threads, pool

TILE_ROWS, MOST_TILES = 512, 8  # a smaller tile costs more to pass to a thread than to compute; each tile adds a sum
WORTH_A_THREAD = 256  # rows of an update: with fewer, a second thread costs more than it saves
_TWINS = {"numba": "minipg.kernels.cpu", "numpy": "minipg.kernels.reference", "cupy": "minipg.kernels.gpu"}

BACKENDS = tuple(_TWINS)


@cache
def _import(name: str) -> ModuleType:
    with installed_only():  # cupy may be the word of a run's config.json
        return importlib.import_module(name)


T = TypeVar("T")
R = TypeVar("R")


def installed_backends() -> list[str]:
    """The twins that can compute on this machine."""
    return [name for name in _TWINS if name != "cupy" or why_no_device() is None]


def why_no_device() -> str | None:
    """The reason why CuPy cannot compute here, in one line; None if a device computes."""
    try:
        cupy = _import("cupy")
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            return f"CuPy is not installed: {installing('gpu')}; for CUDA 13 gpu-cuda13"
        return f"CuPy cannot be imported: {first_line(error)}"
    runtime = cupy.cuda.runtime
    try:
        driver = runtime.driverGetVersion()
        if driver == 0:
            return "there is no NVIDIA driver on this machine"
        if runtime.getDeviceCount() == 0:
            return "there is no GPU on this machine"
    except Exception as error:
        return f"no GPU can be used: {first_line(error)}"
    try:
        # a sum needs CUDA's compiler and a product its library: both are loaded at their first use
        cupy.asnumpy(cupy.ones((1, 1), "float32") @ cupy.ones((1, 1), "float32") + 1)
    except Exception as error:
        versions = f"the driver supports CUDA up to {_version(driver)}"
        with suppress(Exception):  # this call may need the missing library
            versions = f"CuPy is made for CUDA {_version(runtime.runtimeGetVersion())}, {versions}"
        return f"a CUDA library is missing or of another version ({versions}): {first_line(error)}"
    return None


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def first_line(error: Exception) -> str:
    """The type of an error and the first line of its message."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def to_host(array: Any) -> Any:
    """The array as a NumPy array. Copying from a device waits for all work queued before."""
    return array if (xp := namespace(array)) is np else xp.asnumpy(array)


def fetch(*numbers: Any) -> Sequence[Any]:
    """The numbers as floats, copied from a device in one transfer; numbers of the host are returned unchanged."""
    if (xp := namespace(numbers[0])) is np:
        return numbers
    flat: list[float] = to_host(xp.concatenate([number.ravel().astype(np.float64) for number in numbers])).tolist()
    return flat


def tiles_of(rows: int) -> list[slice]:
    """A batch of `rows` rows in equal tiles: of TILE_ROWS rows or more, and at most MOST_TILES.

    A tape is read with the same tiles that it was written with.
    """
    if rows < 2 * TILE_ROWS:
        return [slice(0, rows)] if rows else []
    size = -(-rows // min(MOST_TILES, rows // TILE_ROWS))
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def choose(flag: Any, x: Any, y: Any) -> Any:
    """x if the flag is true, else y. A flag on a device is not copied to the host."""
    return (x if flag else y) if (xp := namespace(flag)) is np else xp.where(flag, x, y)


@dataclass(frozen=True)
class Backend:
    """A twin of the kernels (`numba`, `numpy`, or `cupy` on a GPU) and the number of threads to spread tiles over.

    Raises BackendError, with the reason, if `cupy` has no usable GPU.
    """

    name: str = "numba"
    threads: int = field(default_factory=available_threads)

    def __post_init__(self) -> None:
        if self.name not in _TWINS:
            raise unknown_name("backend", self.name, _TWINS)
        object.__setattr__(self, "threads", as_int("threads", self.threads, 1))
        if not self.on_host:
            if (reason := why_no_device()) is not None:
                raise BackendError(f"backend {self.name}: {reason}")
            object.__setattr__(self, "threads", 1)

    @cached_property
    def on_host(self) -> bool:
        """True unless arrays are on a device."""
        return self.name != "cupy"

    @cached_property
    def xp(self) -> Any:
        """The library of its arrays: numpy or cupy."""
        return np if self.on_host else _import("cupy")

    def to_device(self, array: Any) -> Array:
        """The array where this backend computes; the given array itself if it is there already."""
        return array if self.on_host else _import("cupy").asarray(array)

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone, for copies: a library cannot be copied."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def kernels(self, module: str) -> ModuleType:
        """The module of kernels of one file, e.g. `kernels("mlp").forward`."""
        twin, inherits = _TWINS[self.name], self.name == "cupy"
        found: ModuleType = _import(f"{twin}._inherit").kernels(module) if inherits else _import(f"{twin}.{module}")
        return found

    def map_rows(self, f: Callable[[slice], R], rows: int) -> list[R]:
        """[f(tile) for every tile of a batch of `rows` rows], on all free threads."""
        return self.map(f, tiles_of(rows) if self.on_host or not rows else [slice(0, rows)])

    def map(self, f: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """`[f(x) for x in items]`, on all free threads. It does not wait for threads that run other jobs."""
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
            jobs: list[Job[None]] = []
            try:
                for _ in range(min(self.threads, len(items)) - 1):
                    jobs.append(self.submit(drain))
                drain()
            finally:  # wait for started jobs, in an interrupt too: they write to the caller's arrays
                todo.clear()
                started = [job for job in jobs if not self._helpers.cancel(job)]
                for job in started:
                    job.wait(self._waiting)
            for job in started:
                job.result()
        return results

    def both(self, f: Callable[[], T], g: Callable[[], R], rows: int = WORTH_A_THREAD) -> tuple[T, R]:
        """`(f(), g())`, in parallel if there is a second thread and at least WORTH_A_THREAD rows."""
        with OneBlasThread():
            if self.threads == 1 or rows < WORTH_A_THREAD:
                return f(), g()
            job = self.submit(g)
            try:
                first = f()
            finally:
                cancelled = self._helpers.cancel(job)
                if not cancelled:
                    job.wait(self._waiting)
            return first, g() if cancelled else job.result()

    def submit(self, f: Callable[..., R], *args: Any) -> Job[R]:
        """Run `f(*args)` on another thread as soon as one is free; returns the job at once."""
        return self._helpers.submit(self._waiting, f, *args)

    @property
    def _helpers(self) -> Helpers:
        return pool(self.threads, self._waiting is not None)

    @cached_property
    def _waiting(self) -> Waiting | None:
        kernels: Any = self.kernels("_spin_wait") if self.name == "numba" else None
        return kernels
