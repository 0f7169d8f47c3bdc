"""The reference twin: over the arrays of NumPy, or of CuPy."""
