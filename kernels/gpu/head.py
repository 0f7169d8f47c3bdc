"""As in the reference: its functions run on CuPy arrays as they stand."""

from minipg.kernels.reference.head import parameters, pull_back, push_forward

__all__ = ["parameters", "pull_back", "push_forward"]
