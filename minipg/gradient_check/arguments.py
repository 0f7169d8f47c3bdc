"""Arguments and results of any structure, as a list of named float arrays and back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.errors import CheckInputError


@dataclass(frozen=True)
class Structure:
    """The nesting of tuples, lists, dicts and NamedTuples around some arrays, the leaves.

    `names` and `paths` have one entry for each leaf: its name in messages, and its place in x as Python code.
    `positional`: x holds positional arguments, and the function is called as f(*x).
    """

    template: Any
    names: tuple[str, ...]
    paths: tuple[str, ...]
    positional: bool = False

    @classmethod
    def of(
        cls, x: Any, f: Callable[..., Any] | None = None, name: str = "x", more: int = 0
    ) -> tuple[Structure, list[Array]]:
        """The structure of x and its leaves as arrays.

        A plain tuple holds positional arguments if f accepts as many, with `more` behind them, and a list does if f
        requires several; else x is one argument. Arguments have the names of f's parameters; without f, x is `name`.
        """
        positional, names = _parameters(x, f, more) if f else (False, [name])
        if positional:
            parts = [(names[i] if i < len(names) else f"argument {i}", f"[{i}]", part) for i, part in enumerate(x)]
        else:
            named = isinstance(x, Mapping) or hasattr(x, "_fields")
            parts = [("" if named else names[0] if names else name, "", x)]
        leaves = [leaf for part in parts for leaf in _leaves(*part)]
        structure = cls(x, tuple(leaf[0] for leaf in leaves), tuple(leaf[1] for leaf in leaves), positional)
        return structure, [_array(name, leaf) for name, _, leaf in leaves]

    @property
    def parts(self) -> list[Any]:
        """The leaves as x holds them, which need not be arrays."""
        return [leaf for *_, leaf in _leaves("", "", self.template)]

    def build(self, leaves: list[Array]) -> Any:
        """The leaves nested as in the template: the inverse of `of`."""
        return _rebuilt(self.template, iter(leaves))

    def call(self, f: Callable[..., Any], leaves: list[Array], *rest: Any) -> Any:
        """f(x, *rest), where x has these leaves."""
        x = self.build(leaves)
        return f(*x, *rest) if self.positional else f(x, *rest)

    def leaves_of(self, value: Any, leaves: list[Array], what: str) -> list[Array]:
        """The leaves of `value`, which must match this structure and the shapes of `leaves`, and be finite.

        Dicts and NamedTuples are matched by name, whatever the order. Raises CheckInputError with `what` and the name
        of the leaf, what was expected and what came.
        """
        arrays = []
        for name, leaf, part in zip(self.names, leaves, _matched(self.template, value, what), strict=True):
            array = _array(f"{what} in {name}", part)
            if array.size == leaf.size == 1:
                array = array.reshape(leaf.shape)
            if array.shape != leaf.shape:
                hint = "; it is transposed" if array.ndim > 1 and array.shape == leaf.shape[::-1] else ""
                raise CheckInputError(f"{what} in {name}: expected shape {leaf.shape}, got {array.shape}{hint}")
            if array.dtype.kind not in "fiub":
                raise CheckInputError(f"{what} in {name}: expected real numbers, got {array.dtype}")
            if not np.isfinite(array).all():
                index = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
                raise CheckInputError(f"{what} in {name} is {array[index]} at {list(index)}")
            arrays.append(array)
        return arrays


def _parameters(x: Any, f: Callable[..., Any], more: int) -> tuple[bool, list[str]]:
    """True if x holds positional arguments of f, and the names of f's positional parameters."""
    positional = isinstance(x, tuple | list) and not hasattr(x, "_fields")
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):
        return positional, []
    named = [p for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    accepts = lambda *arguments: _succeeds(lambda: signature.bind(*arguments, *range(more)))
    if positional and accepts(x):
        positional = accepts(*x) and not (isinstance(x, list) and len(named) > more)
    return positional, [p.name for p in named]


def _succeeds(call: Callable[[], Any]) -> bool:
    try:
        call()
    except TypeError:
        return False
    return True


def _children(x: Any) -> list[tuple[Any, str, str, Any]] | None:
    """The parts of a container as (key, name, code, part), where name and code follow the container's; else None."""
    if isinstance(x, Mapping):
        return [(key, f".{key}", f"[{key!r}]", part) for key, part in x.items()]
    if hasattr(x, "_fields"):
        return [(key, f".{key}", f".{key}", getattr(x, key)) for key in x._fields]
    if isinstance(x, tuple | list):
        return [(i, f"[{i}]", f"[{i}]", part) for i, part in enumerate(x)]
    return None


def _leaves(name: str, path: str, x: Any) -> Iterator[tuple[str, str, Any]]:
    """Each leaf of x as (name, path, leaf)."""
    children = _children(x)
    if children is None:
        yield name, path, x
    for _, below, code, part in children or ():
        yield from _leaves((name + below).lstrip("."), path + code, part)


def _matched(template: Any, value: Any, what: str) -> Iterator[Any]:
    """The leaves of `value` in the order of the template's."""
    children = _children(template)
    if children is not None:
        for child, part in zip(children, _parts(template, [child[0] for child in children], value, what), strict=True):
            yield from _matched(child[3], part, what)
        return
    if isinstance(value, tuple | list) and len(value) == 1 and np.shape(value[0]) == np.shape(template):
        value = value[0]
    if isinstance(value, Mapping):
        raise CheckInputError(f"{what}: expected one array, got a {type(value).__name__}")
    yield value


def _parts(template: Any, keys: list[Any], value: Any, what: str) -> list[Any]:
    """The parts of `value` for the keys of a container: by name for a dict or NamedTuple, else by position."""
    named = value if isinstance(value, Mapping) else value._asdict() if hasattr(value, "_fields") else None
    if named is not None and (isinstance(template, Mapping) or hasattr(template, "_fields")):
        for problem, names in (
            ("has no entry", [key for key in keys if key not in named]),
            ("has an unknown entry", [key for key in named if key not in keys]),
        ):
            if names:
                raise CheckInputError(f"{what} {problem} {', '.join(map(repr, names))}")
        return [named[key] for key in keys]
    if isinstance(template, Mapping):
        raise CheckInputError(f"{what}: expected a dict of {', '.join(map(str, keys))}, got a {type(value).__name__}")
    numbers = getattr(value, "ndim", 0) == 1 and all(np.ndim(part) == 0 for part in template)
    parts = list(value) if numbers or isinstance(value, tuple | list) else [value]
    if len(keys) == 1 != len(parts):
        parts = [value]  # f(*x) with one argument need not return a tuple of one
    if len(parts) != len(keys):
        raise CheckInputError(f"{what} has {len(parts)} arrays, expected {len(keys)}")
    return parts


def _rebuilt(template: Any, leaves: Iterator[Array]) -> Any:
    children = _children(template)
    if children is None:
        return _as_type_of(template, next(leaves))
    parts = {key: _rebuilt(part, leaves) for key, _, _, part in children}
    if isinstance(template, Mapping):
        return parts
    return type(template)(*parts.values()) if hasattr(template, "_fields") else type(template)(parts.values())


def _as_type_of(template: Any, array: Array) -> Any:
    """The array as a tensor of the template's library, e.g. PyTorch or JAX, if it is not NumPy."""
    if isinstance(template, np.ndarray | np.generic):
        return array
    if hasattr(template, "new_tensor"):
        return template.new_tensor(array)
    return template.__array_namespace__().asarray(array) if hasattr(template, "__array_namespace__") else array


def _array(name: str, value: Any) -> Array:
    try:
        return np.asarray(value)
    except Exception as error:  # each library of tensors raises errors of its own
        raise CheckInputError(f"{name}: NumPy cannot read a {type(value).__name__}: {error}") from error


def require_floats(structure: Structure, leaves: list[Array]) -> None:
    """Raise CheckInputError unless every leaf is a finite float32 or float64 array."""
    for name, leaf in zip(structure.names, leaves, strict=True):
        if leaf.dtype not in (np.float32, np.float64):
            raise CheckInputError(
                f"{name} is {leaf.dtype}: expected float32 or float64; close over what is not differentiated"
            )
        if not np.isfinite(leaf).all():
            raise CheckInputError(f"{name} contains {leaf[~np.isfinite(leaf)][0]}: expected finite arguments")


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


def name_of(f: Any, unnamed: str = "f") -> str:
    """The name of f in messages; `unnamed` of a lambda."""
    f = getattr(f, "func", f)  # of a functools.partial
    name = getattr(f, "__name__", type(f).__name__)
    return unnamed if name == "<lambda>" else name
