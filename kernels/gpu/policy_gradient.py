"""As in the reference: its functions run on CuPy arrays as they stand."""

from minipg.kernels.reference.policy_gradient import from_observations, gradient

__all__ = ["from_observations", "gradient"]
