"""Ctrl-C while a command is still being imported: one line and status 130, as at any later time."""

from __future__ import annotations

import os
import sys
from pathlib import PurePath
from types import TracebackType


def is_command() -> bool:
    """Whether this process is `minipg ...` or `python -m minipg.cli ...`, and not a program that imports minipg."""
    first = sys.argv[0] if getattr(sys, "argv", None) else ""
    return PurePath(first).stem == "minipg" or (first == "-m" and "minipg.cli" in sys.orig_argv)


def _one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    print("minipg: interrupted", file=sys.stderr, flush=True)
    os._exit(130)


if is_command():
    sys.excepthook = _one_line
