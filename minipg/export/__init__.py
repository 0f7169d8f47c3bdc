"""A trained policy in a file that needs no minipg: a module of Python with NumPy, a C99 source, or an ONNX graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minipg.errors import ConfigError
from minipg.export.blueprint import Blueprint, blueprint_of
from minipg.runtime.files import write_whole

__all__ = ["FORMATS", "Blueprint", "blueprint_of", "export"]

FORMATS = (".py", ".c", ".onnx")


def export(agent: Any, path: str | Path) -> None:
    """Write the deterministic policy of an agent to `path`, in the format that its suffix names, whole or not at all.

    Observation statistics and the scaling of actions are part of it. Raises ConfigError for another suffix, and where
    the package `onnx` is missing.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ConfigError(f"{path}: expected a file that ends in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    content = _content(blueprint_of(agent), path.suffix)
    write_whole(path, lambda file: file.write(content))


def _content(policy: Blueprint, suffix: str) -> bytes:
    if suffix == ".py":
        from minipg.export.python_file import python_source

        return python_source(policy).encode()
    if suffix == ".c":
        from minipg.export.c_file import c_source

        return c_source(policy).encode()
    from minipg.export.onnx_file import onnx_model

    return onnx_model(policy)
