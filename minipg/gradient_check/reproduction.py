"""Code that reproduces a wrong entry of a gradient by one difference."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.arguments import Structure, name_of

_SMALL = 60  # arguments of up to this many numbers are written out


def snippet(
    f: Callable[..., Any],
    gradient: Callable[..., Any],
    structure: Structure,
    leaves: Sequence[Array],
    entry: tuple[int, tuple[int, ...]],
    step: float,
) -> str:
    """Code that prints the difference quotient of f over `step` and the entry of gradient(x), side by side.

    Functions that can be imported are; others are named f and gradient, with a comment on what they are. Large
    arguments, NamedTuples and tensors are taken from the exception, as `error.x`.
    """
    (of, of_import), (df, df_import) = _reference(f, "f"), _reference(gradient, "gradient")
    literal = _literal(structure.template, iter(leaves)) if sum(leaf.size for leaf in leaves) <= _SMALL else ""
    x = "*x" if structure.positional else "x"
    index, path = f"[{', '.join(map(str, entry[1])) or '()'}]", structure.paths[entry[0]]
    moved = f"x{path}{index}"
    if structure.positional and len(structure.template) == 1:
        path = path.removeprefix("[0]")  # gradient(*x) with one argument returns no tuple
    result = f"np.asarray({df}({x}){path}){index}"
    lines = [
        "import numpy as np",
        *dict.fromkeys(filter(None, (of_import, df_import))),
        f"x = {literal}" if literal else "x = error.x  # `error` is the exception",
        f"a, h = float({moved}), {step:.3g}",
        f"{moved} = a + h; right, up = float({moved}), np.asarray({of}({x})).item()",
        f"{moved} = a - h; left, down = float({moved}), np.asarray({of}({x})).item()",
        f"{moved} = a",
        f"print((up - down) / (right - left), {result})",
    ]
    return "\n".join(lines)


def _reference(f: Any, otherwise: str) -> tuple[str, str]:
    """The name of f in the code, and the line that imports or describes it."""
    name, qualified = getattr(f, "__name__", ""), getattr(f, "__qualname__", "")
    module = getattr(f, "__module__", None) or ""
    if name.isidentifier() and qualified == name:
        importable = module != "__main__" and getattr(sys.modules.get(module), name, None) is f
        return name, f"from {module} import {name}" if importable else ""
    if name.isidentifier() and qualified.endswith(f"<locals>.{name}"):
        return name, ""
    if name == "<lambda>":
        return otherwise, ""
    kind = "functools.partial of " if isinstance(f, functools.partial) else ""
    return otherwise, f"# {otherwise}: {kind}{qualified or name_of(f)}"


def _literal(template: Any, leaves: Iterator[Array]) -> str:
    """Python code for x, or "" if it has parts other than dicts, lists, tuples and NumPy's arrays."""
    if isinstance(template, np.ndarray | np.generic | float):
        array = next(leaves)
        text = np.array2string(array, separator=", ", threshold=10**9, floatmode="unique", max_line_width=100)
        return f"np.array({text}, np.{array.dtype})"
    if type(template) not in (dict, list, tuple):
        return ""
    parts = [_literal(part, leaves) for part in (template.values() if isinstance(template, Mapping) else template)]
    if not all(parts):
        return ""
    if isinstance(template, Mapping):
        return "{" + ", ".join(f"{key!r}: {part}" for key, part in zip(template, parts, strict=True)) + "}"
    return f"[{', '.join(parts)}]"
