"""Arrays and a description in one file: NumPy's npz and JSON, with a checksum. Nothing in it is ever executed.

Files are written whole or not at all: to a temporary file beside the target, flushed to disk, then renamed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.lib.format as npy

from minipg.checks import Array
from minipg.errors import AgentFileError, RunFolderError

_META = "meta.json"
_DIGEST = 64  # hexadecimal digits


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file, then rename it to `path`. Raises RunFolderError if that fails."""
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
        _sync_folder(path.parent)
    except BaseException as error:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):  # it was renamed before the error
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


def save_arrays(path: Path, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
    """Write `arrays` by name and `meta` as JSON to an npz whose comment is the SHA-256 of all bytes before it."""
    description = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **{_META: description}, **arrays)  # type: ignore[arg-type]
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = bytes(_DIGEST)
    content = buffer.getvalue()[:-_DIGEST]
    write_whole(path, lambda file: file.write(content + _digest(content)))


def load_arrays(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The inverse of `save_arrays`.

    Raises AgentFileError for a file that is missing, cut short, damaged, not minipg's, or that holds pickled objects.
    """
    try:
        content = path.read_bytes()
        if content[-_DIGEST:] != _digest(content[:-_DIGEST]):
            raise AgentFileError(f"{path}: damaged, cut short, or not a minipg agent file (its checksum is not right)")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            arrays = {entry.filename.removesuffix(".npy"): _array(archive, entry) for entry in archive.infolist()}
        meta = json.loads(arrays.pop(_META).tobytes().decode())
    except FileNotFoundError as error:
        raise AgentFileError(f"{path}: no such file") from error
    except AgentFileError:
        raise
    except Exception as error:  # a file with a right checksum may hold anything, and parsers raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise AgentFileError(f"{path}: damaged, or not a minipg agent file ({reason})") from error
    if not isinstance(meta, dict):
        raise AgentFileError(f"{path}: not a minipg agent file (its description is not an object)")
    return arrays, meta


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    """One array of an npz. Nothing is allocated from a claimed size alone: the bytes have to be there."""
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{entry.filename} is compressed")
    stream = io.BytesIO(archive.read(entry))
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(npy.read_magic(stream))
    if read_header is None:
        raise ValueError(f"{entry.filename} is of an unknown version")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a header that NumPy has to repair was not written by save_arrays
        shape, fortran, dtype = read_header(stream)
    if dtype.hasobject:
        raise ValueError(f"{entry.filename} holds pickled objects, which minipg never loads")
    numbers = stream.read()
    if math.prod(shape) * dtype.itemsize != len(numbers):
        raise ValueError(f"{entry.filename}: expected {dtype}{shape}, got {len(numbers)} bytes")
    return np.frombuffer(numbers, dtype).reshape(shape, order="F" if fortran else "C").copy()
