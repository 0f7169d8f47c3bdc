"""Engines: workers that answer calls, each on a thread or in a process of its own.

A worker is any object. `make(k)` makes worker k where it works; in a process it is sent there, so it must be picklable
(by cloudpickle). A worker has at most one call in flight, and every call has one answer: what the method returned, or
`Lost`, with the reason, if it raised or if its process ended.
"""

from __future__ import annotations

import logging
import pickle
import signal
import socket
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import wait
from queue import Empty, SimpleQueue
from typing import Any, Protocol

import cloudpickle

from minipg.errors import EnvironmentFault
from minipg.runtime.child import START_TIMEOUT, Child, Lost, answers, exit_if_unguarded
from minipg.runtime.messages import packed, receive, send
from minipg.runtime.progress import printable

RESTARTS = 10  # of one worker, with no answer between them

_warn = logging.getLogger("minipg").warning


class Engine(Protocol):
    """The four calls that an algorithm makes, and the workers with a call in flight."""

    workers: int
    busy: set[int]

    def submit(self, worker: int, method: str, *args: Any) -> None:
        """Call a method of a worker that is not busy; `next` gives the answer."""

    def next(self, timeout: float | None = None) -> tuple[int, Any] | None:
        """The number of a worker and its answer; None if none comes within `timeout` seconds."""

    def restart(self, worker: int) -> None:
        """Make a worker anew, after a Lost or while it is stuck. Until `next` gives its answer None it is busy."""

    def close(self) -> None:
        """End all workers."""


class ThreadEngine:
    """Each worker on a thread of this process: for kernels, which compute side by side there."""

    def __init__(self, make: Callable[[int], Any], workers: int) -> None:
        self.workers, self.busy = workers, set[int]()
        self._make, self._objects = make, [make(k) for k in range(workers)]
        self._answers: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        self._threads = ThreadPoolExecutor(workers, "minipg worker")

    def submit(self, worker: int, method: str, *args: Any) -> None:
        """See `Engine`."""
        self.busy.add(worker)
        call = getattr(self._objects[worker], method)
        self._threads.submit(lambda: self._answers.put((worker, answer_of(call, args))))

    def next(self, timeout: float | None = None) -> tuple[int, Any] | None:
        """See `Engine`."""
        try:
            worker, answer = self._answers.get(timeout=timeout)
        except Empty:
            return None
        self.busy.discard(worker)
        return worker, answer

    def restart(self, worker: int) -> None:
        """See `Engine`. A thread cannot be ended, so its call must have been answered."""
        self.busy.add(worker)
        self._objects[worker] = self._make(worker)
        self._answers.put((worker, None))

    def close(self) -> None:
        """See `Engine`."""
        self._threads.shutdown()


class ProcessEngine:
    """Each worker in a process of this machine: for environments that hold the interpreter, or may crash.

    Raises EnvironmentFault if a worker cannot be made.
    """

    def __init__(self, make: Callable[[int], Any], workers: int) -> None:
        exit_if_unguarded()
        self.workers, self.busy = workers, set[int]()
        self._make, self._children = make, dict[int, Child]()
        self._end = weakref.finalize(self, _end, self._children)
        try:
            for k in range(workers):
                self._start(k)
            for k, answer in answers(self._children, START_TIMEOUT):
                if isinstance(answer, Lost):
                    raise EnvironmentFault(f"worker {k} {answer.why} while it was made")
                self.busy.discard(k)
        except BaseException:
            self.close()
            raise

    def _start(self, worker: int) -> None:
        self._children[worker] = Child(_serve, worker, cloudpickle.dumps(self._make))
        self.busy.add(worker)

    def submit(self, worker: int, method: str, *args: Any) -> None:
        """See `Engine`."""
        self.busy.add(worker)
        self._children[worker].send((method, args))

    def next(self, timeout: float | None = None) -> tuple[int, Any] | None:
        """See `Engine`."""
        pipes = {self._children[k].pipe: k for k in self.busy}
        ready = wait(list(pipes), timeout)
        if not ready:
            return None
        worker = pipes[ready[0]]  # type: ignore[index]
        answer = self._children[worker].receive(time.monotonic() + START_TIMEOUT, Lost("stopped amid an answer"))
        self.busy.discard(worker)
        return worker, answer

    def restart(self, worker: int) -> None:
        """See `Engine`."""
        self._children[worker].end()
        self._start(worker)

    def close(self) -> None:
        """See `Engine`. The workers end with this object, too."""
        self._end()


ENGINES: dict[str, Callable[[Callable[[int], Any], int], Engine]] = {
    "processes": ProcessEngine,
    "threads": ThreadEngine,
}


class Losses:
    """Counts lost workers, and says so; after `RESTARTS` of one with no answer between them it raises."""

    def __init__(self, workers: int) -> None:
        self.total, self._in_a_row = 0, [0] * workers

    def note(self, worker: int, answer: Any) -> bool:
        """True if the worker is lost. Raises EnvironmentFault after too many."""
        if not isinstance(answer, Lost):
            if answer is not None:  # None says that it was made anew
                self._in_a_row[worker] = 0
            return False
        self.total += 1
        self._in_a_row[worker] += 1
        if self._in_a_row[worker] > RESTARTS:
            raise EnvironmentFault(f"worker {worker} {answer.why}, {self._in_a_row[worker]} times in a row")
        _warn(f"worker {worker} {answer.why}: it is made anew, with new episodes")
        return True


def answers_of_all(engine: Engine, losses: Losses, method: str, *args: Any) -> list[Any]:
    """Call a method of every worker. Returns the answers, at least one, in the order of the workers.

    A worker that is lost is made anew. It is called again if no other has answered by then.
    """
    answers, running, idle = dict[int, Any](), set[int](), set(range(engine.workers)) - engine.busy
    while running or idle or not answers:
        for worker in idle:
            engine.submit(worker, method, *args)
        running, idle = running | idle, set()
        if (came := engine.next()) is None:
            continue
        worker, answer = came
        running.discard(worker)
        if losses.note(worker, answer):
            engine.restart(worker)
        elif answer is not None:
            answers[worker] = answer
        elif not answers:
            idle = {worker}
    return [answers[worker] for worker in sorted(answers)]


def _end(children: dict[int, Child]) -> None:
    for child in children.values():
        child.end()


def answer_of(call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """What the call returns, or Lost if it raises."""
    try:
        return call(*args)
    except Exception as error:  # an environment may raise anything
        what = printable(" ".join(str(error).split()))
        return Lost(f"raised {type(error).__name__}: {what}")


def _serve(worker: int, make: bytes, pipe: socket.socket) -> None:
    """The program of a process: make the worker, and answer calls until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent
    made: list[Any] = []
    failed = answer_of(lambda: made.append(pickle.loads(make)(worker)), ())
    with suppress(EOFError, OSError):  # the parent has closed the pipe, or ended
        send(pipe, packed(failed))
        while made:
            method, args = receive(pipe)
            send(pipe, packed(answer_of(getattr(made[0], method), args)))
