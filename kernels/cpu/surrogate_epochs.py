"""Twin of `reference/surrogate_epochs.py`: all epochs in one call, a minibatch in blocks that fit in cache."""

import math
from functools import cache

from minipg.kernels.arguments import Acted, block_rows
from minipg.kernels.cpu import advantages, distribution, distribution_params, mlp, optimizer, surrogate, surrogate_value
from minipg.kernels.cpu._jit import jit, matrix, part, unowned


@jit
def gradient(policy, theta, acted, logp_old, terms, chosen, wants_kl, grad, means, act, work):
    """∇L on the `chosen` rows (M,) → grad (P,), means (2,): KL(old‖π_θ) if wanted, the share of ratios outside 1 ± ε.

    theta (P,), acted: B rows, logp_old (B,).   act (M, …) and work (work_size,) are work arrays.
    """
    _gradient(policy, theta, acted, logp_old, terms, chosen, wants_kl, grad, means, act, work)


@jit
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
    policy = distribution_params._unowned(policy)
    theta, first, second, stats, work = unowned(theta), unowned(first), unowned(second), unowned(stats), unowned(work)
    rows = order.shape[1]
    adv, logp_old, rest = work[:rows], work[rows : 2 * rows], work[2 * rows :]
    old, acts = unowned(acted.params), unowned(acted.act)
    for i in range(rows):
        adv[i] = acted.adv[i]
    if normalizes:
        advantages.normalize(acted.adv, adv)
    acted = Acted(unowned(acted.obs), acts, adv, old)
    distribution.log_prob(policy.family, old, acts, logp_old)
    minibatch_means = stats[2:4]  # work memory of the epochs: the results that belong there are written afterwards
    taken, beyond = _epochs(
        policy, acted, logp_old, terms, epochs, max_kl, unowned(order), step, theta, first, second, minibatch_means,
        unowned(act), rest,
    )  # fmt: skip
    stats[0], stats[1] = taken, beyond / max(taken, 1)
    stats[2:5] = math.nan
    if measures:
        surrogate_value._surrogate_value(policy, theta, acted, logp_old, True, stats[2:5], rest)
    for i in range(2, 5):
        stats[i] /= rows
    stats[5] = optimizer.is_finite(theta) and optimizer.is_finite(first) and optimizer.is_finite(second)


@part
def _epochs(policy, acted, logp_old, terms, epochs, max_kl, order, step, theta, first, second, means, act, work):
    """→ the Adam steps taken, and the sum over them of the share of ratios outside 1 ± ε."""
    size, n_network, (low, high) = theta.shape[0], mlp.size(policy.network), policy.log_std_range
    grad, rest, taken, beyond = work[:size], work[size:], 0, 0.0
    for epoch in range(order.shape[0]):
        for start in range(0, order.shape[1], epochs.minibatch_size):
            chosen = order[epoch, start : start + epochs.minibatch_size]
            _gradient(policy, theta, acted, logp_old, terms, chosen, max_kl < math.inf, grad, means, act, rest)
            kl, share_beyond = means[0], means[1]
            if kl > max_kl:
                return taken, beyond
            taken, beyond = taken + 1, beyond + share_beyond
            if epochs.max_grad_norm < math.inf:
                optimizer._clip_in_place(grad, epochs.max_grad_norm)
            optimizer.adam(grad, epochs.adam, step + taken, theta, first, second)
            for i in range(n_network, size):
                theta[i] = min(max(theta[i], low), high)
    return taken, beyond


