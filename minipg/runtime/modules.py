"""Where modules are imported from: the working folder may be a stranger's."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.machinery import PathFinder

_SAFE = "-P" if sys.version_info >= (3, 11) else "-I"  # nothing is put in front of the path
_lock, _depth = threading.Lock(), 0
_apart: list[tuple[int, str]] = []  # entries of sys.path that `installed_only` has taken out


def python_command(code: str, *args: str) -> list[str]:
    """The command of another Python that runs `code` with the arguments `args`, and finds the modules of this process.

    `python -m` and `python -c` would search the working folder first. This one searches it only if this process does.
    """
    path = [entry for entry in sys.path if isinstance(entry, str)]
    return [sys.executable, _SAFE, "-c", f"import sys; sys.path[:] = {path!r}; {code}", *args]


@contextmanager
def outside_working_folder() -> Iterator[None]:
    """Within, the root is the working folder: for what reads settings, or begins to import, in the working folder."""
    try:
        before = os.getcwd()
    except FileNotFoundError:  # it was removed, so there is nothing in it
        yield
        return
    os.chdir(os.path.abspath(os.sep))
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def installed_only() -> Iterator[None]:
    """Within, in all threads, modules are not searched for in the working folder, although it may be on the path."""
    global _depth
    with _lock:
        if _depth == 0:
            _apart[:] = [(place, entry) for place, entry in enumerate(sys.path) if _is_working_folder(entry)]
            sys.path[:] = [entry for entry in sys.path if not _is_working_folder(entry)]
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                for place, entry in _apart:
                    sys.path.insert(place, entry)


def imports_for(module: str) -> AbstractContextManager[None]:
    """Within, what is imported for an installed module is installed, too. Nothing changes for any other module."""
    elsewhere = [entry for entry in sys.path if not _is_working_folder(entry)]
    return installed_only() if PathFinder.find_spec(module.partition(".")[0], elsewhere) else nullcontext()


def _is_working_folder(entry: str) -> bool:
    try:
        return not os.path.isabs(entry) or os.path.samefile(entry, os.getcwd())
    except OSError:  # there is no such folder
        return False
