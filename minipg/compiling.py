"""What a program learns of Numba's compiler: that it begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager


@contextmanager
def when_compiling(act: Callable[[], object]) -> Iterator[None]:
    """While inside, `act` once, before the first kernel is compiled; never where all come from Numba's cache."""
    from numba.core import event

    class Listener(event.Listener):
        acted = False

        def on_start(self, _: event.Event) -> None:
            if not self.acted:
                self.acted = True
                act()

        def on_end(self, _: event.Event) -> None:
            pass

    with event.install_listener("numba:compile", Listener()):
        yield


def announce_compiling(say: Callable[[str], None]) -> AbstractContextManager[None]:
    """While inside, `say` one line before the first kernel is compiled."""
    return when_compiling(lambda: say("compiling kernels; this happens on the first run only and takes about 20 s ..."))
