"""The helper threads of a process, and the limit of one thread for BLAS."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

R = TypeVar("R")
_POLL_INTERVAL = 0.0002  # seconds of sleep between two checks of a job that has not ended


class Waiting(Protocol):
    """Kernels in which a thread waits without the GIL: kernels/cpu/_spin_wait.py."""

    def spin_wait(self, flag: Any, value: int) -> None: ...
    def finish_and_wait(self, done: Any, posted: Any, value: int) -> None: ...


def available_threads() -> int:
    """The number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Job(Generic[R]):
    """A function call on another thread. Once it is `over`, `result` returns its value or raises its error."""

    __slots__ = ("_arguments", "_call", "_error", "_result", "flag")

    def __init__(self, call: Callable[..., R], arguments: tuple[Any, ...]) -> None:
        self._call, self._arguments = call, arguments
        self.flag: Any = np.zeros(1, np.int64)
        self._error: BaseException | None = None
        self._result: Any = None

    @property
    def over(self) -> bool:
        """True if the call has ended."""
        return bool(self.flag[0])

    def run(self) -> None:
        """Make the call, in this thread."""
        try:
            self._result = self._call(*self._arguments)
        except BaseException as error:
            self._error = error
        del self._call, self._arguments  # release what they refer to

    def wait(self, waiting: Waiting | None) -> None:
        """Return when the call has ended: spin about as long as waking a thread takes, then sleep.

        An interrupt is raised only then, because the call may write to the caller's arrays.
        """
        interrupt = None
        while not self.flag[0]:
            try:
                if waiting is not None:
                    waiting.spin_wait(self.flag, 0)
                if not self.flag[0]:
                    time.sleep(_POLL_INTERVAL)
            except KeyboardInterrupt as error:
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def result(self) -> R:
        """Return the call's value, or raise its error. The job must be over."""
        if self._error is not None:
            raise self._error
        result: R = self._result
        return result


class Helpers:
    """At most `count` threads in addition to the caller's. A new one starts if a job is submitted and none is asleep.

    A helper without work spins for a while (in compiled code, if there is any) before it sleeps, because waking a
    sleeping thread takes longer than a short job.
    """

    def __init__(self, count: int) -> None:
        self._count, self._threads = count, 0
        self._jobs: deque[Job[Any]] = deque()
        self._posted = np.zeros(16, np.int64)  # jobs so far, on a separate cache line
        self._awake, self._sleeping = threading.Condition(), 0

    def submit(self, waiting: Waiting | None, f: Callable[..., R], *args: Any) -> Job[R]:
        """Run `f(*args)` on the next free helper; returns the job at once."""
        job = Job(f, args)
        self._jobs.append(job)
        self._posted[0] += 1
        if self._sleeping:
            with self._awake:
                self._awake.notify()
        elif self._threads < self._count:
            self._threads += 1
            threading.Thread(target=self._serve, args=(waiting,), name="minipg", daemon=True).start()
        return job

    def cancel(self, job: Job[Any]) -> bool:
        """Remove the job from the queue. False if a helper has started it already."""
        try:
            self._jobs.remove(job)
        except ValueError:
            return False
        return True

    def _serve(self, waiting: Waiting | None) -> None:
        done = np.zeros(1, np.int64)  # the flag of the last job
        while True:
            posted = int(self._posted[0])
            try:
                job = self._jobs.popleft()
            except IndexError:
                if waiting is not None:
                    with suppress(Exception):  # without the kernel it sleeps at once
                        waiting.finish_and_wait(done, self._posted, posted)
                done[0] = 1
                if self._posted[0] == posted:
                    with self._awake:
                        self._sleeping += 1
                        while not self._jobs:
                            self._awake.wait()
                        self._sleeping -= 1
                continue
            done[0] = 1
            job.run()
            done = job.flag
            del job


_pools: dict[tuple[int, bool], Helpers] = {}


def pool(threads: int, spins: bool) -> Helpers:
    """The helpers, `threads` − 1 or one, shared by all backends with the same `threads` and the same `spins`.

    `spins`: a helper without work spins in compiled code before it sleeps.
    """
    if (threads, spins) not in _pools:
        _pools.setdefault((threads, spins), Helpers(max(threads - 1, 1)))
    return _pools[threads, spins]


_blas_lock = threading.Lock()
_blas_depth = 0
_blas_limit: Any = None
_blas_controller: ThreadpoolController | None = None


def _reset_after_fork() -> None:
    """In the child of a fork: the parent's threads are gone and its locks may be held, so start with new ones."""
    global _blas_lock, _blas_depth
    _pools.clear()
    _blas_lock = threading.Lock()
    if _blas_depth:
        _blas_depth = 0
        _blas_limit.restore_original_limits()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)


class OneBlasThread:
    """A context in which BLAS uses one thread, because tiles use the cores already. It may be nested.

    A class, because it is entered several times per update, and a generator would take three times as long.
    """

    def __enter__(self) -> None:
        global _blas_depth, _blas_limit, _blas_controller
        with _blas_lock:
            if _blas_controller is None:
                import scipy.linalg.cython_blas  # noqa: F401  so that the controller finds the BLAS of compiled code

                _blas_controller = ThreadpoolController()
            if _blas_depth == 0:
                _blas_limit = _blas_controller.limit(limits=1, user_api="blas")
            _blas_depth += 1

    def __exit__(self, *_: object) -> None:
        global _blas_depth
        with _blas_lock:
            _blas_depth = max(_blas_depth - 1, 0)  # a child forked inside the context has begun at 0
            if _blas_depth == 0:
                _blas_limit.restore_original_limits()
