"""Twin of `reference/fisher.py`: J, M and Jᵀ are applied to one tile of rows at a time, which fits in cache."""

from functools import cache

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
    units, weights, n, width = mlp._units(network.sizes), mlp.size(network.sizes), outputs.shape[1], params.shape[1]
    tile_out, rest = work[:weights], work[weights:]
    out[:] = 0
    for start in range(0, params.shape[0], mlp.TILE):
        stop = min(start + mlp.TILE, params.shape[0])
        m = stop - start
        x, h, y, p = obs[start:stop], hidden[start * units : stop * units], outputs[start:stop], params[start:stop]
        g, d = matrix(rest, 0, m, n), matrix(rest, m * n, m, width)
        scratch = rest[m * (n + width) :]
        mlp.jvp(theta[:weights], network.sizes, network.activation, x, h, v[:weights], g, scratch)
        distribution_params.push_forward(policy.form, policy.log_std_range, y, g, v[weights:], d)
        distribution.fisher_product(policy.family, p, d, d)
        distribution_params.pull_back(policy.form, policy.log_std_range, y, d, g, out[weights:])
        mlp.vjp(theta[:weights], network.sizes, network.activation, x, h, g, tile_out, scratch)
        for i in range(weights):
            out[i] += tile_out[i]


@cache
def work_size(sizes, n_params, rows):
    """The length of `work`, from the layer sizes, the length of θ and the number of rows."""
    n, weights = sizes[-1], mlp.size(sizes)
    return 2 * weights + min(rows, mlp.TILE) * (2 * n + n_params - weights + 3 * max(sizes))
