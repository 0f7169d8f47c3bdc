"""Ctrl-C, SIGTERM and a closed terminal, as a wish to stop that can wait for the end of an update."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextlib.contextmanager
def signals_heard(say: Callable[[str], None]) -> Iterator[Callable[[], int]]:
    """Within, the first signal is only remembered: the value is a function that gives its number, 0 before it comes.

    A second one raises KeyboardInterrupt at once, for whatever does not come to its end. Outside the main thread, and
    where somebody else handles them, signals are left alone.
    """
    came: list[int] = []

    def handler(number: int, frame: Any) -> None:
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt
        say("stopping after this update; Ctrl-C again stops at once")

    before = {}
    if threading.current_thread() is threading.main_thread():
        ours = (signal.default_int_handler, signal.SIG_DFL)
        before = {number: signal.getsignal(number) for number in _SIGNALS if signal.getsignal(number) in ours}
    for number in before:
        signal.signal(number, handler)
    try:
        yield lambda: came[0] if came else 0
    finally:
        for number, old in before.items():
            signal.signal(number, old)
