"""How every CPU kernel is compiled."""

from typing import Any

import numba

# `fastmath=True` would also assume that no NaN and no infinity occurs, and hide them; these flags do not.
_VISIBLE_NAN = {"contract", "nsz", "arcp"}
# Inlined, a kernel inside another one is the same code in the process that compiles it and in those that load it from
# the cache; called, it is whichever copy the process has met first, and copies round differently.
_OPTIONS: Any = {"nogil": True, "cache": True, "error_model": "numpy", "forceinline": True, "no_cfunc_wrapper": True}

jit = numba.njit(fastmath=_VISIBLE_NAN, **_OPTIONS)
# For the parts of a kernel: written apart, compiled with it alone, where each by itself would cost seconds more.
part = numba.njit(fastmath=_VISIBLE_NAN, inline="always", **_OPTIONS)
# For sums over a long axis: the order of additions is the compiler's (fixed once compiled), so they vectorise.
jit_sum = numba.njit(fastmath=_VISIBLE_NAN | {"reassoc"}, **_OPTIONS)
# For dynamics that repeat another program's numbers: every operation as it is written, rounded by itself.
jit_exact = numba.njit(**_OPTIONS)
