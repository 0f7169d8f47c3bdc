"""As in the reference: its functions run on CuPy arrays as they stand."""

from minipg.kernels.reference.proximal import climb, gradient

__all__ = ["climb", "gradient"]
