"""As in the reference: its functions run on CuPy arrays as they stand."""

from minipg.kernels.reference.squashed import (
    entropy,
    entropy_gradient,
    fisher_product,
    kl,
    kl_gradient,
    log_prob,
    mode,
    sample,
    score,
)

__all__ = ["entropy", "entropy_gradient", "fisher_product", "kl", "kl_gradient", "log_prob", "mode", "sample", "score"]
