"""`reference/fisher.py` with one row kernel between forward mode and reverse mode."""

import cupy
from minipg.kernels.gpu import mlp
from minipg.kernels.gpu._arrays import sum_columns
from minipg.kernels.gpu._families import launch_rows
from minipg.kernels.reference.mlp import size


def fisher_product(policy, theta, forward, v, out, work):
    """Σ_rows Jᵀ M J v  (TR-9).   theta, v (P,), forward: B rows → out (P,)."""
    (obs, hidden, outputs, params), weights = forward, size(policy.network)
    d_out, d_params, g = cupy.empty_like(outputs), cupy.empty_like(params), cupy.empty_like(outputs)
    tail = cupy.empty((len(obs), len(v) - weights), theta.dtype)
    mlp.jvp(theta[:weights], policy.network, obs, hidden, v[:weights], d_out, None)
    launch_rows("fisher_of_outputs", policy, params, obs, outputs, d_out, v[weights:], d_params, g, tail)
    sum_columns(tail, out[weights:])
    mlp.vjp(theta[:weights], policy.network, obs, hidden, g, out[:weights], None)
