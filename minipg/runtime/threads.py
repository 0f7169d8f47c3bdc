"""The threads of a process, and how many of them BLAS may use."""

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
_NAP = 0.0002  # seconds


class Waiting(Protocol):
    """Kernels in which a thread waits without Python's lock: kernels/cpu/_spin_wait.py."""

    def spin_wait(self, flag: Any, value: int) -> None: ...
    def finish_and_wait(self, done: Any, posted: Any, value: int) -> None: ...


def available_threads() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Job(Generic[R]):
    """A call that another thread makes: `over` when it has ended, with its result or its error."""

    __slots__ = ("_arguments", "_call", "_error", "_result", "begun", "flag")

    def __init__(self, call: Callable[..., R], arguments: tuple[Any, ...]) -> None:
        self._call, self._arguments, self.begun = call, arguments, False
        self.flag, self._error = np.zeros(1, np.int64), None
        self._result: Any = None

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return bool(self.flag[0])

    def run(self) -> None:
        """Make the call, in this thread."""
        self.begun = True
        try:
            self._result = self._call(*self._arguments)
        except BaseException as error:
            self._error = error
        del self._call, self._arguments  # what they hold is not kept

    def wait(self, waiting: Waiting | None) -> None:
        """Return when the call has ended: spin for as long as a thread takes to wake, then sleep."""
        if waiting is not None and not self.flag[0]:
            waiting.spin_wait(self.flag, 0)
        while not self.flag[0]:
            time.sleep(_NAP)

    def result(self) -> R:
        """The call's result, or its error raised. For a job that is over."""
        if self._error is not None:
            raise self._error
        result: R = self._result
        return result


class Helpers:
    """`count` threads beside the caller's, started when there is work for them.

    A helper without work spins for a moment, in compiled code where there is some, before it sleeps: to wake a thread
    takes longer than many a job.
    """

    def __init__(self, count: int) -> None:
        self._count, self._threads = count, 0
        self._jobs: deque[Job[Any]] = deque()
        self._posted = np.zeros(16, np.int64)  # jobs so far; a cache line of its own
        self._awake, self._sleeping = threading.Condition(), 0

    def submit(self, waiting: Waiting | None, f: Callable[..., R], *args: Any) -> Job[R]:
        """`f(*args)` by the next free helper."""
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

    def take_back(self, job: Job[Any]) -> bool:
        """Take the job from the queue if no helper has it yet."""
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
                    with suppress(Exception):  # a helper that cannot wait there sleeps
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


_pools: dict[int, Helpers] = {}


def pool(threads: int) -> Helpers:
    """The helpers of a program with so many threads."""
    if threads not in _pools:
        _pools[threads] = Helpers(max(threads - 1, 1))
    return _pools[threads]


_blas_lock = threading.Lock()
_blas_depth = 0
_blas_limit: Any = None
_blas_controller: ThreadpoolController | None = None


def _begin_anew() -> None:
    """After a fork: threads and held locks are the parent's, so the child starts its own."""
    global _blas_lock, _blas_depth
    _pools.clear()
    _blas_lock = threading.Lock()
    if _blas_depth:
        _blas_depth = 0
        _blas_limit.restore_original_limits()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


class OneBlasThread:
    """BLAS on one thread while inside: tiles already use the cores. May be nested.

    A class, because it is entered several times an update, and a generator would cost three times as much.
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
