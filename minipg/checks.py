"""What every public function asks of its arrays before a kernel sees them."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minipg.errors import ConfigError, ShapeError

Array: TypeAlias = NDArray[Any]
_FLOATS = np.dtype(np.float32), np.dtype(np.float64)


def namespace(array: Any) -> Any:
    """The library whose functions act on an array: CuPy for its own, NumPy for all else."""
    cupy = sys.modules.get("cupy")
    return cupy if cupy is not None and isinstance(array, cupy.ndarray) else np


def as_array(name: str, value: Any, shape: tuple[int | None, ...], dtype: Any, xp: Any = np) -> Array:
    """`value` as a C-contiguous, writeable array of `dtype` and `shape` (None: any length), copied only if need be.

    It is one of the library `xp`. Raises ShapeError with the name, the shape expected and the shape that came.
    """
    array: Array
    if xp is np:
        ready = isinstance(value, np.ndarray) and value.dtype == dtype and value.flags.carray
        array = value if ready else np.require(value, dtype, ["C", "W"])
    else:
        array = xp.ascontiguousarray(xp.asarray(value, dtype))
    # the usual cases, soon told
    same = array.shape == shape or (array.ndim > 0 and shape == (None, *array.shape[1:]))
    if not same and (
        array.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, array.shape, strict=True))
    ):
        expected = (
            "(" + ", ".join("any" if n is None else str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"
        )
        raise ShapeError(f"{name}: expected shape {expected}, got {array.shape}")
    return array


def fitting(saved: dict[str, Array], like: dict[str, Array]) -> dict[str, Array]:
    """Copies of the saved arrays, which have the names, shapes and dtypes of those of `like`. Raises ShapeError."""
    if set(saved) != set(like):
        raise ShapeError(f"state: expected the arrays {', '.join(like)}, got {', '.join(map(str, saved))}")
    for name, array in like.items():
        if saved[name].dtype != array.dtype:
            raise ShapeError(f"{name}: expected {array.dtype}, got {saved[name].dtype}")
    return {name: as_array(name, saved[name], array.shape, array.dtype).copy() for name, array in like.items()}


def as_flat(name: str, value: Any, size: int, xp: Any = np) -> Array:
    """`value` as a flat float32 or float64 vector of `size` entries: what a parameter vector has to be."""
    array = xp.asarray(value)
    if array.dtype not in _FLOATS:
        raise ShapeError(f"{name}: expected float32 or float64, got {array.dtype}")
    return as_array(name, array, (size,), array.dtype, xp)


_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int, np.integer),
    "float": (int, float, np.integer, np.floating),
    "bool": (bool, np.bool_),
    "str": (str,),
    "int | None": (int, np.integer, type(None)),
    "float | None": (int, float, np.integer, np.floating, type(None)),
}


def require_types(config: Any) -> None:
    """Raise ConfigError for a field of a config dataclass whose value is not of the type it is declared with."""
    for field in dataclasses.fields(config):
        value, kind = getattr(config, field.name), str(field.type)
        values, kind = (value, "int") if kind == "tuple[int, ...]" else ((value,), kind)
        fits = isinstance(values, tuple) and all(
            isinstance(v, _KINDS[kind]) and (kind == "bool" or not isinstance(v, bool)) for v in values
        )
        require(fits, field.name, str(field.type), value)


def require(condition: bool, name: str, expected: str, got: Any) -> None:
    """Raise ConfigError unless `condition` holds."""
    if not condition:
        raise ConfigError(f"{name}: expected {expected}, got {got!r}")
