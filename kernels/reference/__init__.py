"""The reference twin: kernels in NumPy's functions, for the arrays of NumPy or CuPy."""
