"""The chief's calls of its workers: one in flight a worker, each tagged with a version.

A call is over as soon as enough workers have answered it. What the others answer later is discarded and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minipg.algorithms.dppo_worker import Answer, Report, Worker
from minipg.errors import EnvironmentFault
from minipg.runtime.engine import Engine, Losses


class Calls:
    """Calls of W workers, of which D may be late: each returns with the first W − D answers.

    Every version is given out once, so an answer of an earlier call is known by its version and never used.
    `seed_of(worker, restarts)` is the seed of a worker that begins.

    Attributes: `reports`, one of each batch of this update; `drops`, the discarded answers of each worker; `losses`.
    """

    def __init__(self, engine: Engine, drop: int, seed_of: Callable[[int, int], int]) -> None:
        workers = engine.workers
        self.reports: list[Report] = []
        self.drops, self.losses = [0] * workers, Losses(workers)
        self._engine, self._wanted, self._seed_of = engine, workers - drop, seed_of
        self._version = self._collecting = 0  # of the latest call, and of the latest call to collect
        self._call: tuple[str, tuple[Any, ...]] | None = None
        self._arguments: tuple[Any, ...] = ()  # of the latest call to collect
        self._answers: dict[int, Any] = {}
        self._ready: set[int] = set()  # workers whose batch is of this update
        self._asked: set[int] = set()  # those of them that the latest call waits for
        self._missing: set[int] = set()  # workers that have not answered since they were lost
        self._restarts = [0] * workers

    def collect(self, *args: Any) -> list[Report]:
        """Begin an update: the reports of the first W − D batches. Later ones join from the next call on."""
        self._version += 1
        self._call, self._collecting, self._arguments = None, self._version, args
        self.reports, self._ready = [], set()
        for worker in range(self._engine.workers):
            self._employ(worker)
        self._await_batches()
        return self.reports

    def all(self, method: str, *args: Any) -> dict[int, Any]:
        """Call a method of every worker with a batch of this update: the first W − D answers, in the workers' order.

        A worker that is lost meanwhile is not waited for.
        """
        self._version += 1
        self._call, self._answers = (method, args), {}
        while not self._answers:
            if not self._ready:  # all are lost: their successors begin this update anew
                self._await_batches()
            self._asked = set(self._ready)
            for worker in sorted(self._asked):
                self._employ(worker)
            self._handle_until(lambda: len(self._answers) >= min(self._wanted, len(self._asked)))
        self._call = None
        return dict(sorted(self._answers.items()))

    def close(self) -> None:
        """End the workers."""
        self._engine.close()

    def _await_batches(self) -> None:
        others = lambda: self._engine.workers - len(self._missing)
        self._handle_until(lambda: len(self._ready) >= max(1, min(self._wanted, others())))

    def _handle_until(self, enough: Callable[[], bool]) -> None:
        while not enough():
            event = self._engine.next()
            if event is not None:
                self._handle(*event)

    def _handle(self, worker: int, answer: Any) -> None:
        # a batch does not count as an answer: a worker that is lost in every gradient would be called for ever
        reported = isinstance(answer, Answer) and isinstance(answer.content, Report)
        if not reported and self.losses.note(worker, answer):
            for workers in (self._ready, self._asked):
                workers.discard(worker)
            self._missing.add(worker)
            self._restarts[worker] += 1
            self._engine.restart(worker)
        elif answer is None:  # it has been made anew
            self._employ(worker)
        elif isinstance(answer.content, EnvironmentFault):
            raise EnvironmentFault(f"worker {worker}: {answer.content}")
        else:
            self._missing.discard(worker)
            self._accept(worker, *answer)

    def _accept(self, worker: int, version: int, content: Any) -> None:
        if version == self._collecting and isinstance(content, Report):
            self.reports.append(content)
            self._ready.add(worker)  # for the next call
        elif version == self._version:
            self._answers[worker] = content
        else:
            self.drops[worker] += 1
            self._employ(worker)

    def _employ(self, worker: int) -> None:
        """Send a worker that has no call in flight what there is to do for it."""
        if worker in self._engine.busy:
            return
        if worker not in self._ready:
            seed = self._seed_of(worker, self._restarts[worker])
            self._engine.submit(worker, "collect", self._collecting, seed, *self._arguments)
        elif self._call is not None:
            method, args = self._call
            self._engine.submit(worker, method, self._version, *args)


class Alone:
    """The calls of one worker in this thread, which has its batch already."""

    def __init__(self, worker: Worker, report: Report) -> None:
        self._worker, self.reports, self.drops, self.losses = worker, [report], [0], Losses(1)

    def all(self, method: str, *args: Any) -> dict[int, Any]:
        """The answer of the worker."""
        return {0: getattr(self._worker, method)(0, *args).content}
