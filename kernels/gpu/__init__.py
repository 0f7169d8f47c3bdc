"""The twin for a GPU: the reference's functions, over CuPy arrays."""
