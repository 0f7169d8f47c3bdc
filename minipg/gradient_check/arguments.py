"""Arguments of any structure, as a list of named float arrays and back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.errors import CheckInputError


@dataclass(frozen=True)
class Structure:
    """The nesting of tuples, lists, dicts and NamedTuples around some arrays, the leaves.

    A plain tuple or list at the top holds positional arguments: the function is called as f(*x).
    """

    template: Any
    names: tuple[str, ...]

    @classmethod
    def of(cls, x: Any, f: Callable[..., Any] | None = None) -> tuple[Structure, list[Array]]:
        """The structure of x and its leaves. Positional arguments get the names of f's parameters."""
        leaves = list(_leaves(x, ""))
        structure = cls(x, tuple(name for name, _ in leaves))
        if structure.positional and f is not None and (parameters := _parameters(f, len(x))):
            leaves = [pair for name, part in zip(parameters, x, strict=True) for pair in _leaves(part, name)]
            structure = cls(x, tuple(name for name, _ in leaves))
        return structure, [np.asarray(leaf) for _, leaf in leaves]

    @property
    def positional(self) -> bool:
        """True if the function takes the parts of x as separate arguments."""
        return isinstance(self.template, tuple | list) and not hasattr(self.template, "_fields")

    def build(self, leaves: list[Array]) -> Any:
        """The leaves nested as in the template: the inverse of `of`."""
        return _rebuilt(self.template, iter(leaves))

    def call(self, f: Callable[..., Any], leaves: list[Array], *rest: Any) -> Any:
        """f(x, *rest), where x has these leaves."""
        x = self.build(leaves)
        return f(*x, *rest) if self.positional else f(x, *rest)


def _parameters(f: Callable[..., Any], count: int) -> list[str]:
    """The names of f's first `count` positional parameters; empty if f has fewer or hides its signature."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return names[:count] if len(names) >= count else []


def _leaves(x: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Each leaf of x with its name, e.g. "layer.weight"."""
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


def _rebuilt(template: Any, leaves: Iterator[Array]) -> Any:
    if isinstance(template, dict):
        return {key: _rebuilt(part, leaves) for key, part in template.items()}
    if hasattr(template, "_fields"):
        return type(template)(*(_rebuilt(part, leaves) for part in template))
    if isinstance(template, tuple | list):
        return type(template)(_rebuilt(part, leaves) for part in template)
    return next(leaves)


def require_floats(structure: Structure, leaves: list[Array]) -> None:
    """Raise CheckInputError unless every leaf is a finite float32 or float64 array."""
    for name, leaf in zip(structure.names, leaves, strict=True):
        if leaf.dtype not in (np.float32, np.float64):
            raise CheckInputError(
                f"{name or 'x'} is {leaf.dtype}: expected float32 or float64; close over what is not differentiated"
            )
        if not np.isfinite(leaf).all():
            raise CheckInputError(f"{name or 'x'} contains {leaf[~np.isfinite(leaf)][0]}: expected finite arguments")


def leaves_like(structure: Structure, leaves: list[Array], value: Any, what: str) -> list[Array]:
    """The leaves of `value`, which must have the structure and shapes of the arguments, and be finite.

    Raises CheckInputError with the name of the leaf, the shape expected and the shape that came.
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


def copies(leaves: list[Array]) -> list[Array]:
    """Copies that a function may change without harm."""
    return [leaf.copy(order="K") for leaf in leaves]


def flat(leaves: list[Array]) -> Array:
    """All numbers in one float64 vector."""
    return np.concatenate([np.asarray(leaf, float).ravel() for leaf in leaves] or [np.zeros(0)])


def split_like(vector: Array, leaves: list[Array]) -> list[Array]:
    """A vector cut into arrays of the shapes of `leaves`: the inverse of `flat`."""
    cuts = np.cumsum([leaf.size for leaf in leaves])[:-1]
    return [part.reshape(leaf.shape) for part, leaf in zip(np.split(vector, cuts), leaves, strict=True)]


def inner(a: list[Array], b: list[Array]) -> float:
    """Σ a·b over all leaves, in float64."""
    return float(sum((x.astype(float) * y).sum() for x, y in zip(a, b, strict=True)))


def name_of(f: Any) -> str:
    """The name of f in messages."""
    name = getattr(f, "__name__", type(f).__name__)
    return "f" if name == "<lambda>" else name
