"""Diagonal Gaussian over A dimensions; a row of parameters is (μ, log σ), so D = 2A."""

import math

from minipg.kernels.reference._namespace import namespace


def _split(params):
    size = params.shape[1] // 2
    return params[:, :size], params[:, size:]


def sample(params, normal, out):
    """a = μ + σ ε.   params (B, 2A), normal ε (B, A) → out (B, A)."""
    mean, log_std = _split(params)
    out[...] = mean + namespace(params).exp(log_std) * normal


def mode(params, out):
    """The mean.   params (B, 2A) → out (B, A)."""
    out[...] = _split(params)[0]


def log_prob(params, act, out):
    """−½ Σ [z² + 2 log σ + log 2π], z = (a − μ)/σ  (DI-4).   params (B, 2A), act (B, A) → out (B,)."""
    mean, log_std = _split(params)
    z = (act - mean) * namespace(params).exp(-log_std)
    out[...] = -0.5 * (z * z + 2 * log_std + math.log(2 * math.pi)).sum(axis=1)


def score(params, act, out):
    """∇ log p(a) = ((a − μ)/σ² in μ, z² − 1 in log σ)  (DI-4).   params (B, 2A), act (B, A) → out (B, 2A)."""
    mean, log_std = _split(params)
    inverse_std = namespace(params).exp(-log_std)
    z = (act - mean) * inverse_std
    out_mean, out_log_std = _split(out)
    out_mean[...] = z * inverse_std
    out_log_std[...] = z * z - 1


def kl(old, new, out):
    """KL(old‖new) = Σ [log σ₁ − log σ₀ + (σ₀² + (μ₀ − μ₁)²)/(2σ₁²) − ½]  (DI-6), 0 is old and 1 is new.

    With d = 2 (log σ₀ − log σ₁) the terms in σ alone are ½ (eᵈ − 1 − d): no cancellation when the two are close.
    old, new (B, 2A) → out (B,).
    """
    xp = namespace(old)
    (mean0, log_std0), (mean1, log_std1) = _split(old), _split(new)
    d = 2 * (log_std0 - log_std1)
    z = (mean0 - mean1) * xp.exp(-log_std1)
    out[...] = 0.5 * (xp.expm1(d) - d + z * z).sum(axis=1)


def kl_gradient(old, new, out):
    """∇ KL(old‖new) in the new parameters: (μ₁ − μ₀)/σ₁² in μ₁, 1 − (σ₀² + (μ₀ − μ₁)²)/σ₁² in log σ₁  (DI-6).

    old, new (B, 2A) → out (B, 2A).
    """
    xp = namespace(old)
    (mean0, log_std0), (mean1, log_std1) = _split(old), _split(new)
    inverse_std = xp.exp(-log_std1)
    z = (mean1 - mean0) * inverse_std
    out_mean, out_log_std = _split(out)
    out_mean[...] = z * inverse_std
    out_log_std[...] = -xp.expm1(2 * (log_std0 - log_std1)) - z * z


def entropy(params, out):
    """H = Σ (log σ + ½ log 2πe)  (DI-7).   params (B, 2A) → out (B,)."""
    out[...] = (_split(params)[1] + 0.5 * math.log(2 * math.pi * math.e)).sum(axis=1)


def entropy_gradient(params, out):
    """∇H = 0 in μ, 1 in log σ  (DI-7).   params (B, 2A) → out (B, 2A)."""
    out_mean, out_log_std = _split(out)
    out_mean[...] = 0
    out_log_std[...] = 1


def fisher_product(params, v, out):
    """diag(1/σ², 2) v  (DI-5).   params, v (B, 2A) → out (B, 2A), which may be v."""
    inverse_std = namespace(params).exp(-_split(params)[1])
    v_mean, v_log_std = _split(v)
    out_mean, out_log_std = _split(out)
    out_mean[...] = v_mean * inverse_std * inverse_std
    out_log_std[...] = 2 * v_log_std
