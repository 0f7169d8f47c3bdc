"""The Numba twin: the functions of `reference/`, compiled, one thread each, the GIL released while they run.

They own no threads. Work is spread over cores by calling them on row tiles (`minipg.runtime.backend`), which is why the
result is the same to the bit whatever the number of threads.
"""
