"""Several epochs of minibatch Adam on a clipped or penalised surrogate, and the gradient on one minibatch.

L(θ) = mean [ min(r Â, clip(r, 1 − ε, 1 + ε) Â) − β KL(old‖π_θ) + c H(π_θ) ],   r = π_θ/π_old    (PP-1, PP-2, PP-3)
"""

import math

from minipg.kernels.arguments import Acted
from minipg.kernels.reference import (
    advantages,
    distribution,
    distribution_params,
    mlp,
    optimizer,
    surrogate,
    surrogate_value,
)
from minipg.kernels.reference._namespace import host_knows, namespace


def gradient(policy, theta, acted, logp_old, terms, chosen, wants_kl, grad, means, act, work):
    """∇L on the `chosen` rows (M,) → grad (P,), means (2,): KL(old‖π_θ) if wanted, the share of ratios outside 1 ± ε.

    theta (P,), acted: B rows, logp_old (B,).   act (M, …) and work (work_size,) are work arrays.
    """
    network, n_network = policy.network, mlp.size(policy.network)
    obs, acts, adv, old, logp_old = (array[chosen] for array in (*acted, logp_old))
    xp = namespace(obs)
    out, hidden = xp.empty((len(obs), network.sizes[-1]), theta.dtype), mlp._new_hidden(network, theta, obs)
    mlp.forward(theta[:n_network], network, obs, out, hidden)
    params = xp.empty_like(old)
    distribution_params.parameters(policy.form, policy.log_std_range, obs, out, theta[n_network:], params)

    logp, weight, kl = (xp.empty_like(adv) for _ in range(3))
    distribution.log_prob(policy.family, params, acts, logp)
    surrogate.clipped_gradient(logp, logp_old, adv, terms.clip_range, weight)
    score, kl_gradient, entropy_gradient = (xp.empty_like(params) for _ in range(3))
    distribution.score(policy.family, params, acts, score)
    distribution.kl_gradient(policy.family, old, params, kl_gradient)
    distribution.entropy_gradient(policy.family, params, entropy_gradient)
    u = (weight[:, None] * score - terms.kl_coef * kl_gradient + terms.ent_coef * entropy_gradient) / len(obs)

    g, grad[...] = xp.empty_like(out), 0
    distribution_params.pull_back(policy.form, policy.log_std_range, obs, out, u, g, grad[n_network:])
    mlp.vjp(theta[:n_network], network, obs, hidden, g, grad[:n_network], None)
    distribution.kl(policy.family, old, params, kl)
    means[...] = xp.stack([kl.mean(), (abs(xp.exp(logp - logp_old) - 1) > terms.clip_range).mean()])


def ascend(
    policy, acted, terms, normalizes, epochs, max_kl, measures, order, step, theta, first, second, stats, act, work
):  # fmt: skip
    """Epochs of minibatch Adam on L  (AC-3) → theta, first, second (P,) changed in place, stats (6,).

    acted: B rows; order (E, B) int64: the rows as the epochs visit them; step: Adam steps taken before. The
    epochs stop before a step if the minibatch's mean KL(old‖π_θ) exceeds max_kl.
    stats: Adam steps taken; the mean share of ratios outside 1 ± ε; mean r Â, KL(old‖π_θ) and H of the new θ, NaN
    unless `measures`; 1 if all is finite.
    act (M, …) of a minibatch and work (work_size,) are work arrays.
    """
    xp, logp_old, adv = namespace(theta), namespace(theta).empty_like(acted.adv), acted.adv.copy()
    if normalizes:
        advantages.normalize(acted.adv, adv)
    acted = Acted(acted.obs, acted.act, adv, acted.params)
    distribution.log_prob(policy.family, acted.params, acted.act, logp_old)
    taken, beyond = _epochs(policy, acted, logp_old, terms, epochs, max_kl, order, step, theta, first, second)
    sums, rows = xp.full(3, math.nan), len(adv)
    if measures:
        surrogate_value.surrogate_value(policy, theta, acted, logp_old, True, sums, None)
    finite = optimizer.is_finite(theta) & optimizer.is_finite(first) & optimizer.is_finite(second)
    stats[...] = xp.stack([taken, beyond / xp.maximum(taken, 1), *(sums[i] / rows for i in range(3)), finite])


def _epochs(policy, acted, logp_old, terms, epochs, max_kl, order, step, theta, first, second):
    """→ the Adam steps taken, and the sum over them of the share of ratios outside 1 ± ε."""
    xp, n_network, (low, high) = namespace(theta), mlp.size(policy.network), policy.log_std_range
    grad, means, running = xp.empty_like(theta), xp.empty(2), xp.ones((), bool)
    taken, beyond = xp.zeros(()), xp.zeros(())
    for epoch in range(len(order)):
        for start in range(0, order.shape[1], epochs.minibatch_size):
            chosen = order[epoch, start : start + epochs.minibatch_size]
            gradient(policy, theta, acted, logp_old, terms, chosen, True, grad, means, None, None)
            kl, share_beyond = means[0], means[1]
            if max_kl < math.inf:
                running = running & ~(kl > max_kl)
            if host_knows(running) and not running:
                return taken, beyond
            # reading a device's flag waits for it: there the loop continues, but changes nothing after the stop
            before = () if max_kl == math.inf else [array.copy() for array in (theta, first, second)]
            taken, beyond, step = taken + running, beyond + running * share_beyond, step + 1
            optimizer.clip_global_norm(grad, epochs.max_grad_norm, grad)
            optimizer.adam(grad, epochs.adam, step, theta, first, second)
            theta[n_network:] = xp.clip(theta[n_network:], low, high)
            for now, was in zip((theta, first, second), before, strict=False):
                now[...] = xp.where(running, now, was)
    return taken, beyond


def work_size(sizes, n_params, rows, minibatch_size):
    """The length of `work`: 0, because NumPy allocates what it needs."""
    return 0
