"""The policy gradient: the gradient of the weighted log-probabilities of the actions, plus an entropy bonus."""

from minipg.kernels.arguments import ForwardPass
from minipg.kernels.reference import distribution, distribution_params, mlp
from minipg.kernels.reference._namespace import namespace


def gradient(policy, theta, forward, act, weight, ent_coef, grad, work):
    """Σ_rows [weight ∇log π(a|s) + c ∇H]  (PG-9).   theta (P,), act (B, …), weight (B,) → grad (P,).

    forward: the results of `mlp.forward` and `distribution_params.parameters`.   work (work_size,).
    """
    network, (obs, hidden, out, params) = policy.network, forward
    xp, n_network = namespace(obs), mlp.size(policy.network)
    score, entropy_gradient, g = xp.empty_like(params), xp.empty_like(params), xp.empty_like(out)
    distribution.score(policy.family, params, act, score)
    distribution.entropy_gradient(policy.family, params, entropy_gradient)
    u = weight[:, None] * score + ent_coef * entropy_gradient
    grad[...] = 0
    distribution_params.pull_back(policy.form, policy.log_std_range, obs, out, u, g, grad[n_network:])
    mlp.vjp(theta[:n_network], network, obs, hidden, g, grad[:n_network], None)


def gradient_and_entropy(policy, theta, obs, act, weight, ent_coef, grad, entropy, work):
    """`gradient` with its forward pass, and Σ H.   obs (B, O) → grad (P,), entropy (1,).   work (work_size,)."""
    network, xp, n_network = policy.network, namespace(obs), mlp.size(policy.network)
    out, hidden = xp.empty((len(obs), network.sizes[-1]), theta.dtype), mlp._new_hidden(network, theta, obs)
    mlp.forward(theta[:n_network], network, obs, out, hidden)
    params = xp.empty((len(obs), out.shape[1] + len(theta) - n_network), theta.dtype)
    distribution_params.parameters(policy.form, policy.log_std_range, obs, out, theta[n_network:], params)
    gradient(policy, theta, ForwardPass(obs, hidden, out, params), act, weight, ent_coef, grad, work)
    entropies = xp.empty_like(weight)
    distribution.entropy(policy.family, params, entropies)
    entropy[...] = entropies.sum(dtype=entropy.dtype)


def work_size(sizes, n_params, rows):
    """The length of `work`: 0, because NumPy allocates what it needs."""
    return 0