@part
def _gradient(policy, theta, acted, logp_old, terms, chosen, wants_kl, grad, means, act, work):
    policy = distribution_params._unowned(policy)
    network, theta, grad, work = policy.network, unowned(theta), unowned(grad), unowned(work)
    act, chosen, obs, logp_old = unowned(act), unowned(chosen), unowned(acted.obs), unowned(logp_old)
    acted = Acted(obs, unowned(acted.act), unowned(acted.adv), unowned(acted.params))
    inputs, n, units, n_network = obs.shape[1], network.sizes[-1], mlp._units(network.sizes), mlp.size(network)
    block_grad, rest = work[:n_network], work[n_network:]
    grad[n_network:] = 0
    means[:] = 0
    for start in range(0, chosen.shape[0], network.block):
        rows = chosen[start : start + network.block]
        m = rows.shape[0]
        a, b, c, d = m * inputs, m * (inputs + n), m * (inputs + 2 * n), m * (inputs + 2 * n + units)
        x, out, g = mlp._gathered(network.kind, obs, rows, rest, 0), matrix(rest, a, m, n), matrix(rest, b, m, n)
        hidden = rest[c:d]
        mlp.forward(theta[:n_network], network, x, out, hidden)
        _output_gradient(
            policy, theta[n_network:], acted, logp_old, terms, rows, chosen.shape[0], wants_kl, x, out, g,
            grad[n_network:], means, act[:m], rest[d:],
        )  # fmt: skip
        target = block_grad if start else grad[:n_network]
        mlp.vjp(theta[:n_network], network, x, hidden, g, target, rest[d:])
        if start:
            for i in range(n_network):
                grad[i] += block_grad[i]
    for i in range(2):
        means[i] /= chosen.shape[0]


@part
def _output_gradient(
    policy, log_std, acted, logp_old, terms, rows, total, wants_kl, x, out, g, log_std_grad, sums, act, work
):
    """(1/total) Σ over `rows` of the gradient of a row: in the outputs → g (m, n); in log σ, added to log_std_grad."""
    family, count, width = policy.family, rows.shape[0], acted.params.shape[1]
    lowest, highest = math.log1p(-min(terms.clip_range, 1.0)), math.log1p(terms.clip_range)
    share = out.dtype.type(1 / total)
    size, rest = count * width, work[4 * count * width :]
    params, before = matrix(work, 0, count, width), matrix(work, size, count, width)
    u, extra = matrix(work, 2 * size, count, width), matrix(work, 3 * size, count, width)
    logp, logp_before = rest[:count], rest[count : 2 * count]
    adv, weight = rest[2 * count : 3 * count], rest[3 * count : 4 * count]
    columns = act.size // count
    chosen, choices = matrix(act, 0, count, columns), matrix(acted.act, 0, acted.adv.shape[0], columns)
    for i in range(count):
        for j in range(chosen.shape[1]):  # a row at once would take seconds to compile
            chosen[i, j] = choices[rows[i], j]
        adv[i] = acted.adv[rows[i]]
        logp_before[i] = logp_old[rows[i]]
        for j in range(width):
            before[i, j] = acted.params[rows[i], j]

    distribution_params.parameters(policy.form, policy.log_std_range, x, out, log_std, params)
    distribution._score_and_log_prob(family, params, act, u, logp)
    surrogate.clipped_gradient(logp, logp_before, adv, terms.clip_range, weight)
    for i in range(count):
        sums[1] += not lowest <= logp[i] - logp_before[i] <= highest
        weight[i] *= share
        for j in range(width):
            u[i, j] *= weight[i]
    if terms.kl_coef > 0:
        distribution.kl_gradient(family, before, params, extra)
        for i in range(count):
            for j in range(width):
                u[i, j] -= share * terms.kl_coef * extra[i, j]
    if terms.ent_coef > 0:
        distribution.entropy_gradient(family, params, extra)
        for i in range(count):
            for j in range(width):
                u[i, j] += share * terms.ent_coef * extra[i, j]
    if wants_kl:
        distribution.kl(family, before, params, logp)
        for i in range(count):
            sums[0] += logp[i]
    distribution_params.pull_back(policy.form, policy.log_std_range, x, out, u, g, log_std_grad)


@cache
def work_size(sizes, n_params, rows, minibatch_size):
    """The length of `work`, from the layer sizes, the length of θ, and the rows of a batch and of a minibatch."""
    per_row = sizes[0] + 2 * sizes[-1] + sum(sizes[1:-1]) + 2 * max(sizes[1:]) + 4 * (2 * sizes[-1] + 1)
    block = n_params + min(minibatch_size, block_rows(sizes, n_params)) * per_row
    return 2 * rows + 2 * n_params + max(block, surrogate_value.work_size(sizes, n_params, rows))
