"""As in the reference: its functions run on CuPy arrays as they stand."""

from minipg.kernels.reference.surrogate import clipped, clipped_gradient, surrogate

__all__ = ["clipped", "clipped_gradient", "surrogate"]
