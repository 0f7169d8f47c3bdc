"""As in the reference: its functions run on CuPy arrays as they stand."""

from minipg.kernels.reference.returns import advantages, discounted_returns, gae, td_errors

__all__ = ["advantages", "discounted_returns", "gae", "td_errors"]
