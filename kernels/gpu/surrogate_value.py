"""`reference/surrogate_value.py` with one row kernel after the forward pass."""

import cupy
from minipg.kernels.gpu import mlp
from minipg.kernels.gpu._arrays import sum_columns
from minipg.kernels.gpu._families import launch_rows
from minipg.kernels.reference.mlp import size


def surrogate_value(policy, theta, acted, logp_old, wants_entropy, sums, work):
    """Σ r Â  (IS-3), Σ KL(old‖π_θ)  (TR-5), and Σ H(π_θ) if wanted → sums (3,).

    theta (P,), acted: B rows, logp_old (B,).
    """
    obs, act, adv, old = acted
    weights = size(policy.network)
    out, _ = mlp._new_outputs(policy.network, theta[:weights], obs)
    params, stats = cupy.empty_like(old), cupy.empty((len(obs), 3), old.dtype)
    given = act, adv, old, logp_old, wants_entropy
    launch_rows("surrogate_value", policy, params, obs, out, theta[weights:], *given, stats)
    sum_columns(stats, sums)
