"""A process that answers calls of this one.

It starts empty: a fork would copy locks without the threads that hold them. It imports the script that started it, so
a script has to guard what it does with `if __name__ == "__main__":`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from typing import Any, NamedTuple

from minipg.errors import EnvironmentFault
from minipg.runtime.messages import packed, receive, send
from minipg.runtime.modules import outside_working_folder

START_TIMEOUT = 300.0  # seconds to start: the process may import a simulator
_GRACE = 1.0  # seconds for the rest of an answer whose first bytes have come
_UNGUARDED = 86  # exit status of a process that runs the script which started it
_GUARD = (
    "this run starts processes, and each of them runs the script again: guard what the script does with "
    'if __name__ == "__main__":'
)


class Lost(NamedTuple):
    """In place of an answer: why there is none."""

    why: str


class Child:
    """A process that runs `serve(*args, pipe)`: it answers what it receives through the pipe until that is closed.

    Raises EnvironmentFault if the script that starts it is not guarded.
    """

    def __init__(self, serve: Callable[..., None], *args: Any) -> None:
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        context: Any = multiprocessing.get_context(method)
        self.pipe, theirs = socket.socketpair()
        self._process = context.Process(target=serve, args=(*args, theirs), daemon=True)
        try:
            # what starts first, Python's own server, would import from the working folder
            with outside_working_folder(), _without_missing_script():
                self._process.start()
        except (ConnectionError, EOFError, FileNotFoundError) as error:
            # the server that forks them has ended: newer Pythons import an unguarded script there
            raise EnvironmentFault(_GUARD) from error
        finally:
            theirs.close()

    def send(self, message: Any, until: float = float("inf")) -> None:
        """Send a message before `until` (time.monotonic). A process that has ended says so in `receive`."""
        content = packed(message)
        with suppress(OSError):
            send(self.pipe, content, until)

    def receive(self, until: float, silent: Lost) -> Any:
        """The next answer; `silent` if it does not come before `until`, another Lost if the process has ended."""
        try:
            return receive(self.pipe, until)
        except TimeoutError:
            return silent
        except (EOFError, OSError):
            self._process.join(1)
            code = self._process.exitcode
            if code == _UNGUARDED:
                raise EnvironmentFault(_GUARD) from None
            if code is None or code >= 0:
                return Lost(f"ended its process (exit status {code})")
            return Lost(f"was killed by signal {-code} ({signal.strsignal(-code)})")

    def join(self, seconds: float) -> None:
        """Wait for the process to end by itself, as it does when its pipe is closed."""
        self._process.join(seconds)

    def end(self) -> None:
        """Kill the process, and wait until it is gone."""
        self.pipe.close()
        self._process.kill()
        self._process.join()


@contextmanager
def _without_missing_script() -> Iterator[None]:
    """Within, a program that was read from standard input has no file: a process would not find `<stdin>`."""
    main = vars(sys.modules["__main__"])
    if main.get("__file__") != "<stdin>":
        yield
        return
    del main["__file__"]
    try:
        yield
    finally:
        main["__file__"] = "<stdin>"


def exit_if_unguarded() -> None:
    """End this process if it is one of an unguarded script that runs the script: the first one reports it."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        os._exit(_UNGUARDED)


def answers(children: dict[int, Child], timeout: float) -> Iterable[tuple[int, Any]]:
    """The next answer of each of the children, by number, as they come; Lost where there is none."""
    silent = Lost(f"did not answer for {timeout:g} s")
    until, pipes = time.monotonic() + timeout, {child.pipe: n for n, child in children.items()}
    while pipes:
        ready = wait(list(pipes), None if until == float("inf") else max(0, until - time.monotonic()))
        for pipe in ready or list(pipes):
            n = pipes.pop(pipe)  # type: ignore[arg-type]
            deadline = max(until, time.monotonic() + _GRACE)  # the wait for others may have used up the time
            yield n, children[n].receive(deadline, silent) if ready else silent
