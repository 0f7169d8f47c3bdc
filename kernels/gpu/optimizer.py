"""As in the reference: its functions run on CuPy arrays as they stand."""

from minipg.kernels.reference.optimizer import adam, clip_global_norm, rmsprop, sgd

__all__ = ["adam", "clip_global_norm", "rmsprop", "sgd"]
