"""The library an array belongs to (NumPy or CuPy), and the functions that differ between the two."""

import math
import sys
from functools import cache
from importlib import import_module

import numpy as np


def namespace(array):
    """The module (numpy, cupy) whose functions act on `array`."""
    return sys.modules[type(array).__module__.partition(".")[0]]


@cache
def constants(xp, module):
    """name → array of the library `xp`, for every public array in the module of that name. Copied once."""
    return {name: xp.asarray(array) for name, array in vars(import_module(module)).items() if _is_constant(name, array)}


def _is_constant(name, array):
    return isinstance(array, np.ndarray) and not name.startswith("_")


def erf(array):
    """The error function of every entry, in float64."""
    if isinstance(array, np.ndarray):  # NumPy has no erf
        return np.asarray([math.erf(x) for x in array.ravel().tolist()]).reshape(array.shape)
    return import_module("cupyx.scipy.special").erf(array.astype(float))


def host_knows(flag):
    """True if `flag` is on the host: reading it does not wait for a device."""
    return isinstance(flag, bool | np.bool_)
