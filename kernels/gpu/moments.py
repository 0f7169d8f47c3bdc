"""As in the reference: its functions run on CuPy arrays as they stand."""

from minipg.kernels.reference.moments import merge, standardize

__all__ = ["merge", "standardize"]
