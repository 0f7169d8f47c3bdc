"""Ctrl-C, SIGTERM and a closed terminal: raised as an error, or remembered until the current update ends."""

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
_TOGETHER = 1.0  # seconds within which several signals, other than Ctrl-C, count as one
_PATIENCE = 4  # how often a second signal is sent again to a main thread that does not react

_reactions: list[tuple[Callable[[int], None], str]] = []  # of the open contexts, the innermost last
_handled = 0  # signals that this process has reacted to


@contextlib.contextmanager
def signals_raised() -> Iterator[None]:
    """Within, each signal raises KeyboardInterrupt with its number, so that no file is left half-written."""

    def react(number: int) -> None:
        raise KeyboardInterrupt(number)

    with _reacting(react, "ended by force: what it was doing did not answer"):
        yield


@contextlib.contextmanager
def signals_deferred(say: Callable[[str], None], message: str = "ended by force") -> Iterator[Callable[[], int]]:
    """Within, the first signal is only remembered. Yields a function that returns its number, or 0 if none has come.

    A second signal raises KeyboardInterrupt at once, in case the current update never ends. If that is because C code
    does not return, the process is ended and `message` is its last line on standard error.
    """
    first, since = 0, 0.0

    def react(number: int) -> None:
        nonlocal first, since
        if not first:
            first, since = number, time.monotonic()
            say("stopping after this update; Ctrl-C again stops at once")
        # the end of a parent process sends one signal for each of its threads; Ctrl-C twice is never an accident
        elif number == signal.SIGINT or time.monotonic() - since > _TOGETHER:
            raise KeyboardInterrupt(number)

    with _reacting(react, message):
        yield lambda: first


def of_an_interrupt(error: BaseException | None) -> bool:
    """Whether this is a KeyboardInterrupt, or was raised while one unwound, as an interrupted compiler does."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


@contextlib.contextmanager
def _reacting(react: Callable[[int], None], message: str) -> Iterator[None]:
    """Within, signals call `react`. Outside the main thread, and under other handlers, nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _reactions.append((react, message))
    try:
        with contextlib.nullcontext() if len(_reactions) > 1 else _installed():
            yield
    finally:
        _reactions.pop()


@contextlib.contextmanager
def _installed() -> Iterator[None]:
    default = (signal.default_int_handler, signal.SIG_DFL)
    before = {number: signal.getsignal(number) for number in _SIGNALS if signal.getsignal(number) in default}
    (reader, writer), handled = socket.socketpair(), _handled
    writer.setblocking(False)
    for number in before:
        signal.signal(number, _handler)
    # the system's own handler writes every signal there, whatever the main thread is doing
    writer_before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    if hasattr(signal, "pthread_kill"):
        threading.Thread(target=_watch, args=(reader, {*before}, handled), daemon=True, name="minipg-signals").start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(writer_before)
        for number, old in before.items():
            signal.signal(number, old)
        writer.close()


def _handler(number: int, frame: Any) -> None:
    global _handled
    _handled += 1
    _reactions[-1][0](number)


def _watch(reader: socket.socket, numbers: set[int], handled: int) -> None:
    """End the process if the main thread does not react to a second signal: it is in C code that does not return."""
    count = 0
    with reader:
        while byte := reader.recv(1):
            count += byte[0] in numbers
            if count > 1 and _unresponsive(byte[0], handled + 1):
                shown = "\x1b[?25h\n" * sys.stderr.isatty()  # a live display hides the cursor
                os.write(2, f"{shown}minipg: {_reactions[-1][1]}\n".encode())
                os._exit(128 + byte[0])


def _unresponsive(number: int, first: int) -> bool:
    """Whether the main thread has handled no more than `first` signals, and handles none that is sent again."""
    for _ in range(_PATIENCE):
        time.sleep(1)
        if (handled := _handled) > first or not _reactions:
            return False
        # signals that arrive together are handled as one: only a new one shows whether the thread reacts
        signal.pthread_kill(threading.main_thread().ident or 0, number)
        time.sleep(0.5)
        if _handled > handled:
            return False
    return True
