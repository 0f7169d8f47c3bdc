"""An engine whose workers are Ray's actors: on the machines of a cluster, or in processes of this one.

Ray is imported when an engine is made. Arrays come to a worker as read-only views of Ray's memory; see `unlocked`.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.errors import BackendError, EnvironmentFault, installing
from minipg.runtime.backend import first_line
from minipg.runtime.child import START_TIMEOUT, Lost
from minipg.runtime.engine import answer_of
from minipg.runtime.modules import installed_only, outside_working_folder

OLDEST = (2, 40)
_SHARED = 50_000  # bytes: a larger array is put into Ray's memory once, not sent to each worker
_PATIENCE = 10.0  # seconds for an address to answer
_KEPT = 4  # such arrays: the parameters of the policy and of the critic, now and before


_users = 0  # of the cluster that this process has begun


class RayEngine:
    """Each worker is an actor with one core of a Ray cluster. The calls are those of `Engine` (engine.py).

    address: see `connected`. Raises BackendError without a usable Ray, and EnvironmentFault if a worker cannot be made.
    """

    def __init__(self, make: Callable[[int], Any], workers: int, address: str = "auto") -> None:
        self._ray, self._own = connected(address, workers)
        self.workers, self.busy = workers, set[int]()
        # a worker that died is made anew by `restart` alone: Ray would call it again without its batch
        cores = 0 if self._own else 1  # on a cluster of this process alone, another agent's workers may have taken them
        options = {"num_cpus": cores, "max_restarts": 0, "max_task_retries": 0, "scheduling_strategy": "SPREAD"}
        self._actor = self._ray.remote(_Actor).options(**options)
        self._make, self._actors, self._calls = self._ray.put(make), dict[int, Any](), dict[Any, int]()
        self._stored: dict[int, tuple[Array, Any]] = {}
        try:
            for worker in range(workers):
                self._start(worker)
            self._await_all(time.monotonic() + START_TIMEOUT)
        except BaseException:
            self.close()
            raise

    def _start(self, worker: int) -> None:
        actor = self._actors[worker] = self._actor.remote(self._make, worker)
        self._calls[actor.ready.remote()] = worker
        self.busy.add(worker)

    def _await_all(self, until: float) -> None:
        while self.busy:
            event = self.next(max(0.0, until - time.monotonic()))
            if event is None:
                late, cores = ", ".join(map(str, sorted(self.busy))), self._ray.cluster_resources().get("CPU", 0)
                raise BackendError(
                    f"engine ray: no answer of worker {late} in {START_TIMEOUT:g} s: "
                    f"each of {self.workers} needs a core, and the cluster has {cores:g}"
                )
            if isinstance(event[1], Lost):
                raise EnvironmentFault(f"worker {event[0]} {event[1].why} while it was made")

    def submit(self, worker: int, method: str, *args: Any) -> None:
        """See `Engine`."""
        self.busy.add(worker)
        self._calls[self._actors[worker].call.remote(method, *map(self._sent, args))] = worker

    def _sent(self, argument: Any) -> Any:
        """The argument, or where a large array is in Ray's memory: there once for all workers."""
        if not isinstance(argument, np.ndarray) or argument.nbytes < _SHARED:
            return argument
        key = id(argument)
        if key not in self._stored:  # `_stored` keeps the array too, so its id is not used again
            while len(self._stored) >= _KEPT:
                del self._stored[next(iter(self._stored))]
            self._stored[key] = argument, self._ray.put(argument)
        return self._stored[key][1]

    def next(self, timeout: float | None = None) -> tuple[int, Any] | None:
        """See `Engine`."""
        ready, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=timeout)
        if not ready:
            return None
        worker = self._calls.pop(ready[0])
        try:
            answer = self._ray.get(ready[0])
        except self._ray.exceptions.RayError as error:  # of the actor, of its node, or of the network between
            answer = Lost(f"is lost ({type(error).__name__})")
        self.busy.discard(worker)
        return worker, answer

    def restart(self, worker: int) -> None:
        """See `Engine`."""
        self._calls = {ref: other for ref, other in self._calls.items() if other != worker}
        self._end(worker)
        self._start(worker)

    def _end(self, worker: int) -> None:
        with suppress(Exception):  # it is dead already, or the cluster is
            self._ray.kill(self._actors[worker])

    def close(self) -> None:
        """See `Engine`. A cluster that was begun here ends, too."""
        if self._ray.is_initialized():
            for worker in self._actors:
                self._end(worker)
            if self._own:
                release(self._ray)
        self._own = False
        self._actors.clear()


