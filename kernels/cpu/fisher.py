"""Twin of `reference/fisher.py`: J, M and Jᵀ are applied to one block of rows at a time, which fits in cache."""

from functools import cache

from minipg.kernels.arguments import block_rows
from minipg.kernels.cpu import distribution, distribution_params, mlp
from minipg.kernels.cpu._jit import jit, matrix, part, unowned


@jit
def fisher_product(policy, theta, forward, v, out, work):
    """Σ_rows Jᵀ M J v  (TR-9).   theta, v (P,), forward: B rows → out (P,).   work (work_size,)."""
    _fisher_product(policy, theta, forward, v, out, work)


@part
def _fisher_product(policy, theta, forward, v, out, work):
    policy = distribution_params._unowned(policy)
    network, theta, v, out, work = policy.network, unowned(theta), unowned(v), unowned(out), unowned(work)
    obs, hidden, outputs, params = forward
    obs, hidden, outputs, params = unowned(obs), unowned(hidden), unowned(outputs), unowned(params)
    units, n_network, n, width = mlp._units(network.sizes), mlp.size(network), outputs.shape[1], params.shape[1]
    block_out, rest = work[:n_network], work[n_network:]
    out[:] = 0
    for start in range(0, params.shape[0], network.block):
        stop = min(start + network.block, params.shape[0])
        m = stop - start
        x, h, y, p = obs[start:stop], hidden[start * units : stop * units], outputs[start:stop], params[start:stop]
        g, d = matrix(rest, 0, m, n), matrix(rest, m * n, m, width)
        scratch = rest[m * (n + width) :]
        mlp.jvp(theta[:n_network], network, x, h, v[:n_network], g, scratch)
        distribution_params.push_forward(policy.form, policy.log_std_range, x, y, g, v[n_network:], d)
        distribution.fisher_product(policy.family, p, d, d)
        distribution_params.pull_back(policy.form, policy.log_std_range, x, y, d, g, out[n_network:])
        mlp.vjp(theta[:n_network], network, x, h, g, block_out, scratch)
        for i in range(n_network):
            out[i] += block_out[i]


@cache
def work_size(sizes, n_params, rows):
    """The length of `work`, from the layer sizes, the length of θ and the number of rows."""
    return 2 * n_params + min(rows, block_rows(sizes, n_params)) * (3 * sizes[-1] + 3 * max(sizes[1:]))
