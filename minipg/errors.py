"""The errors a caller can cause, each with a message that says what was expected and what came."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MinipgError(Exception):
    """Any error that minipg raises on purpose. The command line prints it in one line and exits with status 2."""


class ShapeError(MinipgError, ValueError):
    """An array of the wrong shape or kind of number."""


class ConfigError(MinipgError, ValueError):
    """A setting outside its range."""


class BackendError(MinipgError):
    """A backend that cannot compute on this machine."""


class UnknownNameError(MinipgError, LookupError):
    """A name that is not among the known ones."""


class EnvironmentFault(MinipgError):
    """An environment that cannot be made, cannot be used, or returned something impossible."""


class AgentFileError(MinipgError):
    """An agent file that is damaged, foreign, or does not fit."""


class RunFolderError(MinipgError):
    """A run folder that exists already, does not exist, or cannot be written."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that is not known: it lists the nearest known ones, or all of a short list."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or (names if len(names) <= 12 else [])
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return UnknownNameError(f"unknown {kind} {name!r}{hint}")