class _Actor:
    """A worker where Ray puts it."""

    def __init__(self, make: Callable[[int], Any], worker: int) -> None:
        made: list[Any] = []
        self._failed = answer_of(lambda: made.append(make(worker)), ())
        self._worker = made[0] if made else None

    def ready(self) -> Any:
        """None once the worker is made, or why it is not."""
        return self._failed

    def call(self, method: str, *args: Any) -> Any:
        """What the worker's method returns, or why it does not."""
        return answer_of(getattr(self._worker, method), tuple(map(unlocked, args)))


class _Memory:
    def __init__(self, array: Array) -> None:
        self._array = array  # keeps Ray's memory
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def unlocked(argument: Any) -> Any:
    """A read-only array as one that may be written, of the same memory; anything else unchanged.

    Numba compiles a kernel again for read-only arrays. Do not write to it: others read the same memory.
    """
    if not isinstance(argument, np.ndarray) or argument.flags.writeable:
        return argument
    return np.asarray(_Memory(argument))


def connected(address: str, cores: int) -> tuple[Any, bool]:
    """Ray, connected to a cluster, and whether that was begun here, with so many `cores`: then `release` it.

    address: `auto` is the cluster that this process is connected to, else the one at RAY_ADDRESS, else the one that
    runs on this machine, else a new one here; `local` is a new one; else HOST:PORT or ray://HOST:PORT of a cluster.
    Raises BackendError if Ray is not installed, too old, or cannot be reached.
    """
    global _users
    ray = _import_ray()
    if ray.is_initialized() and address in ("auto", "local"):
        _users += _users > 0
        return ray, _users > 0
    _users = 0
    address = os.environ.get("RAY_ADDRESS", address) if address == "auto" else address
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        with outside_working_folder(), installed_only(), signals_kept():
            if address == "auto":
                with suppress(ConnectionError):
                    ray.init("auto", **quiet)
                    return ray, False
            own = address in ("auto", "local")
            if not own:
                _require_answer(address)
            where = {"address": "local", "num_cpus": cores, "include_dashboard": False} if own else {"address": address}
            ray.init(**where, **quiet)
            _users = int(own)
            return ray, own
    except Exception as error:  # Ray raises ConnectionError, ValueError, RuntimeError, and what its libraries raise
        raise BackendError(f"engine ray: no cluster at {address}: {first_line(error)}") from error


@contextmanager
def signals_kept() -> Iterator[None]:
    """Within, Ray takes SIGTERM over, which would end a run without a checkpoint; afterwards it is as before."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def release(ray: Any) -> None:
    """Give back a cluster that was begun here: it ends when all have given it back."""
    global _users
    _users -= 1
    if not _users:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Raise OSError or ValueError unless something listens there: Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        raise ValueError("expected ray://HOST:PORT or HOST:PORT")
    socket.create_connection((host, int(port)), _PATIENCE).close()


def _import_ray() -> Any:
    try:
        with installed_only():
            ray = importlib.import_module("ray")
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise BackendError(f"engine ray: Ray cannot be imported: {first_line(error)}") from error
        raise BackendError(f"engine ray: Ray is not installed: {installing('ray')}") from error
    version = tuple(int(part) for part in ray.__version__.split(".")[:2])
    if version < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise BackendError(f"engine ray: expected Ray {oldest} or later, got {ray.__version__}")
    return ray
