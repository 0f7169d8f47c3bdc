"""The docstrings of the fields of a dataclass: for --help, and for help() of a config."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from itertools import pairwise
from typing import Any, TypeVar

from minipg.checks import declared_type

C = TypeVar("C", bound=type)


def field_docs(cls: type[Any]) -> dict[str, str]:
    """Field name → the docstring below it, on one line; without those of classes whose source is not at hand."""
    docs, names = {}, {field.name for field in dataclasses.fields(cls)}
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        try:
            (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        except (OSError, TypeError, SyntaxError):
            continue
        for field, below in pairwise(getattr(definition, "body", [])):
            text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and below.value.value
            name = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and field.target.id
            if name in names and isinstance(text, str):
                docs[name] = " ".join(text.split())
    return docs


class _Documented:
    """A `__doc__` that names every field. The source is read when somebody asks, not when the module is imported."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __get__(self, instance: Any, owner: type[Any]) -> str:
        docs = field_docs(owner)
        lines = [
            f"    {field.name}: {declared_type(field)} = {field.default!r}\n        {docs.get(field.name, '')}"
            for field in dataclasses.fields(owner)
        ]
        return "\n".join([self.text, "", *lines])


def documented(cls: C) -> C:
    """A class decorator, outside `dataclass`: help() of the class lists its fields with their docstrings."""
    cls.__doc__ = _Documented(cls.__doc__ or "")  # type: ignore[assignment]
    return cls
