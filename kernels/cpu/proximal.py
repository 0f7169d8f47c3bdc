"""Twin of `reference/proximal.py`."""

import math
from functools import cache

from minipg.kernels.cpu import mlp, surrogate
from minipg.kernels.cpu._bind import compiled_with
from minipg.kernels.cpu._jit import jit
from minipg.kernels.cpu.categorical import entropy_gradient, kl, kl_gradient, log_prob, score


@jit
def forward(theta, sizes, activation, obs, rows, x, out, hidden):
    """theta (P,), obs (N, n₀), rows (B,) → x = obs[rows] (B, n₀), out (B, n), hidden as `mlp.forward` leaves it."""
    for i in range(rows.shape[0]):
        x[i] = obs[rows[i]]
    mlp.forward(theta, sizes, activation, x, out, hidden)


@cache
def covector(family):
    """`_covector`, compiled for the distributions of that name."""
    names = ("log_prob", "score", "kl", "kl_gradient", "entropy_gradient")
    return compiled_with(_covector, f"minipg.kernels.cpu.{family}", names, jit)


def _covector(
    form, bounds, options, out, log_std, rows, act, adv, old, logp_old, terms, total, g, log_std_grad, told, acted, work
):
    clip_range, beta, entropy_weight = terms
    (low, high), (count, n), width = bounds, out.shape, old.shape[1]
    lowest, highest = math.log1p(-min(clip_range, 1.0)), math.log1p(clip_range)
    params, before, u, more = work[: 4 * count * width].reshape(4, count, width)
    rest = work[4 * count * width : 4 * count * (width + 1)]
    logp, logp_before, gain, weight = rest.reshape(4, count)
    for i in range(count):
        acted[i] = act[rows[i]]
        before[i] = old[rows[i]]
        gain[i] = adv[rows[i]]
        logp_before[i] = logp_old[rows[i]]
        for j in range(n):
            params[i, j] = out[i, j]
            if form == 1:
                params[i, n + j] = log_std[j]
            elif form == 2 and j >= n // 2:
                reach = high if out[i, j] > 0 else -low
                params[i, j] = reach * math.tanh(out[i, j] / reach)

    log_prob(params, acted, *options, logp)
    score(params, acted, *options, u)
    surrogate.clipped_gradient(logp, logp_before, gain, clip_range, weight)
    for i in range(count):
        told[1] += not lowest <= logp[i] - logp_before[i] <= highest
        for j in range(width):
            u[i, j] *= weight[i]
    if beta > 0:
        kl_gradient(before, params, *options, more)
        for i in range(count):
            for j in range(width):
                u[i, j] -= beta * more[i, j]
    if entropy_weight > 0:
        entropy_gradient(params, *options, more)
        for i in range(count):
            for j in range(width):
                u[i, j] += entropy_weight * more[i, j]
    kl(before, params, *options, logp)

    for i in range(count):
        told[0] += logp[i]
        for j in range(n):
            g[i, j] = u[i, j] / total
            if form == 1:
                log_std_grad[j] += u[i, n + j] / total
            elif form == 2 and j >= n // 2:
                bent = math.tanh(out[i, j] / (high if out[i, j] > 0 else -low))
                g[i, j] *= 1 - bent * bent
