"""Minibatch ascent on a surrogate that need not be left: its gradient over some rows of a batch, and the epochs.

    L(θ) = mean [ min(r Â, clip(r, 1 − ε, 1 + ε) Â) − β KL(old‖π_θ) + c H(π_θ) ],   r = π_θ/π_old    (PP-1, PP-2, PP-3)

`policy` is (form, (low, high), options, sizes, activation): how its distributions are read off the network (head.py),
what their kernels take beside their inputs, and the network itself (mlp.py). `batch` is obs (N, n₀), act (N, …),
adv (N,), old (N, D), log π_old (N,); `terms` are (ε, β, c).
"""

import math
from functools import cache
from importlib import import_module

from minipg.kernels.reference import distribution_params, mlp, optimizer, surrogate
from minipg.kernels.reference._namespace import host_knows, namespace


@cache
def gradient(family):
    """∇L over some rows, of a policy whose distributions have that name: a kernel.

    theta (P,), rows (B,) → grad (P,), told (2,): the mean KL(old‖π_θ) if `wants_kl`, and the share of ratios beyond ε.
    acted (B, …) as act, work (2 P + B·(n₀ + 2 n + Σ hidden + 2·max n + 4 (D + 1)),).
    """
    distribution = import_module(f"minipg.kernels.reference.{family}")

    def _gradient(policy, theta, batch, terms, rows, wants_kl, grad, told, acted, work):
        form, bounds, options, sizes, activation = policy
        obs, act, adv, old, logp_old = (array[rows] for array in batch)
        xp, (clip_range, beta, entropy_weight) = namespace(obs), terms
        count = sum(sizes[1:] * (sizes[:-1] + 1))
        out, hidden = xp.empty((len(obs), sizes[-1]), obs.dtype), xp.empty(len(obs) * sum(sizes[1:-1]), obs.dtype)
        mlp.forward(theta[:count], sizes, activation, obs, out, hidden)
        params = xp.empty_like(old)
        distribution_params.parameters(form, bounds, out, theta[count:], params)

        logp, weight, kl = (xp.empty_like(adv) for _ in range(3))
        distribution.log_prob(params, act, *options, logp)
        surrogate.clipped_gradient(logp, logp_old, adv, clip_range, weight)
        score, kl_gradient, entropy_gradient = (xp.empty_like(params) for _ in range(3))
        distribution.score(params, act, *options, score)
        distribution.kl_gradient(old, params, *options, kl_gradient)
        distribution.entropy_gradient(params, *options, entropy_gradient)
        u = (weight[:, None] * score - beta * kl_gradient + entropy_weight * entropy_gradient) / len(obs)

        g, grad[...] = xp.empty_like(out), 0
        distribution_params.pull_back(form, bounds, out, u, g, grad[count:])
        mlp.vjp(theta[:count], sizes, activation, obs, hidden, g, grad[:count], None)
        distribution.kl(old, params, *options, kl)
        told[...] = xp.stack([kl.mean(), (abs(xp.exp(logp - logp_old) - 1) > clip_range).mean()])

    return _gradient


@cache
def climb(family):
    """Minibatch Adam on L  (AC-3), every epoch: a kernel. It ends before a step from where a mean KL exceeds `max_kl`.

    order (E, N) the rows as epochs visit them, adam (α, β₁, β₂, ε), limits (the KL, the norm to which gradients are
    shortened), `step` the Adam steps taken before → theta, first, second (P,), changed in place, log σ in the tail of θ
    kept in its bounds; told (2,): the steps taken, and the sum over them of the share of ratios beyond ε.
    acted, work as for `gradient` of a minibatch, and P more of work.
    """
    slope = gradient(family)

    def _climb(
        policy, batch, terms, order, minibatch_size, adam, limits, step, theta, first, second, told, acted, work
    ):  # fmt: skip
        form, (low, high), _, sizes, _ = policy
        learning_rate, beta1, beta2, epsilon = adam
        max_kl, max_norm = limits
        xp, grad, here, going, moved = namespace(theta), 0 * theta, 0 * told, True, (theta, first, second, told)
        told[...] = 0
        for epoch in range(len(order)):
            rows = order[epoch]
            for start in range(0, len(rows), minibatch_size):
                slope(policy, theta, batch, terms, rows[start : start + minibatch_size], True, grad, here, acted, work)
                if max_kl < math.inf:
                    going = going & ~(here[0] > max_kl)
                if host_knows(going) and not going:
                    return
                # where a look would wait for the device, the steps go on, and nothing is moved by them any more
                before = () if host_knows(going) else [array.copy() for array in moved]
                step += 1
                optimizer.clip_global_norm(grad, max_norm, grad)
                told += xp.stack([xp.ones_like(here[1]), here[1]])
                optimizer.adam(grad, learning_rate, beta1, beta2, epsilon, step, theta, first, second)
                if form == 1:
                    theta[-sizes[-1] :] = xp.clip(theta[-sizes[-1] :], low, high)
                for now, was in zip(moved, before, strict=False):
                    now[...] = xp.where(going, now, was)

    return _climb
