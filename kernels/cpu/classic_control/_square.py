"""x² as Python's and NumPy's `x**2` gives it."""

import math

import numpy as np
from minipg.kernels.cpu._jit import jit_exact


@jit_exact
def square(x):
    """pow(x, 2): in about one case of a thousand the C library's is not x·x, but its neighbour."""
    return math.pow(x, 2.0 + 0.0 * x)  # the compiler may not assume that x is finite, so it leaves the call alone


@jit_exact
def square_single(x):
    """The same in single precision."""
    return math.pow(x, np.float32(2) + np.float32(0) * x)
