"""The Fisher–vector product of a policy: F v = (1/B) Σ Jᵀ M J v  (TR-9), without any second derivative.

J is the Jacobian of the distribution's parameters in θ, M the distribution's Fisher matrix (DI-3, DI-5).
F is also the Hessian of the mean KL(π_old‖π_θ) at θ_old. The Hessian of the network itself does not appear: the chain
rule multiplies it by the gradient of the KL in the parameters, which is 0 there.
"""

from minipg.kernels.reference import distribution, distribution_params, mlp
from minipg.kernels.reference._namespace import namespace


def fisher_product(policy, theta, forward, v, out, work):
    """Σ_rows Jᵀ M J v.   theta, v (P,), forward: B rows → out (P,).   work (work_size,)."""
    network, xp = policy.network, namespace(theta)
    (obs, hidden, outputs, params), n_network = forward, mlp.size(network)
    d_out, d_params, g = xp.empty_like(outputs), xp.empty_like(params), xp.empty_like(outputs)
    mlp.jvp(theta[:n_network], network, obs, hidden, v[:n_network], d_out, None)
    distribution_params.push_forward(policy.form, policy.log_std_range, obs, outputs, d_out, v[n_network:], d_params)
    distribution.fisher_product(policy.family, params, d_params, d_params)
    out[...] = 0
    distribution_params.pull_back(policy.form, policy.log_std_range, obs, outputs, d_params, g, out[n_network:])
    mlp.vjp(theta[:n_network], network, obs, hidden, g, out[:n_network], None)


def work_size(sizes, n_params, rows):
    """The length of `work`: 0, because NumPy allocates what it needs."""
    return 0
