"""Loops that are written once and compiled with the functions of each module that has them."""

from importlib import import_module
from types import FunctionType
from typing import Any


def compiled_with(
    function: Any, module: str, names: tuple[str, ...], jit: Any, variant: str = "", **others: Any
) -> Any:
    """`function` compiled by `jit` with that module's functions of these names, and `others`, in place of its globals.

    Compiled code cannot be handed a module, a test at every step would have all of them compiled where one is needed,
    and Numba keeps no closure over compiled functions. Copies that differ in `others` alone differ in `variant`, too.
    """
    own = import_module(module)
    scope = {**function.__globals__, **{name: getattr(own, name) for name in names}, **others}
    copy = FunctionType(function.__code__, scope, f"{function.__name__}_{module.rpartition('.')[2]}{variant}")
    copy.__qualname__ = copy.__name__  # by which Numba's cache tells the copies apart
    copy.__doc__ = function.__doc__
    return jit(copy)
