"""Arrays and a description in one file: NumPy's npz and JSON. Nothing in it is ever executed.

Files are written whole or not at all: to a temporary file beside the target, flushed to disk, then renamed.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from minipg.checks import Array
from minipg.errors import AgentFileError, RunFolderError

_META = "meta.json"


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file, then make it `path` in one step. Raises RunFolderError where that fails."""
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise cannot_write(path, error) from error
        raise


def cannot_write(path: Path, error: OSError) -> RunFolderError:
    """The error that names the file and what the system said."""
    return RunFolderError(f"cannot write {path}: {error.strerror or error}")


def write_json(path: Path, value: Any) -> None:
    """`value` as indented JSON, which has no infinity and no NaN: they become null."""
    text = json.dumps(_finite(value), indent=2, allow_nan=False) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def save_arrays(path: Path, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
    """`arrays` by name and `meta` as JSON → `path`."""
    description = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    write_whole(path, lambda file: np.savez(file, **{_META: description}, **arrays))  # type: ignore[arg-type]


def load_arrays(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The inverse of `save_arrays`.

    Raises AgentFileError for a file that is missing, cut short, damaged, not minipg's, or that holds pickled objects.
    """
    try:
        if path.is_file() and not zipfile.is_zipfile(path):
            raise AgentFileError(f"{path}: cut short, or not a minipg agent file")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(arrays.pop(_META).tobytes().decode())
    except FileNotFoundError as error:
        raise AgentFileError(f"{path}: no such file") from error
    except KeyError as error:
        raise AgentFileError(f"{path}: not a minipg agent file (it has no {_META})") from error
    except ValueError as error:
        pickled = "pickle" in str(error)
        reason = "it holds pickled objects, which minipg never loads" if pickled else f"damaged ({error})"
        raise AgentFileError(f"{path}: {reason}") from error
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, AttributeError) as error:
        raise AgentFileError(f"{path}: damaged or cut short ({error})") from error
    if not isinstance(meta, dict):
        raise AgentFileError(f"{path}: not a minipg agent file (its description is not an object)")
    return arrays, meta
