"""Arrays and a description in one file: NumPy's npz and JSON, with a checksum. Nothing in it is ever executed."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.lib.format as npy

from minipg.checks import Array
from minipg.errors import AgentFileError, RunFolderError
from minipg.runtime.files import open_regular, write_whole

_META = "meta.json"
_DIGEST = 64  # hexadecimal digits
_HEADER = 30  # bytes before an array, at least
_ZIP = b"PK\x03\x04"
_MOST, _MOST_META = 1 << 30, 1 << 24  # bytes of a file, and of its description


def save_arrays(path: Path, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
    """Write `arrays` by name and `meta` as JSON to an npz whose comment is the SHA-256 of all bytes before it."""
    description = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **{_META: description}, **arrays)  # type: ignore[arg-type]
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = bytes(_DIGEST)
    content = buffer.getvalue()[:-_DIGEST]
    if len(content) + _DIGEST > _MOST or description.size > _MOST_META:
        raise RunFolderError(f"cannot write {path}: {len(content):,} bytes are too many for the file of an agent")
    write_whole(path, lambda file: file.write(content + _digest(content)))


def load_arrays(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The inverse of `save_arrays`.

    Raises AgentFileError for a file that is missing, cut short, damaged, not minipg's, or that holds pickled objects.
    """
    try:
        with open_regular(path, _MOST, links=True) as file:
            arrays = _arrays(path, file)
        if (description := arrays.pop(_META)).size > _MOST_META:
            raise ValueError("its description is too long")
        meta = json.loads(description.tobytes().decode())
    except FileNotFoundError as error:
        raise AgentFileError(f"{path}: no such file") from error
    except AgentFileError:
        raise
    except Exception as error:  # a file with a right checksum may hold anything, and parsers raise anything
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        reason = " ".join(text.split()) or type(error).__name__
        raise AgentFileError(f"{path}: damaged, or not a minipg agent file ({reason})") from error
    if not isinstance(meta, dict):
        raise AgentFileError(f"{path}: not a minipg agent file (its description is not an object)")
    return arrays, meta


def _arrays(path: Path, file: BinaryIO) -> dict[str, Array]:
    """The arrays by name. Nothing is allocated from a claimed size alone: the bytes have to be there, once each."""
    if not _checked(file):
        raise AgentFileError(f"{path}: damaged, cut short, or not a minipg agent file (its checksum is not right)")
    file.seek(0)
    with zipfile.ZipFile(io.BytesIO(file.read())) as archive:
        entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
        ends = [entry.header_offset + entry.file_size + _HEADER for entry in entries]
        if any(end > entry.header_offset for end, entry in zip(ends, entries[1:], strict=False)):
            raise ValueError("its arrays overlap")
        return {entry.filename.removesuffix(".npy"): _array(archive, entry) for entry in entries}


def _checked(file: BinaryIO) -> bool:
    """Whether a file's checksum is right. It is read piece by piece, and not at all if it has none."""
    left = max(file.seek(0, os.SEEK_END) - _DIGEST, 0)
    file.seek(left)
    claimed = file.read()
    file.seek(0)
    if file.read(len(_ZIP)) != _ZIP or not re.fullmatch(rb"[0-9a-f]{%d}" % _DIGEST, claimed):
        return False
    file.seek(0)
    checksum = hashlib.sha256()
    while left and (piece := file.read(min(left, 1 << 20))):
        checksum.update(piece)
        left -= len(piece)
    return checksum.hexdigest().encode() == claimed


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    """One array of an npz."""
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
