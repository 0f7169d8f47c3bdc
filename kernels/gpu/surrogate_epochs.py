"""`reference/surrogate_epochs.py` with one row kernel between the two passes through the network."""

import cupy
from minipg.kernels.gpu import mlp
from minipg.kernels.gpu._arrays import sum_columns
from minipg.kernels.gpu._families import launch_rows
from minipg.kernels.reference.mlp import size


def gradient(policy, theta, acted, logp_old, terms, chosen, wants_kl, grad, means, act, work):
    """∇L over the `chosen` rows (M,) → grad (P,), means (2,): KL(old‖π_θ) if wanted, the share of ratios beyond ε.

    theta (P,), acted: B rows, logp_old (B,).
    """
    obs, rows, weights = acted.obs[chosen], len(chosen), size(policy.network)
    out, hidden = mlp._new_outputs(policy.network, theta[:weights], obs)
    params, u, v = (cupy.empty((rows, acted.params.shape[1]), theta.dtype) for _ in range(3))
    g, tail, stats = (cupy.empty((rows, n), theta.dtype) for n in (out.shape[1], len(theta) - weights, 2))
    launch_rows(
        "surrogate_gradient", policy, params, obs, out, theta[weights:], chosen, acted.act, acted.adv, acted.params,
        logp_old, *terms, wants_kl, u, v, g, tail, stats,
    )  # fmt: skip
    sum_columns(stats, means, 1 / rows)
    sum_columns(tail, grad[weights:])
    mlp.vjp(theta[:weights], policy.network, obs, hidden, g, grad[:weights], None)
