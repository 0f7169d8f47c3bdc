"""The array library that an array belongs to."""

import sys


def namespace(array):
    """The module (numpy, cupy) whose functions act on `array`."""
    return sys.modules[type(array).__module__.partition(".")[0]]
