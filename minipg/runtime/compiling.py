"""What Numba's compiler does: the first compilation is announced, and its time is left out of rates."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

_ANNOUNCEMENT = (
    "compiling the kernels of this algorithm and these settings: 10 to 40 s, once; later runs find them in the cache"
)


@contextmanager
def when_compiling(act: Callable[[], object], kept: bool = False) -> Iterator[None]:
    """Within, call `act` once, before the first kernel is compiled; never if all kernels are in Numba's cache.

    With `kept`, only minipg's own kernels count, whose compiled code other processes find in the cache.
    """
    from numba.core import event

    class Listener(event.Listener):
        acted = False

        def on_start(self, started: event.Event) -> None:
            if not self.acted and (not kept or _is_kept(started.data["dispatcher"])):
                self.acted = True
                act()

        def on_end(self, _: event.Event) -> None:
            pass

    with event.install_listener("numba:compile", Listener()):
        yield


def _is_kept(dispatcher: Any) -> bool:
    from minipg.kernels.cpu._cache import KernelCache

    return isinstance(getattr(dispatcher, "_cache", None), KernelCache)  # a lifted loop has none


def announce_compiling(say: Callable[[str], None]) -> AbstractContextManager[None]:
    """Within, `say` one line before the first kernel is compiled."""
    return when_compiling(lambda: say(_ANNOUNCEMENT))


def working_time() -> float:
    """`time.perf_counter()` less the seconds in which this process has compiled kernels or loaded compiled ones.

    A difference of two values is the time of work alone, whether or not kernels were in the cache.
    """
    return time.perf_counter() - _compiler().seconds()


class _CompilerTime:
    """Seconds in which at least one thread has held Numba's compiler, or waited for another thread that held it."""

    def __init__(self) -> None:
        self._lock, self._total, self._since = threading.Lock(), 0.0, 0.0
        self._depths: dict[int, int] = {}  # of nested compilations, by thread

    def start(self) -> None:
        with self._lock:
            if not self._depths:
                self._since = time.perf_counter()
            thread = threading.get_ident()
            self._depths[thread] = self._depths.get(thread, 0) + 1

    def end(self) -> None:
        with self._lock:
            thread = threading.get_ident()
            self._depths[thread] = self._depths.get(thread, 1) - 1
            if not self._depths[thread]:
                self._leave(thread)

    def seconds(self) -> float:
        """The seconds so far, asked by a thread that does not compile."""
        if not self._depths:
            return self._total
        with self._lock:
            self._leave(threading.get_ident())  # an interrupted compilation may not have ended
            return self._total + (time.perf_counter() - self._since if self._depths else 0.0)

    def _leave(self, thread: int) -> None:
        if self._depths.pop(thread, None) is not None and not self._depths:
            self._total += time.perf_counter() - self._since


@cache
def _compiler() -> _CompilerTime:
    from numba.core import event

    compiler = _CompilerTime()

    class Listener(event.Listener):
        def on_start(self, _: event.Event) -> None:
            compiler.start()

        def on_end(self, _: event.Event) -> None:
            compiler.end()

    event.register("numba:compiler_lock", Listener())  # held while code is compiled, and while it is loaded
    return compiler
