"""Uniform random numbers in compiled code, equal to those of NumPy's PCG64 (O'Neill 2014).

    s ← a s + c  (mod 2¹²⁸)        output = rotate(high(s) ⊕ low(s), right by the 6 top bits of s)

A stream is (4,) uint64: s and c, the high half before the low one. Every environment has a separate stream, so its
numbers depend neither on the other environments nor on the thread that steps it.
"""

import numpy as np
from minipg.kernels.cpu._jit import jit_exact

A_HIGH, A_LOW = np.uint64(0x2360ED051FC65DA4), np.uint64(0x4385DF649FCCF645)
LOW_32 = np.uint64(0xFFFFFFFF)
BITS_32, BITS_11, BITS_58, BITS_63 = np.uint64(32), np.uint64(11), np.uint64(58), np.uint64(63)


@jit_exact
def uniforms(stream, out):
    """The next U uniforms in [0, 1), 53 bits each.   stream (4,), advanced in place → out (U,)."""
    for k in range(out.shape[0]):
        high, low = stream[0], stream[1]
        product = A_HIGH * low + A_LOW * high + _high_of_product(A_LOW, low)
        low = A_LOW * low + stream[3]
        high = product + stream[2] + np.uint64(low < stream[3])
        stream[0], stream[1] = high, low
        turn = high >> BITS_58
        mixed = high ^ low
        mixed = (mixed >> turn) | (mixed << ((np.uint64(64) - turn) & BITS_63))
        out[k] = np.float64(mixed >> BITS_11) * 2.0**-53


@jit_exact
def _high_of_product(a, b):
    """The upper 64 bits of a·b, from products of halves."""
    a_high, a_low, b_high, b_low = a >> BITS_32, a & LOW_32, b >> BITS_32, b & LOW_32
    middle = a_high * b_low + ((a_low * b_low) >> BITS_32)
    other = a_low * b_high + (middle & LOW_32)
    return a_high * b_high + (middle >> BITS_32) + (other >> BITS_32)
