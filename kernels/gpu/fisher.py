"""As in the reference: its functions run on CuPy arrays as they stand."""

from minipg.kernels.reference.fisher import categorical_product, gaussian_product

__all__ = ["categorical_product", "gaussian_product"]
