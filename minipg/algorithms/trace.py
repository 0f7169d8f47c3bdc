"""The order in which asynchronous workers touched what they share: recorded from a run, and repeated by one thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from minipg.runtime.engine import Engine, ThreadEngine


class Trace:
    """Records the copies and steps of an A3C agent's workers, or repeats those of `recorded`.

    agent.trace = Trace()                          # before learning: recorded, on threads
    other.trace = Trace(agent.trace.events)        # an agent made like `agent`: the same bits, on one thread

    An event is the number of a worker and "copy", "apply" or, at the end of an interval, "report". While they are
    recorded, only one worker copies or steps at a time.
    """

    def __init__(self, recorded: list[tuple[int, str]] | None = None) -> None:
        self._repeats, self.events = recorded is not None, list(recorded or [])
        self._lock = threading.Lock()

    def engine(self, make: Callable[..., Any], workers: int) -> Engine:
        """The engine of the workers that `make(number, turn=…)` makes."""
        if self._repeats:
            return _Repeating(make, workers, self.events)
        return ThreadEngine(lambda number: make(number, turn=self.turn), workers)

    @contextmanager
    def turn(self, worker: int, moment: str) -> Iterator[None]:
        """A worker's turn to copy or to step."""
        with self._lock:
            self.events.append((worker, moment))
            yield


class _Repeating:
    """An engine whose workers do what they did in the order of the events, on the caller's thread."""

    def __init__(self, make: Callable[[int], Any], workers: int, events: list[tuple[int, str]]) -> None:
        self.workers, self.busy = workers, set[int]()
        self._objects, self._events = [make(number) for number in range(workers)], iter(events)

    def submit(self, worker: int, method: str, *args: Any) -> None:
        """Begin an interval."""
        self._objects[worker].begin(*args)
        self.busy.add(worker)

    def next(self, timeout: float | None = None) -> tuple[int, Any] | None:
        """The report of a worker; before the first, all of them do what they did in the interval."""
        if len(self.busy) == self.workers:
            self._repeat()
        worker = self.busy.pop()
        return worker, self._objects[worker].report()

    def _repeat(self) -> None:
        reports = 0
        while reports < self.workers:
            number, moment = next(self._events)
            worker = self._objects[number]
            if moment == "copy":
                worker.copy()
            elif moment == "apply":
                worker.apply(worker.experience())
            else:
                reports += 1

    def restart(self, worker: int) -> None:
        """Never called: nothing is lost here."""

    def close(self) -> None:
        """Nothing to end."""
