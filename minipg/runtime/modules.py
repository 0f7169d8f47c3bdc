"""Where modules are imported from: the working folder may be a stranger's."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.machinery import PathFinder

_SAFE = "-P" if sys.version_info >= (3, 11) else "-I"  # nothing is put in front of the path
_lock, _here = threading.Lock(), threading.local()
_threads = 0  # that import what is installed only
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


def installed_only() -> AbstractContextManager[None]:
    """Within, in all threads, modules are not searched for in the working folder, although it may be on the path."""
    return _searching(True)


def as_the_caller() -> AbstractContextManager[None]:
    """Within, modules are searched for where the caller's own are, although this may be within `installed_only`."""
    return _searching(False)


def imports_for(module: str) -> AbstractContextManager[None]:
    """Within, what is imported for an installed module is installed, too. Any other module is the caller's own."""
    elsewhere = [entry for entry in sys.path if not _is_working_folder(entry)]
    return _searching(PathFinder.find_spec(module.partition(".")[0], elsewhere) is not None)


@contextmanager
def _searching(installed: bool) -> Iterator[None]:
    before = _search(installed)
    try:
        yield
    finally:
        _search(before)


def _search(installed: bool) -> bool:
    """Say whether this thread imports what is installed only. Returns what it said before."""
    global _threads
    with _lock:
        before, _here.installed = getattr(_here, "installed", False), installed
        others = _threads - before
        if installed and not _threads:
            _apart[:] = [(place, entry) for place, entry in enumerate(sys.path) if _is_working_folder(entry)]
            sys.path[:] = [entry for entry in sys.path if not _is_working_folder(entry)]
        if before and not installed and not others:
            for place, entry in _apart:
                sys.path.insert(place, entry)
        _threads = others + installed
        return before


def _is_working_folder(entry: str) -> bool:
    try:
        return not os.path.isabs(entry) or os.path.samefile(entry, os.getcwd())
    except OSError:  # there is no such folder
        return False
