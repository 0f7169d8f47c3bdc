"""As in the reference: its functions run on CuPy arrays as they stand."""

from minipg.kernels.reference.evaluation import evaluate

__all__ = ["evaluate"]
