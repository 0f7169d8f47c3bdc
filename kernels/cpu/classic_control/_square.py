"""x², equal to Python's and NumPy's `x**2` to the bit."""

import math

import numpy as np
from minipg.kernels.cpu._jit import jit_exact


@jit_exact
def square(x):
    """pow(x, 2): in about one case of a thousand the C library's result is the float next to x·x."""
    return math.pow(x, 2.0 + 0.0 * x)  # the compiler may not assume that x is finite, so it leaves the call alone


@jit_exact
def square_single(x):
    """pow(x, 2) in single precision."""
    return math.pow(x, np.float32(2) + np.float32(0) * x)
