"""Checks of arguments and settings."""

from __future__ import annotations

import ast
import dataclasses
import sys
from typing import Any, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from minipg.errors import ConfigError, ShapeError

Array: TypeAlias = NDArray[Any]
_BYTES = np.dtype(np.uint8), np.dtype(np.int8)
_FLOATS = np.dtype(np.float32), np.dtype(np.float64)


def namespace(array: Any) -> Any:
    """The library of an array: cupy for a CuPy array, numpy for anything else."""
    cupy = sys.modules.get("cupy")
    return cupy if cupy is not None and isinstance(array, cupy.ndarray) else np


def as_array(name: str, value: Any, shape: tuple[int | None, ...], dtype: Any, xp: Any = np) -> Array:
    """`value` as a C-contiguous, writeable array of `dtype` and `shape` (None: any length), copied only if necessary.

    `xp` is the library of the result. Raises ShapeError with the name, the shape expected and the shape found.
    """
    array: Array
    if xp is np:
        ready = isinstance(value, np.ndarray) and value.dtype == dtype and value.flags.carray
        array = value if ready else np.require(value, dtype, ["C", "W"])
    else:
        array = xp.ascontiguousarray(xp.asarray(value, dtype))
    # the two usual cases first, because this runs in every step
    same = array.shape == shape or (array.ndim > 0 and shape == (None, *array.shape[1:]))
    if not same and (
        array.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, array.shape, strict=True))
    ):
        expected = (
            "(" + ", ".join("any" if n is None else str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"
        )
        raise ShapeError(f"{name}: expected shape {expected}, got {array.shape}")
    return array


def as_rows(name: str, value: Any, columns: int, dtype: Any, xp: Any = np) -> Array:
    """Observations (any, columns) as an array of `dtype`. Bytes (int8, uint8) stay bytes: networks take both."""
    kind = getattr(value, "dtype", None)
    return as_array(name, value, (None, columns), kind if kind in _BYTES else dtype, xp)


def fitting(saved: dict[str, Array], like: dict[str, Array]) -> dict[str, Array]:
    """Copies of the `saved` arrays. Raises ShapeError unless they have the names, shapes and dtypes of `like`."""
    if set(saved) != set(like):
        raise ShapeError(f"state: expected the arrays {', '.join(like)}, got {', '.join(map(str, saved))}")
    for name, array in like.items():
        if saved[name].dtype != array.dtype:
            raise ShapeError(f"{name}: expected {array.dtype}, got {saved[name].dtype}")
    return {name: as_array(name, saved[name], array.shape, array.dtype).copy() for name, array in like.items()}


def as_flat(name: str, value: Any, size: int, xp: Any = np) -> Array:
    """A parameter vector: `value` as `size` entries of float32 or float64. Raises ShapeError for any other dtype."""
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


def declared_type(field: dataclasses.Field[Any]) -> str:
    """The declared type of a field as text, whether its module postpones annotations or not."""
    kind = field.type
    if isinstance(kind, type) and not get_args(kind):
        return kind.__name__
    return kind if isinstance(kind, str) else str(kind)


def choices_of(field: dataclasses.Field[Any]) -> tuple[str, ...]:
    """The texts that a field may hold: those of its declared Literal. () for any other type."""
    kind, bracket, texts = declared_type(field).partition("[")
    return ast.literal_eval(f"({texts[:-1]},)") if bracket and kind.endswith("Literal") else ()


def require_types(config: Any) -> None:
    """Check every field of a config dataclass against its declared type, and turn NumPy scalars into Python numbers.

    Lists and arrays become tuples where a tuple is declared. Raises ConfigError.
    """
    for field in dataclasses.fields(config):
        value, declared, choices = getattr(config, field.name), declared_type(field), choices_of(field)
        if choices:
            expected = f"{', '.join(choices[:-1])} or {choices[-1]}"
            require(isinstance(value, str) and value in choices, field.name, expected, value)
            continue
        several = declared in ("tuple[int, ...]", "tuple[str, ...]")
        if several and isinstance(value, list | np.ndarray):
            value = tuple(value)
        expected = declared
        schedule = next((s for s in ("schedule", "vf_schedule") if hasattr(config, s)), None)
        if callable(value) and schedule:  # stable-baselines3 takes such a learning rate
            expected += f"; {schedule}='linear' lowers rates over the run"
        values, kind = (value, declared[6:9]) if several else ((value,), declared)
        require(
            kind in _KINDS,
            field.name,
            f"a field of type {', '.join(_KINDS)}, tuple[int, ...], tuple[str, ...] or Literal of texts",
            declared,
        )
        fits = isinstance(values, tuple) and all(
            isinstance(v, _KINDS[kind]) and (kind == "bool" or not isinstance(v, bool)) for v in values
        )
        require(fits, field.name, expected, value)
        object.__setattr__(config, field.name, tuple(map(_as_python, values)) if several else _as_python(value))


def _as_python(value: Any) -> Any:
    """A NumPy scalar as a Python number, which JSON can hold."""
    for kind, python in ((np.bool_, bool), (np.integer, int), (np.floating, float)):
        if isinstance(value, kind):
            return python(value)
    return value


def as_int(name: str, value: Any, least: int = 0) -> int:
    """`value` as a Python integer. Raises ConfigError unless it is an integer, of Python or NumPy, ≥ `least`."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    require(whole and value >= least, name, f"an integer ≥ {least}", value)
    return int(value)


def require(condition: bool, name: str, expected: str, got: Any) -> None:
    """Raise ConfigError unless `condition` holds."""
    if not condition:
        raise ConfigError(f"{name}: expected {expected}, got {got!r}")
