"""Opening, reading and writing the files of a run folder, which may be a stranger's.

A file is opened only if it is a regular one of a sane size, and links are not followed unless the caller has named one.
A file is written whole or not at all: to a temporary file beside the target, flushed to disk, then renamed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from minipg.errors import RunFolderError

_PLAIN = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_LINK, _NO_WAIT = getattr(os, "O_NOFOLLOW", 0), getattr(os, "O_NONBLOCK", 0)  # a pipe would be waited for
MOST_JSON = 1 << 20  # bytes


def open_regular(path: Path, most: int, links: bool = False) -> BinaryIO:
    """Open a regular file of at most `most` bytes to read it. Raises OSError, as for a missing one, for anything else.

    That is so for a link, too, unless `links`: the caller has named it.
    """
    return os.fdopen(_descriptor(path, os.O_RDONLY, most, links), "rb")


def open_appending(path: Path) -> BinaryIO:
    """Open a file to append to it, or a new one. Raises OSError for a link, and for what is not a regular file."""
    return os.fdopen(_descriptor(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab")


def open_new(path: Path) -> BinaryIO:
    """Open a new file in place of the one that is there. That is not written to: it may have a name elsewhere, too."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _PLAIN, 0o666), "wb")


def _descriptor(path: Path, flags: int, most: float = math.inf, links: bool = False) -> int:
    if not links and path.is_symlink():
        raise OSError(errno.ELOOP, "it is a link, which is not followed", str(path))
    descriptor = os.open(path, flags | _PLAIN | _NO_WAIT | (0 if links else _NO_LINK), 0o666)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if found.st_size > most:
        os.close(descriptor)
        raise OSError(errno.EFBIG, f"its {found.st_size:,} bytes are more than {most:,}", str(path))
    return descriptor


def require_no_link(folder: Path) -> None:
    """Raise RunFolderError for a link in place of a folder: what is written there would be somewhere else."""
    if folder.is_symlink():
        raise RunFolderError(f"{folder}: it is a link, which is not followed")


def read_json(path: Path) -> Any:
    """What `write_json` wrote. Raises OSError, ValueError or RecursionError."""
    with open_regular(path, MOST_JSON) as file:
        return json.loads(file.read().decode("utf-8"))


def last_lines(path: Path, most: int = 1 << 16) -> list[str]:
    """The lines in the last `most` bytes of a file; none if it is not there or cannot be read."""
    try:
        with open_regular(path, 1 << 62) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - most))
            return file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return []


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file, then rename it to `path`. Raises RunFolderError if that fails."""
    temporary: Path | None = path.parent / f".{path.name}.{os.urandom(4).hex()}"
    try:
        assert temporary is not None
        with open_new(temporary) as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        temporary = None
        _sync_folder(path.parent)
    except BaseException as error:
        if temporary is not None:
            with contextlib.suppress(OSError):  # it was renamed before the error, or never made
                os.unlink(temporary)
        if isinstance(error, OSError):
            raise cannot_write(path, error) from error
        raise


def _sync_folder(folder: Path) -> None:
    """Write the names in `folder` to the disk, if the system can, so that a renaming survives a power cut."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def cannot_write(path: Path, error: OSError) -> RunFolderError:
    """The error that names the file and the system's reason."""
    return RunFolderError(f"cannot write {path}: {error.strerror or error}")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON. Infinity and NaN, which JSON does not have, become null."""
    text = json.dumps(_finite(value), indent=2, allow_nan=False) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
