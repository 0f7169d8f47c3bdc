"""Sample the actions of a policy."""

from minipg.kernels.reference import distribution, distribution_params, mlp
from minipg.kernels.reference._namespace import namespace


def act(policy, theta, obs, noise, params, act, work):
    """a ~ π_θ(·|s).   theta (P,), obs (B, O), noise (B, …) → params (B, D), act (B, …).   work (work_size,)."""
    network, xp, n_network = policy.network, namespace(obs), mlp.size(policy.network)
    out, hidden = xp.empty((len(obs), network.sizes[-1]), theta.dtype), mlp._new_hidden(network, theta, obs)
    mlp.forward(theta[:n_network], network, obs, out, hidden)
    distribution_params.parameters(policy.form, policy.log_std_range, obs, out, theta[n_network:], params)
    distribution.sample(policy.family, params, noise, act)


def work_size(sizes, n_params, rows):
    """The length of `work`: 0, because NumPy allocates what it needs."""
    return 0
