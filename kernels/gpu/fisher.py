"""`reference/fisher.py`: forward mode, the distribution's own Fisher matrix in place, reverse mode (TR-9)."""

import cupy
from minipg.kernels.gpu import mlp
from minipg.kernels.gpu._arrays import threads_for
from minipg.kernels.gpu._cuda import Source
from minipg.kernels.gpu._families import row_kernels

_run = Source("fisher.cu")


def categorical_product(theta, sizes, activation, obs, hidden, params, v, out, work):
    """theta, v (P,), obs (B, n₀), params (B, A) the logits → out (P,)."""
    Jv = cupy.empty_like(params)
    mlp.jvp(theta, sizes, activation, obs, hidden, v, Jv, work)
    row_kernels("categorical")("fisher_product", (), params, Jv, Jv)
    mlp.vjp(theta, sizes, activation, obs, hidden, Jv, out, work)


def gaussian_product(theta, sizes, activation, obs, hidden, params, v, out, work):
    """theta, v (P,) with log σ as their last A parameters, obs (B, n₀), params (B, 2A) = (μ, log σ) → out (P,)."""
    rows, size = len(params), params.shape[1] // 2
    network, log_std = theta[:-size], theta[-size:]
    Jv = cupy.empty((rows, size), params.dtype)
    mlp.jvp(network, sizes, activation, obs, hidden, v[:-size], Jv, work)
    _run("over_variance", threads_for(rows, size), Jv.size, size, log_std, Jv)
    _run("fisher_of_log_std", size, 2 * rows, v[-size:], out[-size:])
    mlp.vjp(network, sizes, activation, obs, hidden, Jv, out[:-size], work)
