"""Arguments of any structure as a list of named float arrays, and back."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.errors import CheckInputError


@dataclass(frozen=True)
class Structure:
    """How leaves hang together: an array, a tuple, a dict or a NamedTuple of arrays, nested at will.

    A plain tuple or list at the top is a list of positional arguments: the function is called as f(*x).
    """

    template: Any
    names: tuple[str, ...]

    @classmethod
    def of(cls, x: Any, f: Callable[..., Any] | None = None) -> tuple[Structure, list[Array]]:
        """The structure of x and its leaves; positional arguments are called as f calls them."""
        leaves = list(_leaves(x, ""))
        structure = cls(x, tuple(name for name, _ in leaves))
        if structure.positional and f is not None and (parameters := _parameters(f, len(x))):
            leaves = [pair for name, part in zip(parameters, x, strict=True) for pair in _leaves(part, name)]
            structure = cls(x, tuple(name for name, _ in leaves))
        return structure, [np.asarray(leaf) for _, leaf in leaves]

    @property
    def positional(self) -> bool:
        """Whether the function takes the leaves as separate arguments."""
        return isinstance(self.template, tuple | list) and not hasattr(self.template, "_fields")

    def build(self, leaves: list[Array]) -> Any:
        """The inverse of `of`."""
        remaining = iter(leaves)
        return _rebuilt(self.template, remaining)

    def call(self, f: Callable[..., Any], leaves: list[Array], *rest: Any) -> Any:
        """f at these leaves; `rest` follows them."""
        x = self.build(leaves)
        return f(*x, *rest) if self.positional else f(x, *rest)


def _parameters(f: Callable[..., Any], count: int) -> list[str]:
    """The names of f's first `count` positional parameters, or nothing where it has no such."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return names[:count] if len(names) >= count else []


def _leaves(x: Any, name: str) -> Any:
    if isinstance(x, dict):
        for key, part in x.items():
            yield from _leaves(part, f"{name}.{key}" if name else str(key))
    elif hasattr(x, "_fields"):
        for key in x._fields:
            yield from _leaves(getattr(x, key), f"{name}.{key}" if name else key)
    elif isinstance(x, tuple | list):
        for index, part in enumerate(x):
            yield from _leaves(part, f"{name}.{index}" if name else f"argument {index}")
    else:
        yield name, x


def _rebuilt(template: Any, remaining: Any) -> Any:
    if isinstance(template, dict):
        return {key: _rebuilt(part, remaining) for key, part in template.items()}
    if hasattr(template, "_fields"):
        return type(template)(*(_rebuilt(part, remaining) for part in template))
    if isinstance(template, tuple | list):
        return type(template)(_rebuilt(part, remaining) for part in template)
    return next(remaining)


def require_floats(structure: Structure, leaves: list[Array]) -> None:
    """Raise CheckInputError unless every leaf is a finite float32 or float64 array."""
    for name, leaf in zip(structure.names, leaves, strict=True):
        where = name or "x"
        if leaf.dtype not in (np.float32, np.float64):
            raise CheckInputError(
                f"{where} is {leaf.dtype}: derivatives need float32 or float64; close over what is not differentiated"
            )
        if not np.isfinite(leaf).all():
            raise CheckInputError(f"{where} holds {leaf[~np.isfinite(leaf)][0]}: a check needs finite arguments")


def like(structure: Structure, leaves: list[Array], value: Any, what: str) -> list[Array]:
    """The leaves of a derivative that must have the arguments' structure and shapes.

    Raises CheckInputError that names the leaf, the shape expected and the shape that came.
    """
    got = list(_leaves(value, ""))
    if len(got) != len(leaves):
        raise CheckInputError(f"{what} has {len(got)} arrays, the arguments have {len(leaves)}")
    arrays = []
    for name, leaf, (_, part) in zip(structure.names, leaves, got, strict=True):
        array = np.asarray(part)
        if array.shape != leaf.shape:
            hint = "; it is transposed" if array.ndim > 1 and array.shape == leaf.shape[::-1] else ""
            raise CheckInputError(f"{what} in {name or 'x'}: expected shape {leaf.shape}, got {array.shape}{hint}")
        if not np.isfinite(array).all():
            index = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
            raise CheckInputError(f"{what} in {name or 'x'} is {array[index]} at {list(index)}")
        arrays.append(array)
    return arrays


def outputs_of(value: Any) -> Array:
    """A result of any structure as a flat float64 vector."""
    return flat(Structure.of(value)[1])


def copies(leaves: list[Array]) -> list[Array]:
    """What a function may be given without harm."""
    return [leaf.copy(order="K") for leaf in leaves]


def flat(leaves: list[Array]) -> Array:
    """All numbers in a row, in float64."""
    return np.concatenate([np.asarray(leaf, float).ravel() for leaf in leaves] or [np.zeros(0)])


def inner(a: list[Array], b: list[Array]) -> float:
    """Σ a·b over all leaves, in float64."""
    return float(sum((x.astype(float) * y).sum() for x, y in zip(a, b, strict=True)))


def name_of(f: Any) -> str:
    """What a message calls f."""
    name = getattr(f, "__name__", type(f).__name__)
    return "f" if name == "<lambda>" else name
