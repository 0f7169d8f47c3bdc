"""What a policy does in the states that it sees."""

from functools import cache
from importlib import import_module

from minipg.kernels.reference import distribution_params, mlp
from minipg.kernels.reference._namespace import namespace


@cache
def act(family):
    """a ~ π_θ(·|s), of a policy whose distributions have that name: a kernel.

    policy as in `proximal.py`, theta (P,), obs (B, n₀), noise (B, …) for `sample` → params (B, D), act (B, …).
    work (B·(n + Σ hidden),).
    """
    distribution = import_module(f"minipg.kernels.reference.{family}")

    def _act(policy, theta, obs, noise, params, act, work):
        form, bounds, options, sizes, activation = policy
        xp, count = namespace(obs), sum(sizes[1:] * (sizes[:-1] + 1))
        out, hidden = xp.empty((len(obs), sizes[-1]), obs.dtype), xp.empty(len(obs) * sum(sizes[1:-1]), obs.dtype)
        mlp.forward(theta[:count], sizes, activation, obs, out, hidden)
        distribution_params.parameters(form, bounds, out, theta[count:], params)
        distribution.sample(params, noise, *options, act)

    return _act
