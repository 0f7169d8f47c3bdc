"""Squashed Gaussian: a = tanh u in (−1, 1) per dimension, u ~ N(μ, σ²); a row of parameters is (μ, log σ), D = 2A.

The action that is stored and passed is u. The map from u to a does not depend on the parameters, so the score, the KL
and the Fisher matrix are those of the Gaussian. So are sampling and the mode: tanh μ is the median of a.
"""

import math

from minipg.kernels._quadrature import TAU
from minipg.kernels.reference import gaussian
from minipg.kernels.reference._namespace import constants, erf, namespace
from minipg.kernels.reference.gaussian import fisher_product, kl, kl_gradient, mode, sample, score

__all__ = ["entropy", "entropy_gradient", "fisher_product", "kl", "kl_gradient", "log_prob", "mode", "sample", "score"]


def log_prob(params, act, out):
    """log π(a) = log N(u; μ, σ²) − Σ log(1 − tanh² u), with log(1 − tanh² u) = −2 log cosh u.

    params (B, 2A), act u (B, A) → out (B,).
    """
    gaussian.log_prob(params, act, out)
    out += 2 * _log_cosh(act).sum(axis=1)


def entropy(params, out):
    """H = Σ (log σ + ½ log 2πe − 2 E[log cosh u]), the expectation to 1e-11.   params (B, 2A) → out (B,)."""
    value, _, _ = _expected_log_cosh(params)
    gaussian.entropy(params, out)
    out -= 2 * value.sum(axis=1)


def entropy_gradient(params, out):
    """∇H = −2 ∂E/∂μ in μ, 1 − 2σ ∂E/∂σ in log σ, E = E[log cosh u].   params (B, 2A) → out (B, 2A)."""
    size = params.shape[1] // 2
    _, by_mean, by_log_std = _expected_log_cosh(params)
    out[:, :size] = -2 * by_mean
    out[:, size:] = 1 - 2 * by_log_std


def _log_cosh(u):
    """log cosh u = |u| + log(1 + e^{−2|u|}) − log 2: never overflows."""
    xp = namespace(u)
    return xp.abs(u) + xp.log1p(xp.exp(-2 * xp.abs(u))) - math.log(2)


def _expected_log_cosh(params):
    """E[log cosh u] and its derivatives in μ and log σ, each (B, A); see `_quadrature`."""
    xp, size = namespace(params), params.shape[1] // 2
    mean, std = params[:, :size, None], xp.exp(params[:, size:, None])
    x, w, t, r = map(constants(xp, "minipg.kernels._quadrature").get, "XWTR")

    sigma = xp.minimum(std, 1)
    u = mean + sigma * x
    slope = w * xp.tanh(u)
    narrow = (w * _log_cosh(u)).sum(-1), slope.sum(-1), (sigma * x * slope).sum(-1)

    sigma = xp.maximum(std, 1)
    z, total = (t - mean) / sigma, xp.sqrt(sigma * sigma + TAU * TAU)
    density = r * xp.exp(-z * z / 2) / (sigma * math.sqrt(2 * math.pi))
    mean, sigma, total = mean[..., 0], sigma[..., 0], total[..., 0]
    sign = erf(mean / (total * math.sqrt(2)))
    peak = math.sqrt(2 / math.pi) * xp.exp(-((mean / total) ** 2) / 2)
    wide = (
        mean * sign + total * peak - math.log(2) + density.sum(-1),
        sign + (density * z).sum(-1) / sigma,
        peak * sigma * sigma / total + (density * (z * z - 1)).sum(-1),
    )
    return [xp.where(std[..., 0] <= 1, *pair) for pair in zip(narrow, wide, strict=True)]
