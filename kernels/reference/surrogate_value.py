"""The surrogate, the KL and the entropy of π_θ on a batch in which π_old acted."""

from minipg.kernels.reference import distribution, distribution_params, mlp, surrogate
from minipg.kernels.reference._namespace import namespace


def surrogate_value(policy, theta, acted, logp_old, wants_entropy, sums, work):
    """Σ r Â  (IS-3), Σ KL(old‖π_θ)  (TR-5), and Σ H(π_θ) if wanted → sums (3,).

    theta (P,), acted: B rows, logp_old (B,).   work (work_size,).
    """
    network, n_network = policy.network, mlp.size(policy.network)
    obs, act, adv, old = acted
    xp = namespace(obs)
    out, hidden = xp.empty((len(obs), network.sizes[-1]), theta.dtype), mlp._new_hidden(network, theta, obs)
    params, (logp, value, kl, entropy) = xp.empty_like(old), (xp.zeros_like(adv) for _ in range(4))
    mlp.forward(theta[:n_network], network, obs, out, hidden)
    distribution_params.parameters(policy.form, policy.log_std_range, obs, out, theta[n_network:], params)
    distribution.log_prob(policy.family, params, act, logp)
    surrogate.surrogate(logp, logp_old, adv, value)
    distribution.kl(policy.family, old, params, kl)
    if wants_entropy:
        distribution.entropy(policy.family, params, entropy)
    sums[...] = xp.stack([value, kl, entropy]).sum(axis=1, dtype=sums.dtype)


def work_size(sizes, n_params, rows):
    """The length of `work`: 0, because NumPy allocates what it needs."""
    return 0
