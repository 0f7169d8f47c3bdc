"""A tanh that vectorises."""

import math

import numpy as np
from numba import types
from numba.extending import overload

# tanh x ≈ x P(x²)/Q(x²) on |x| ≤ 8.8, fitted to the least greatest relative error (1.7e-8) by a weighted
# linear least-squares fit of P − (tanh x / x) Q, its weights raised where the error was greatest.
_P0, _P1, _P2 = np.float32(1.0), np.float32(0.13394011434534728), np.float32(0.0035110428601083116)
_P3, _P4 = np.float32(2.0865208317167147e-05), np.float32(1.3714404396290255e-08)
_Q1, _Q2 = np.float32(0.4672733024747279), np.float32(0.025935690026070903)
_Q3, _Q4 = np.float32(0.0003310979458586054), np.float32(7.922682006447357e-07)
_LIMIT, _ONE = np.float32(8.8), np.float32(1.0)


def tanh(x):
    """tanh x. In float32 a rational function, relative error 4e-7, NaN for NaN; in float64 math.tanh."""
    raise NotImplementedError("for compiled code")


@overload(tanh, inline="always")
def _tanh(x):
    if x != types.float32:
        return lambda x: math.tanh(x)

    def rational(x):
        c = _LIMIT if x > _LIMIT else (-_LIMIT if x < -_LIMIT else x)
        t = c * c
        p = _P0 + t * (_P1 + t * (_P2 + t * (_P3 + t * _P4)))
        q = _ONE + t * (_Q1 + t * (_Q2 + t * (_Q3 + t * _Q4)))
        y = c * p / q
        return _ONE if y > _ONE else (-_ONE if y < -_ONE else y)

    return rational
