"""The array library that an array belongs to, and what NumPy lacks."""

import math
import sys


def namespace(array):
    """The module (numpy, cupy) whose functions act on `array`."""
    return sys.modules[type(array).__module__.partition(".")[0]]


def erf(array):
    """The error function of every entry, in float64."""
    xp = namespace(array)
    return xp.asarray([math.erf(x) for x in array.ravel().tolist()]).reshape(array.shape)
