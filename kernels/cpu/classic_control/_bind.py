"""Loops that are written once and compiled for each problem."""

from importlib import import_module
from types import FunctionType
from typing import Any

from minipg.kernels.cpu._jit import jit_exact


def bound(function: Any, problem: str) -> Any:
    """`function` compiled with the `begin`, `observe` and `step` of the problem in that file.

    They take the place of its globals of these names: compiled code cannot be handed a module, a test at every step
    would have all the problems compiled where one is needed, and Numba keeps no closure over compiled functions.
    """
    own = import_module(f"minipg.kernels.cpu.classic_control.{problem}")
    scope = {**function.__globals__, "begin": own.begin, "observe": own.observe, "step": own.step}
    copy = FunctionType(function.__code__, scope, f"{function.__name__}_{problem}")
    copy.__qualname__ = copy.__name__  # by which Numba's cache tells the copies apart
    copy.__doc__ = function.__doc__
    return jit_exact(copy)
