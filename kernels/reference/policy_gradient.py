"""The gradient of the log-probability of what was done, over some rows."""

from functools import cache
from importlib import import_module

from minipg.kernels.reference import distribution_params, mlp
from minipg.kernels.reference._namespace import namespace


@cache
def gradient(family):
    """Σ over rows of weight ∇log π(a|s) + c ∇H  (PG-9), of a policy whose distributions have that name: a kernel.

    policy as in `proximal.py`, theta (P,), forward: obs (B, n₀), hidden and out (B, n) as `mlp.forward` left them, and
    params (B, D) as `distribution_params.parameters` did; act (B, …), weight (B,), c the entropy's weight → grad (P,).
    work (P + B·(n + 2 D + 2·max n),).
    """
    distribution = import_module(f"minipg.kernels.reference.{family}")

    def _gradient(policy, theta, forward, act, weight, entropy_weight, grad, work):
        form, bounds, options, sizes, activation = policy
        obs, hidden, out, params = forward
        xp, count = namespace(obs), sum(sizes[1:] * (sizes[:-1] + 1))
        score, entropy_gradient, g = xp.empty_like(params), xp.empty_like(params), xp.empty_like(out)
        distribution.score(params, act, *options, score)
        distribution.entropy_gradient(params, *options, entropy_gradient)
        u = weight[:, None] * score + entropy_weight * entropy_gradient
        grad[...] = 0
        distribution_params.pull_back(form, bounds, out, u, g, grad[count:])
        mlp.vjp(theta[:count], sizes, activation, obs, hidden, g, grad[:count], None)

    return _gradient


@cache
def from_observations(family):
    """The same with its forward pass, and what their entropies add up to: a kernel.

    policy, theta (P,), obs (B, n₀), act (B, …), weight (B,), c → grad (P,), told (1,): Σ H.
    work (P + B·(2 n + 3 D + Σ hidden + 2·max n),).
    """
    distribution, of_forward = import_module(f"minipg.kernels.reference.{family}"), gradient(family)

    def _from_observations(policy, theta, obs, act, weight, entropy_weight, grad, told, work):
        form, bounds, options, sizes, activation = policy
        xp, count, dtype = namespace(obs), sum(sizes[1:] * (sizes[:-1] + 1)), obs.dtype
        out, hidden = xp.empty((len(obs), sizes[-1]), dtype), xp.empty(len(obs) * sum(sizes[1:-1]), dtype)
        mlp.forward(theta[:count], sizes, activation, obs, out, hidden)
        params = xp.empty((len(obs), out.shape[1] + len(theta) - count), dtype)
        distribution_params.parameters(form, bounds, out, theta[count:], params)
        of_forward(policy, theta, (obs, hidden, out, params), act, weight, entropy_weight, grad, work)
        entropy = xp.empty_like(weight)
        distribution.entropy(params, *options, entropy)
        told[...] = entropy.sum(dtype=told.dtype)

    return _from_observations
