"""`reference/policy_gradient.py` with one row kernel between the two passes through the network."""

from functools import cache

import cupy
from minipg.kernels.gpu import distribution_params, mlp
from minipg.kernels.gpu._arrays import sum_columns
from minipg.kernels.gpu._families import row_kernels


@cache
def gradient(family):
    """Σ over rows of weight ∇log π(a|s) + c ∇H  (PG-9), of a policy whose distributions have that name: a kernel."""
    run = row_kernels(family)

    def _gradient(policy, theta, forward, act, weight, entropy_weight, grad, work):
        form, bounds, options, sizes, activation = policy
        obs, hidden, out, params = forward
        (rows, n), width, count = out.shape, params.shape[1], len(theta) - (sizes[-1] if form == 1 else 0)
        u, v, g = cupy.empty_like(params), cupy.empty_like(params), cupy.empty_like(out)
        tail = cupy.empty((rows, width - n), params.dtype)
        run("policy_gradient", options, params, form, n, *bounds, out, act, weight, entropy_weight, u, v, g, tail)
        sum_columns(tail, grad[count:])
        mlp.vjp(theta[:count], sizes, activation, obs, hidden, g, grad[:count], work)

    return _gradient


@cache
def from_observations(family):
    """The same with its forward pass, and what their entropies add up to: a kernel."""
    run, of_forward = row_kernels(family), gradient(family)

    def _from_observations(policy, theta, obs, act, weight, entropy_weight, grad, told, work):
        form, bounds, options, sizes, activation = policy
        rows, n, units = len(obs), int(sizes[-1]), int(sizes[1:-1].sum())
        count = len(theta) - (n if form == 1 else 0)
        out, hidden = cupy.empty((rows, n), obs.dtype), cupy.empty(rows * units, obs.dtype)
        params, entropy = cupy.empty((rows, n + len(theta) - count), obs.dtype), cupy.empty(rows, obs.dtype)
        mlp.forward(theta[:count], sizes, activation, obs, out, hidden)
        distribution_params.parameters(form, bounds, out, theta[count:], params)
        run("entropy", options, params, entropy)
        sum_columns(entropy, told)
        of_forward(policy, theta, (obs, hidden, out, params), act, weight, entropy_weight, grad, work)

    return _from_observations
