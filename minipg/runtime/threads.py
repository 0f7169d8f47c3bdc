"""The threads of a process, and how many of them BLAS may use."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

R = TypeVar("R")


def available_threads() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Job(Future[R]):
    """A Future that tells `begun` and `over` without a lock: an interrupt amid `done()` may leave that held."""

    begun = over = False


class Helpers:
    """`count` threads beside the caller's, begun when there is work for them.

    Who has done its work listens to a bell, by `linger(bell, rung)` where there is one, and sleeps when that returns.
    """

    def __init__(self, count: int) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="minipg")
        self._jobs: deque[tuple[Job[Any], Callable[..., Any], tuple[Any, ...]]] = deque()
        self._lock, self._count, self._awake, self._idle = threading.Lock(), count, 0, 0
        self._bell = np.zeros(16, np.int64)  # a cache line of its own

    def submit(self, linger: Callable[[Any, int], None] | None, f: Callable[..., R], *args: Any) -> Job[R]:
        """`f(*args)`, as soon as one is free; never, once the interpreter ends."""
        job: Job[R] = Job()
        with self._lock:
            self._jobs.append((job, f, args))
            self._bell[0] += 1
            if len(self._jobs) > self._idle and self._awake < self._count:
                with suppress(RuntimeError):  # at the interpreter's end nobody can be begun
                    self._threads.submit(self._serve, linger)
                    self._awake += 1
        return job

    def _serve(self, linger: Callable[[Any, int], None] | None) -> None:
        while True:
            with self._lock:
                job = self._jobs.popleft() if self._jobs else None
                self._idle += job is None
                rung = int(self._bell[0])
            if job is not None:
                _do(*job)
                del job  # what it holds is not kept while there is nothing to do
                continue
            with suppress(Exception):  # who cannot listen sleeps
                if linger is not None:
                    linger(self._bell, rung)
            with self._lock:
                self._idle -= 1
                asleep = not self._jobs
                self._awake -= asleep
            if asleep:
                return


def _do(job: Job[Any], f: Callable[..., Any], args: tuple[Any, ...]) -> None:
    job.begun = True
    if job.set_running_or_notify_cancel():
        try:
            job.set_result(f(*args))
        except BaseException as error:
            job.set_exception(error)
    job.over = True


_pools: dict[int, Helpers] = {}


def pool(threads: int) -> Helpers:
    """The other threads of so many; they stay."""
    if threads not in _pools:
        _pools[threads] = Helpers(max(threads - 1, 1))
    return _pools[threads]


_blas_lock = threading.Lock()
_blas_depth = 0
_blas_limit: Any = None
_blas_controller: ThreadpoolController | None = None


def _begin_anew() -> None:
    """Neither threads nor who held a lock survives a fork: the child has its own."""
    global _blas_lock, _blas_depth
    _pools.clear()
    _blas_lock = threading.Lock()
    if _blas_depth:
        _blas_depth = 0
        _blas_limit.restore_original_limits()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


class OneBlasThread:
    """BLAS on one thread while inside, as it was afterwards: tiles already use the cores. May be nested.

    A class, because it is entered several times an update, and costs a third of a generator.
    """

    def __enter__(self) -> None:
        global _blas_depth, _blas_limit, _blas_controller
        with _blas_lock:
            if _blas_controller is None:
                import scipy.linalg.cython_blas  # noqa: F401  the BLAS that compiled code calls, before it is looked for

                _blas_controller = ThreadpoolController()
            if _blas_depth == 0:
                _blas_limit = _blas_controller.limit(limits=1, user_api="blas")
            _blas_depth += 1

    def __exit__(self, *_: object) -> None:
        global _blas_depth
        with _blas_lock:
            _blas_depth -= 1
            if _blas_depth == 0:
                _blas_limit.restore_original_limits()
