"""Twin of `reference/surrogate_value.py`, a block of rows at a time."""

from functools import cache

from minipg.kernels.arguments import block_rows
from minipg.kernels.cpu import distribution, distribution_params, mlp, surrogate
from minipg.kernels.cpu._jit import jit, matrix, part, unowned


@jit
def surrogate_value(policy, theta, acted, logp_old, wants_entropy, sums, work):
    """Σ r Â  (IS-3), Σ KL(old‖π_θ)  (TR-5), and Σ H(π_θ) if wanted → sums (3,).

    theta (P,), acted: B rows, logp_old (B,).   work (work_size,).
    """
    _surrogate_value(policy, theta, acted, logp_old, wants_entropy, sums, work)


@part
def _surrogate_value(policy, theta, acted, logp_old, wants_entropy, sums, work):
    policy = distribution_params._unowned(policy)
    network, theta, work = policy.network, unowned(theta), unowned(work)
    obs, act, adv, old = unowned(acted.obs), unowned(acted.act), unowned(acted.adv), unowned(acted.params)
    n, units, width, n_network = network.sizes[-1], mlp._units(network.sizes), old.shape[1], mlp.size(network)
    value, kl, entropy = 0.0, 0.0, 0.0
    for start in range(0, obs.shape[0], network.block):
        stop = min(start + network.block, obs.shape[0])
        m = stop - start
        a, b, c = m * n, m * (n + units), m * (n + units + width)
        out, hidden, params, values = matrix(work, 0, m, n), work[a:b], matrix(work, b, m, width), work[c : c + m]
        x, log_std = obs[start:stop], theta[n_network:]
        mlp.forward(theta[:n_network], network, x, out, hidden)
        distribution_params.parameters(policy.form, policy.log_std_range, x, out, log_std, params)
        distribution.log_prob(policy.family, params, act[start:stop], values)
        surrogate.surrogate(values, logp_old[start:stop], adv[start:stop], values)
        for i in range(m):
            value += values[i]
        distribution.kl(policy.family, old[start:stop], params, values)
        for i in range(m):
            kl += values[i]
        if wants_entropy:
            distribution.entropy(policy.family, params, values)
            for i in range(m):
                entropy += values[i]
    sums[0], sums[1], sums[2] = value, kl, entropy


@cache
def work_size(sizes, n_params, rows):
    """The length of `work`, from the layer sizes, the length of θ and the number of rows."""
    return min(rows, block_rows(sizes, n_params)) * (3 * sizes[-1] + sum(sizes[1:-1]) + 1)
