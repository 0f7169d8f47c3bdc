"""As in the reference: its functions run on CuPy arrays as they stand."""

from minipg.kernels.reference.regression import fit, loss_and_gradient

__all__ = ["fit", "loss_and_gradient"]
