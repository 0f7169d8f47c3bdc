"""Ctrl-C, SIGTERM and a closed terminal: as an error that unwinds, or as a wish to stop that can wait."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_TOGETHER = 1.0  # seconds: signals that nobody types, so near each other, are one wish
_PATIENCE = 4  # times that a second signal is repeated to a thread that does not notice it

_reactions: list[tuple[Callable[[int], None], str]] = []  # of the contexts that are open, the innermost last
_heard = 0  # signals to which this process has reacted


@contextlib.contextmanager
def signals_raised() -> Iterator[None]:
    """Within, each of the signals raises KeyboardInterrupt with its number, so that no file is left half-written."""

    def react(number: int) -> None:
        raise KeyboardInterrupt(number)

    with _reacting(react, "ended by force: what it was doing did not answer"):
        yield


@contextlib.contextmanager
def signals_heard(say: Callable[[str], None], last_words: str = "ended by force") -> Iterator[Callable[[], int]]:
    """Within, the first signal is only remembered: the value is a function that gives its number, 0 before it comes.

    A second one raises KeyboardInterrupt at once, for whatever does not come to its end; and where that is code in C
    that never returns, the process ends with these last words.
    """
    first, since = 0, 0.0

    def react(number: int) -> None:
        nonlocal first, since
        if not first:
            first, since = number, time.monotonic()
            say("stopping after this update; Ctrl-C again stops at once")
        # the end of a parent is told once for each of its threads; nobody presses Ctrl-C by mistake twice
        elif number == signal.SIGINT or time.monotonic() - since > _TOGETHER:
            raise KeyboardInterrupt(number)

    with _reacting(react, last_words):
        yield lambda: first


def of_an_interrupt(error: BaseException | None) -> bool:
    """Whether this is a KeyboardInterrupt, or was raised where one unwound, as a compiler does that is cut off."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


@contextlib.contextmanager
def _reacting(react: Callable[[int], None], last_words: str) -> Iterator[None]:
    """Outside the main thread, and where somebody else handles them, signals are left alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _reactions.append((react, last_words))
    try:
        with contextlib.nullcontext() if len(_reactions) > 1 else _installed():
            yield
    finally:
        _reactions.pop()


@contextlib.contextmanager
def _installed() -> Iterator[None]:
    ours = (signal.default_int_handler, signal.SIG_DFL)
    before = {number: signal.getsignal(number) for number in _SIGNALS if signal.getsignal(number) in ours}
    (watched, told), heard = socket.socketpair(), _heard
    told.setblocking(False)
    for number in before:
        signal.signal(number, _handler)
    # the system's own handler writes there, whatever the main thread is in
    told_before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    if hasattr(signal, "pthread_kill"):
        threading.Thread(target=_watch, args=(watched, {*before}, heard), daemon=True, name="minipg-signals").start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(told_before)
        for number, old in before.items():
            signal.signal(number, old)
        told.close()


def _handler(number: int, frame: Any) -> None:
    global _heard
    _heard += 1
    _reactions[-1][0](number)


def _watch(watched: socket.socket, numbers: set[int], heard: int) -> None:
    """End the process where the main thread stays deaf to a second signal: it is in C, and does not return."""
    came = 0
    with watched:
        while byte := watched.recv(1):
            came += byte[0] in numbers
            if came > 1 and _deaf(byte[0], heard + 1):
                shown = "\x1b[?25h\n" * sys.stderr.isatty()  # a live display hides the cursor
                os.write(2, f"{shown}minipg: {_reactions[-1][1]}\n".encode())
                os._exit(128 + byte[0])


def _deaf(number: int, first: int) -> bool:
    """Whether the main thread has heard no more than the `first` signal, and hears none that is repeated."""
    for _ in range(_PATIENCE):
        time.sleep(1)
        if (heard := _heard) > first or not _reactions:
            return False
        # signals that come together are heard as one: only a further one tells whether anybody listens
        signal.pthread_kill(threading.main_thread().ident or 0, number)
        time.sleep(0.5)
        if _heard > heard:
            return False
    return True
