"""`reference/policy_gradient.py` with one row kernel before the backward pass."""

import cupy
from minipg.kernels.gpu import mlp
from minipg.kernels.gpu._arrays import sum_columns
from minipg.kernels.gpu._families import launch_rows
from minipg.kernels.reference.mlp import size


def gradient(policy, theta, forward, act, weight, ent_coef, grad, work):
    """Σ_rows [weight ∇log π(a|s) + c ∇H]  (PG-9).   theta (P,), act (B, …), weight (B,) → grad (P,)."""
    (obs, hidden, out, params), weights = forward, size(policy.network)
    u, v, g = cupy.empty_like(params), cupy.empty_like(params), cupy.empty_like(out)
    tail = cupy.empty((len(out), len(theta) - weights), out.dtype)
    launch_rows("policy_gradient", policy, params, obs, out, act, weight, ent_coef, u, v, g, tail)
    sum_columns(tail, grad[weights:])
    mlp.vjp(theta[:weights], policy.network, obs, hidden, g, grad[:weights], None)
