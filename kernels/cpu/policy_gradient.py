"""Twin of `reference/policy_gradient.py`."""

from functools import cache

from minipg.kernels.arguments import ForwardPass
from minipg.kernels.cpu import distribution, distribution_params, mlp
from minipg.kernels.cpu._jit import jit, matrix, part, unowned


@jit
def gradient(policy, theta, forward, act, weight, ent_coef, grad, work):
    """Σ_rows [weight ∇log π(a|s) + c ∇H]  (PG-9).   theta (P,), act (B, …), weight (B,) → grad (P,).

    forward: the results of `mlp.forward` and `distribution_params.parameters`.   work (work_size,).
    """
    _gradient(policy, theta, forward, act, weight, ent_coef, grad, work)


@part
def _gradient(policy, theta, forward, act, weight, ent_coef, grad, work):
    policy = distribution_params._unowned(policy)
    network, theta, work = policy.network, unowned(theta), unowned(work)
    obs, hidden, out, params = forward
    rows, n, width, n_network = out.shape[0], out.shape[1], params.shape[1], mlp.size(network)
    grad, act, weight, params = unowned(grad), unowned(act), unowned(weight), unowned(params)
    g, rest, size = matrix(work, 0, rows, n), work[rows * n :], rows * width
    u, entropy_grad = matrix(rest, 0, rows, width), matrix(rest, size, rows, width)
    distribution.score(policy.family, params, act, u)
    for i in range(rows):
        for j in range(width):
            u[i, j] *= weight[i]
    if ent_coef != 0:
        distribution.entropy_gradient(policy.family, params, entropy_grad)
        for i in range(rows):
            for j in range(width):
                u[i, j] += ent_coef * entropy_grad[i, j]
    grad[n_network:] = 0
    distribution_params.pull_back(policy.form, policy.log_std_range, obs, out, u, g, grad[n_network:])
    mlp.vjp(theta[:n_network], network, obs, hidden, g, grad[:n_network], rest)


@jit
def gradient_and_entropy(policy, theta, obs, act, weight, ent_coef, grad, entropy, work):
    """`gradient` with its forward pass, and Σ H.   obs (B, O) → grad (P,), entropy (1,).   work (work_size,)."""
    _gradient_and_entropy(policy, theta, obs, act, weight, ent_coef, grad, entropy, work)


@part
def _gradient_and_entropy(policy, theta, obs, act, weight, ent_coef, grad, entropy, work):
    policy = distribution_params._unowned(policy)
    network, theta, work, rows = policy.network, unowned(theta), unowned(work), obs.shape[0]
    n, units, n_network = network.sizes[-1], mlp._units(network.sizes), mlp.size(network)
    width = n + theta.shape[0] - n_network
    a, b, c = rows * n, rows * (n + width), rows * (n + width + units)
    out, params, hidden, rest = matrix(work, 0, rows, n), matrix(work, a, rows, width), work[b:c], work[c:]
    mlp.forward(theta[:n_network], network, obs, out, hidden)
    distribution_params.parameters(policy.form, policy.log_std_range, obs, out, theta[n_network:], params)
    _gradient(policy, theta, ForwardPass(unowned(obs), hidden, out, params), act, weight, ent_coef, grad, rest)
    entropies = rest[:rows]
    distribution.entropy(policy.family, params, entropies)
    total = 0.0
    for i in range(rows):
        total += entropies[i]
    entropy[0] = total


@cache
def work_size(sizes, n_params, rows):
    """The length of `work`, from the layer sizes, the length of θ and the number of rows."""
    return n_params + rows * (8 * sizes[-1] + sum(sizes[1:-1]) + 2 * max(sizes[1:]))
