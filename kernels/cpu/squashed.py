"""Twin of `reference/squashed.py`. An action is u; the environment receives tanh u, scaled."""

import math

import numpy as np
from minipg.kernels._quadrature import TAU, R, T, W, X
from minipg.kernels.cpu import gaussian
from minipg.kernels.cpu._jit import jit
from minipg.kernels.cpu.gaussian import fisher_product, kl, kl_gradient, mode, sample, score

__all__ = ["entropy", "entropy_gradient", "fisher_product", "kl", "kl_gradient", "log_prob", "mode", "sample", "score"]

_LOG_2 = math.log(2)
_ROOT_2, _ROOT_2PI = math.sqrt(2), math.sqrt(2 * math.pi)


@jit
def _log_cosh(u):
    return abs(u) + math.log1p(math.exp(-2 * abs(u))) - _LOG_2


@jit
def log_prob(params, act, out):
    """log N(u; μ, σ²) + 2 Σ log cosh u.   params (B, 2A), act u (B, A) → out (B,)."""
    gaussian.log_prob(params, act, out)
    for i in range(act.shape[0]):
        total = 0.0
        for j in range(act.shape[1]):
            total += _log_cosh(act[i, j])
        out[i] += 2 * total


@jit
def _score_and_log_prob(params, act, out, logp):
    """`score` and `log_prob` at once.   → out (B, D), logp (B,)."""
    score(params, act, out)
    log_prob(params, act, logp)


@jit
def _expected_log_cosh(mean, log_std):
    """E[log cosh u] and its derivatives in μ and log σ; see `_quadrature`."""
    mean, std = np.float64(mean), math.exp(np.float64(log_std))
    value = by_mean = by_log_std = 0.0
    if std <= 1:
        for k in range(X.shape[0]):
            u = mean + std * X[k]
            small = math.exp(-2 * abs(u))
            slope = W[k] * math.copysign((1 - small) / (1 + small), u)  # tanh u
            value += W[k] * (abs(u) + math.log(1 + small) - _LOG_2)
            by_mean += slope
            by_log_std += std * X[k] * slope
        return value, by_mean, by_log_std
    for k in range(T.shape[0]):
        z = (T[k] - mean) / std
        density = R[k] * math.exp(-0.5 * z * z) / (std * _ROOT_2PI)
        value += density
        by_mean += density * z / std
        by_log_std += density * (z * z - 1)
    total = math.sqrt(std * std + TAU * TAU)
    sign = math.erf(mean / (total * _ROOT_2))
    peak = 2 / _ROOT_2PI * math.exp(-0.5 * (mean / total) ** 2)
    value += mean * sign + total * peak - _LOG_2
    return value, by_mean + sign, by_log_std + peak * std * std / total


@jit
def entropy(params, out):
    """H = Σ (log σ + ½ log 2πe − 2 E[log cosh u]).   params (B, 2A) → out (B,)."""
    gaussian.entropy(params, out)
    size = params.shape[1] // 2
    for i in range(params.shape[0]):
        total = 0.0
        for j in range(size):
            total += _expected_log_cosh(params[i, j], params[i, size + j])[0]
        out[i] -= 2 * total


@jit
def entropy_gradient(params, out):
    """−2 ∂E/∂μ in μ, 1 − 2σ ∂E/∂σ in log σ.   params (B, 2A) → out (B, 2A)."""
    size = params.shape[1] // 2
    for i in range(params.shape[0]):
        for j in range(size):
            _, by_mean, by_log_std = _expected_log_cosh(params[i, j], params[i, size + j])
            out[i, j] = -2 * by_mean
            out[i, size + j] = 1 - 2 * by_log_std
