"""The gradient of a surrogate that need not be left, over some rows of a batch.

    L(θ) = mean [ min(r Â, clip(r, 1 − ε, 1 + ε) Â) − β KL(old‖π_θ) + c H(π_θ) ],   r = π_θ/π_old    (PP-1, PP-2, PP-3)

It is `forward`, then `covector`, what a change of the network's outputs is worth, and then `mlp.vjp`.
A policy's parameters (B, D) are the outputs (`form` 0), those and log σ from the tail of θ (1), or those with their
second half bounded to (low, high) by h tanh(z/h), h the bound on z's side (2).
"""

from functools import cache
from importlib import import_module

from minipg.kernels.reference import mlp, surrogate
from minipg.kernels.reference._namespace import namespace


def forward(theta, sizes, activation, obs, rows, x, out, hidden):
    """theta (P,), obs (N, n₀), rows (B,) → x = obs[rows] (B, n₀), out (B, n), hidden as `mlp.forward` leaves it."""
    x[...] = obs[rows]
    mlp.forward(theta, sizes, activation, x, out, hidden)


@cache
def covector(family):
    """A kernel for the distributions of that name, which have `options` beside their other arguments.

    form, bounds (low, high), options, out (B, n), log_std (A,) or (0,), rows (B,), and of the whole batch act (N, …),
    adv (N,), old (N, D), logp_old (N,); terms (ε, β, c), `total` what the mean divides by
    → g (B, n) of the outputs; added to log_std_grad, and to told (2,): Σ KL, and the number of ratios beyond ε.
    acted (B, …) as act, work (4·B·(D + 1),).
    """
    distribution = import_module(f"minipg.kernels.reference.{family}")

    def _covector(
        form, bounds, options, out, log_std, rows, act, adv, old, logp_old, terms, total, g, log_std_grad, told, acted,
        work,
    ):  # fmt: skip
        xp, n, (clip_range, beta, entropy_weight) = namespace(out), out.shape[1], terms
        params, slope = _distributions(xp, form, bounds, out, log_std)
        acted[...], before, gain = act[rows], old[rows], adv[rows]
        logp, weight, kl = (xp.empty_like(gain) for _ in range(3))
        distribution.log_prob(params, acted, *options, logp)
        surrogate.clipped_gradient(logp, logp_old[rows], gain, clip_range, weight)

        score, kl_gradient, entropy_gradient = (xp.empty_like(params) for _ in range(3))
        distribution.score(params, acted, *options, score)
        distribution.kl_gradient(before, params, *options, kl_gradient)
        distribution.entropy_gradient(params, *options, entropy_gradient)
        u = (weight[:, None] * score - beta * kl_gradient + entropy_weight * entropy_gradient) / total

        g[...] = (slope * u)[:, :n]
        log_std_grad += u[:, n:].sum(axis=0)
        distribution.kl(before, params, *options, kl)
        told += xp.stack([kl.sum(), (abs(xp.exp(logp - logp_old[rows]) - 1) > clip_range).sum()])

    return _covector


def _distributions(xp, form, bounds, out, log_std):
    """The parameters of every row's distribution (B, D), and the slope of each in the output it is read off."""
    if form == 0:
        return out, 1
    if form == 1:
        return xp.concatenate([out, xp.broadcast_to(log_std, out.shape)], axis=1), 1
    low, high = bounds
    reach = xp.where(out > 0, high, -low).astype(out.dtype)
    bent = xp.tanh(out / reach)
    bounded = xp.arange(out.shape[1]) >= out.shape[1] // 2
    return xp.where(bounded, reach * bent, out), xp.where(bounded, 1 - bent * bent, 1)
