"""While a command imports its modules: Ctrl-C prints one line, and garbage collection is off, which saves time."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import PurePath
from types import TracebackType

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
    os._exit(130)


def collect_garbage_again() -> None:
    """Turn garbage collection on again. Objects made by imports are left out of it (gc.freeze)."""
    if is_command() and not gc.isenabled():
        gc.freeze()
        gc.enable()


if is_command():
    sys.excepthook = _one_line
    gc.disable()  # collecting garbage takes a fifth of the import time, and imports leave hardly any
