"""While a command imports its modules: signals print one line, and garbage collection is off, which saves time."""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import PurePath
from types import FrameType, TracebackType

from minipg.runtime.modules import outside_working_folder

_MODULES = {"minipg", "minipg.cli"}


def is_command() -> bool:
    """Whether this process is `minipg ...` or `python -m minipg ...`, and not a program that imports minipg."""
    first = sys.argv[0] if getattr(sys, "argv", None) else ""
    return PurePath(first).stem == "minipg" or (first == "-m" and not _MODULES.isdisjoint(sys.orig_argv))


def _one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    print("minipg: interrupted", file=sys.stderr, flush=True)
    os._exit(128 + next((number for number in error.args if isinstance(number, int)), 2))


def stop(number: int, _: FrameType | None) -> None:
    """The handler of SIGTERM and SIGHUP while a command imports what it needs: as Python's own of Ctrl-C."""
    raise KeyboardInterrupt(number)


def _is_environment() -> bool:
    """Whether this is the process of an environment, which runs the script of its parent: that ends it."""
    module = sys.modules.get("multiprocessing.process")
    return getattr(module.current_process(), "_inheriting", False) if module else False


def collect_garbage_again() -> None:
    """Turn garbage collection on again. Objects made by imports are left out of it (gc.freeze)."""
    if is_command() and not gc.isenabled():
        gc.freeze()
        gc.enable()


def ignore_numbas_file() -> None:
    """Keep Numba from reading .numba_config.yaml in the working folder, which could name a cache of compiled code."""
    with outside_working_folder():
        from numba.core import config
    config._config_fname = os.devnull


if is_command():
    sys.excepthook = _one_line
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number and not _is_environment() and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, stop)
    if os.path.lexists(".numba_config.yaml"):
        ignore_numbas_file()
    gc.disable()  # collecting garbage takes a fifth of the import time, and imports leave hardly any
