"""`reference/surrogate_value.py` with one row kernel after the forward pass."""

from functools import cache

import cupy
from minipg.kernels.gpu import mlp
from minipg.kernels.gpu._arrays import sum_columns
from minipg.kernels.gpu._families import row_kernels


@cache
def evaluate(family):
    """Of a policy whose distributions have that name: a kernel. told (3,): Σ r Â  (IS-3), Σ KL  (TR-5), Σ H."""
    run = row_kernels(family)

    def _evaluate(policy, theta, obs, act, adv, old, logp_old, wants_entropy, told, work):
        form, bounds, options, sizes, activation = policy
        rows, n, units = len(obs), int(sizes[-1]), int(sizes[1:-1].sum())
        count = len(theta) - (n if form == 1 else 0)
        out, hidden = cupy.empty((rows, n), old.dtype), cupy.empty(rows * units, old.dtype)
        params, stats = cupy.empty_like(old), cupy.empty((rows, 3), old.dtype)
        mlp.forward(theta[:count], sizes, activation, obs, out, hidden)
        run(
            "surrogate_value", options, params, form, n, *bounds, out, theta[count:], act, adv, old, logp_old,
            wants_entropy, stats,
        )  # fmt: skip
        sum_columns(stats, told)

    return _evaluate
