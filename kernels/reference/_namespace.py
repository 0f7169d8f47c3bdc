"""The array library that an array belongs to, and what is not the same in all of them."""

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
    """The public arrays of a module of kernels, by name, where `xp` computes: they go there once."""
    return {name: xp.asarray(array) for name, array in vars(import_module(module)).items() if _is_constant(name, array)}


def _is_constant(name, array):
    return isinstance(array, np.ndarray) and not name.startswith("_")


def erf(array):
    """The error function of every entry, in float64."""
    if isinstance(array, np.ndarray):  # which has none
        return np.asarray([math.erf(x) for x in array.ravel().tolist()]).reshape(array.shape)
    return import_module("cupyx.scipy.special").erf(array.astype(float))


def host_knows(flag):
    """Whether a flag can be looked at without waiting for a device."""
    return isinstance(flag, bool | np.bool_)
