"""Twin of `reference/gaussian.py`; a row of parameters is (μ, log σ), so D = 2A."""

import math

from minipg.kernels.cpu._jit import jit

_LOG_2PI = math.log(2 * math.pi)


@jit
def sample(params, normal, out):
    """a = μ + σ ε.   params (B, 2A), normal ε (B, A) → out (B, A)."""
    size = out.shape[1]
    for i in range(out.shape[0]):
        for j in range(size):
            out[i, j] = params[i, j] + math.exp(params[i, size + j]) * normal[i, j]


@jit
def mode(params, out):
    """The mean.   params (B, 2A) → out (B, A)."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = params[i, j]


@jit
def log_prob(params, act, out):
    """−½ Σ [z² + 2 log σ + log 2π], z = (a − μ)/σ  (DI-4).   params (B, 2A), act (B, A) → out (B,)."""
    size = act.shape[1]
    for i in range(act.shape[0]):
        total = 0.0
        for j in range(size):
            log_std = params[i, size + j]
            z = (act[i, j] - params[i, j]) * math.exp(-log_std)
            total += z * z + 2 * log_std + _LOG_2PI
        out[i] = -0.5 * total


@jit
def score(params, act, out):
    """((a − μ)/σ², z² − 1)  (DI-4).   params (B, 2A), act (B, A) → out (B, 2A)."""
    size = act.shape[1]
    for i in range(act.shape[0]):
        for j in range(size):
            inverse_std = math.exp(-params[i, size + j])
            z = (act[i, j] - params[i, j]) * inverse_std
            out[i, j] = z * inverse_std
            out[i, size + j] = z * z - 1


@jit
def _score_and_log_prob(params, act, out, logp):
    """`score` and `log_prob` at once.   → out (B, D), logp (B,)."""
    score(params, act, out)
    log_prob(params, act, logp)


@jit
def kl(old, new, out):
    """KL(old‖new) = Σ ½ [eᵈ − 1 − d + z²], d = 2 (log σ₀ − log σ₁), z = (μ₀ − μ₁)/σ₁  (DI-6).   (B, 2A) → out (B,)."""
    size = old.shape[1] // 2
    for i in range(old.shape[0]):
        total = 0.0
        for j in range(size):
            d = 2 * (old[i, size + j] - new[i, size + j])
            z = (old[i, j] - new[i, j]) * math.exp(-new[i, size + j])
            total += math.expm1(d) - d + z * z
        out[i] = 0.5 * total


@jit
def kl_gradient(old, new, out):
    """((μ₁ − μ₀)/σ₁², 1 − (σ₀² + (μ₀ − μ₁)²)/σ₁²): of KL(old‖new), in new  (DI-6).   old, new (B, 2A) → out (B, 2A)."""
    size = old.shape[1] // 2
    for i in range(old.shape[0]):
        for j in range(size):
            inverse_std = math.exp(-new[i, size + j])
            z = (new[i, j] - old[i, j]) * inverse_std
            out[i, j] = z * inverse_std
            out[i, size + j] = -math.expm1(2 * (old[i, size + j] - new[i, size + j])) - z * z


@jit
def entropy(params, out):
    """H = Σ (log σ + ½ log 2πe)  (DI-7).   params (B, 2A) → out (B,)."""
    size = params.shape[1] // 2
    for i in range(params.shape[0]):
        total = 0.0
        for j in range(size):
            total += params[i, size + j] + 0.5 * (_LOG_2PI + 1)
        out[i] = total


@jit
def entropy_gradient(params, out):
    """0 in μ, 1 in log σ  (DI-7).   params (B, 2A) → out (B, 2A)."""
    size = params.shape[1] // 2
    for i in range(params.shape[0]):
        for j in range(size):
            out[i, j] = 0
            out[i, size + j] = 1


@jit
def fisher_product(params, v, out):
    """diag(1/σ², 2) v  (DI-5).   params, v (B, 2A) → out (B, 2A), which may be v."""
    size = params.shape[1] // 2
    for i in range(params.shape[0]):
        for j in range(size):
            inverse_std = math.exp(-params[i, size + j])
            out[i, j] = v[i, j] * inverse_std * inverse_std
            out[i, size + j] = 2 * v[i, size + j]
