"""Twin of `reference/squashed.py`, one thread a row (squashed.cuh): a row of parameters is (μ, log σ), so D = 2A."""

from minipg.kernels.gpu._rows import rows_of
from minipg.kernels.gpu.gaussian import fisher_product, kl, kl_gradient, mode, sample, score

__all__ = ["entropy", "entropy_gradient", "fisher_product", "kl", "kl_gradient", "log_prob", "mode", "sample", "score"]

_run = rows_of("squashed")


def log_prob(params, act, out):
    """log N(u; μ, σ²) + 2 Σ log cosh u.   params (B, 2A), act u (B, A) → out (B,)."""
    _run("log_prob", len(params), params.shape[1], (), params, act, out)


def entropy(params, out):
    """H = Σ (log σ + ½ log 2πe − 2 E[log cosh u]), the expectation to 1e-11.   params (B, 2A) → out (B,)."""
    _run("entropy", len(params), params.shape[1], (), params, out)


def entropy_gradient(params, out):
    """∇H = −2 ∂E/∂μ in μ, 1 − 2σ ∂E/∂σ in log σ, E = E[log cosh u].   params (B, 2A) → out (B, 2A)."""
    _run("entropy_gradient", len(params), params.shape[1], (), params, out)
