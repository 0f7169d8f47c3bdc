"""The reader's file of a chapter: its text before anything is written, and the functions in it."""

from __future__ import annotations

import inspect
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

from minipg.errors import ConfigError
from minipg.exercises.exercise import Exercise

_SHEET = '''\
"""Exercise {chapter}: {title}.

Write the bodies of the two functions. Then this command checks them against differences:

    minipg exercise {chapter}

`minipg exercise {chapter} --solution` prints the library's own functions.
"""

{imports}

'''
_FUNCTION = '''
def {name}{signature}:
    """{text}
    """
    raise NotImplementedError
'''


def sheet(chapter: int, title: str, exercises: tuple[Exercise, ...]) -> str:
    """The text of the file: every function has its docstring and no body."""
    modules: dict[str, set[str]] = {}
    for tool in (tool for exercise in exercises for tool in exercise.tools):
        modules.setdefault(tool.__module__, set()).add(tool.__name__)
    imports = ["import numpy as np", *[""] * bool(modules)]
    imports += (f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(modules.items()))
    functions = (
        _FUNCTION.format(name=e.name, signature=_signature(e), text=indent(e.text, " " * 4).strip()) for e in exercises
    )
    return _SHEET.format(chapter=chapter, title=title, imports="\n".join(imports)) + "\n".join(functions)


def _signature(exercise: Exercise) -> str:
    return f"({', '.join(inspect.signature(exercise.solution).parameters)})"


def functions_in(path: Path) -> dict[str, Any]:
    """The names that the file defines; it is executed. Raises ConfigError with the line of a mistake in it."""
    try:
        return runpy.run_path(str(path))
    except SyntaxError as error:
        raise ConfigError(f"{path.name}, line {error.lineno}: {error.msg}") from None
    except OSError:
        raise
    except Exception as error:
        raise ConfigError(f"{path.name}: {type(error).__name__}: {error}") from None


def solution_text(exercise: Exercise) -> str:
    """The solution's source, and that of the library's functions behind it, each under its name."""
    parts = [f"# {exercise.name}: {', '.join(ids_of(exercise))}", inspect.getsource(exercise.solution)]
    for function in exercise.shown:
        parts += [f"# {full_name(function)}", dedent(inspect.getsource(function)) + "\n"]
    return "\n".join(parts)


def full_name(function: Callable[..., Any]) -> str:
    """Module and name of a function, for example minipg.kernels.reference.categorical.score."""
    return f"{function.__module__}.{function.__qualname__}"


def ids_of(exercise: Exercise) -> list[str]:
    """The ids of equations in an exercise's docstring."""
    return list(dict.fromkeys(re.findall(r"\b[A-Z]{2}-\d+[a-z]?\b", exercise.text)))
