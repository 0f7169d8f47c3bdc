"""As in the reference: its functions run on CuPy arrays as they stand."""

from minipg.kernels.reference.mlp import forward, jvp, vjp, vjp_obs

__all__ = ["forward", "jvp", "vjp", "vjp_obs"]
