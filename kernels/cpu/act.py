"""Twin of `reference/act.py`."""

from functools import cache

from minipg.kernels.cpu import distribution, distribution_params, mlp
from minipg.kernels.cpu._jit import jit, matrix, unowned


@jit
def act(policy, theta, obs, noise, params, act, work):
    """a ~ π_θ(·|s).   theta (P,), obs (B, O), noise (B, …) → params (B, D), act (B, …).   work (work_size,)."""
    policy = distribution_params._unowned(policy)
    network, theta, work, rows = policy.network, unowned(theta), unowned(work), obs.shape[0]
    n, n_network = network.sizes[-1], mlp.size(network)
    out, hidden = matrix(work, 0, rows, n), work[rows * n :]
    mlp.forward(theta[:n_network], network, obs, out, hidden)
    distribution_params.parameters(policy.form, policy.log_std_range, obs, out, theta[n_network:], params)
    distribution.sample(policy.family, params, noise, act)


@cache
def work_size(sizes, n_params, rows):
    """The length of `work`, from the layer sizes, the length of θ and the number of rows."""
    return rows * sum(sizes[1:])
