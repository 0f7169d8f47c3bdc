"""Twin of `reference/gaussian.py`, one thread a row (gaussian.cuh): a row of parameters is (μ, log σ), so D = 2A."""

from minipg.kernels.gpu._rows import rows_of

_run = rows_of("gaussian")


def sample(params, normal, out):
    """a = μ + σ ε.   params (B, 2A), normal ε (B, A) → out (B, A)."""
    _run("sample", len(params), params.shape[1], (), params, normal, out)


def mode(params, out):
    """The mean.   params (B, 2A) → out (B, A)."""
    _run("mode", len(params), params.shape[1], (), params, out)


def log_prob(params, act, out):
    """log N(a; μ, σ²)  (DI-4).   params (B, 2A), act (B, A) → out (B,)."""
    _run("log_prob", len(params), params.shape[1], (), params, act, out)


def score(params, act, out):
    """((a − μ)/σ², z² − 1), z = (a − μ)/σ  (DI-4).   params (B, 2A), act (B, A) → out (B, 2A)."""
    _run("score", len(params), params.shape[1], (), params, act, out)


def kl(old, new, out):
    """KL(old‖new)  (DI-6).   old, new (B, 2A) → out (B,)."""
    _run("kl", len(old), old.shape[1], (), old, new, out)


def kl_gradient(old, new, out):
    """((μ₁ − μ₀)/σ₁², 1 − (σ₀² + (μ₀ − μ₁)²)/σ₁²)  (DI-6).   old, new (B, 2A) → out (B, 2A)."""
    _run("kl_gradient", len(old), old.shape[1], (), old, new, out)


def entropy(params, out):
    """H = Σ (log σ + ½ log 2πe)  (DI-7).   params (B, 2A) → out (B,)."""
    _run("entropy", len(params), params.shape[1], (), params, out)


def entropy_gradient(params, out):
    """0 in μ, 1 in log σ  (DI-7).   params (B, 2A) → out (B, 2A)."""
    _run("entropy_gradient", len(params), params.shape[1], (), params, out)


def fisher_product(params, v, out):
    """diag(1/σ², 2) v  (DI-5).   params, v (B, 2A) → out (B, 2A), which may be v."""
    _run("fisher_product", len(params), params.shape[1], (), params, v, out)
