"""What a program learns of Numba's compiler: that it begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any


@contextmanager
def when_compiling(act: Callable[[], object], kept: bool = False) -> Iterator[None]:
    """While inside, `act` once, before the first kernel is compiled; never where all come from Numba's cache.

    With `kept`, the first of minipg's own whose code other processes will find.
    """
    from numba.core import event

    class Listener(event.Listener):
        acted = False

        def on_start(self, begun: event.Event) -> None:
            if not self.acted and (not kept or _is_kept(begun.data["dispatcher"])):
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
    """While inside, `say` one line before the first kernel is compiled."""
    return when_compiling(lambda: say("compiling kernels; this happens on the first run only and takes about 20 s ..."))
