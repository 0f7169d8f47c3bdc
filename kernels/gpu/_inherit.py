"""How this twin inherits `reference/`: a file here holds what a device computes in another way, and nothing else.

A function of the reference that is not overridden acts on CuPy's arrays as it does on NumPy's. What it calls is looked
up again: as a method of a base class calls the methods of the derived class, it calls the functions of this twin.
"""

import builtins
from functools import cache
from importlib import import_module
from types import FunctionType, ModuleType

from minipg.kernels.gpu._families import FAMILIES, functions

_REFERENCE, _GPU = "minipg.kernels.reference.", "minipg.kernels.gpu."


@cache
def kernels(file):
    """The functions of one file of kernels, e.g. `kernels("mlp")`, as a module."""
    found = ModuleType(_GPU + file)
    found.__builtins__ = builtins  # as in every module: C functions that import look for it
    for name, value in _names(_REFERENCE + file).items():
        setattr(found, name, _inherited(value, found))
    vars(found).update(functions(file) if file in FAMILIES else _public(_GPU + file))
    return found


def _inherited(value, heir):
    """A value of a module of the reference, as it is in the module `heir` of this twin."""
    if isinstance(value, dict):
        return {key: _inherited(each, heir) for key, each in value.items()}
    if isinstance(value, ModuleType) and value.__name__.startswith(_REFERENCE):
        return kernels(value.__name__.removeprefix(_REFERENCE))
    if isinstance(value, FunctionType) and value.__module__.startswith(_REFERENCE):
        file = value.__module__.removeprefix(_REFERENCE)
        if heir.__name__ != _GPU + file:
            return getattr(kernels(file), value.__name__)
        return FunctionType(value.__code__, vars(heir), value.__name__, value.__defaults__, value.__closure__)
    return value


def _public(module):
    """The public names that a module defines itself."""
    own = lambda name, value: not name.startswith("_") and getattr(value, "__module__", None) == module
    return {name: value for name, value in _names(module).items() if own(name, value)}


def _names(module):
    """All names of a module but Python's own; none where there is no such module."""
    try:
        names = vars(import_module(module))
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):  # a module that it imports
            raise
        return {}
    return {name: value for name, value in names.items() if not name.startswith("__")}
