"""The Numba twin: the functions of `reference/`, compiled. Each runs on one thread and releases the GIL.

Callers use several cores by calling a kernel on tiles of rows (`minipg.runtime.backend`). The tiles do not depend on
the number of threads, so the result is the same to the bit with any number.
"""
