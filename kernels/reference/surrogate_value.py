"""What a policy is worth on a batch that another one acted in."""

from functools import cache
from importlib import import_module

from minipg.kernels.reference import distribution_params, mlp, surrogate
from minipg.kernels.reference._namespace import namespace


@cache
def evaluate(family):
    """Of a policy whose distributions have that name: a kernel.

    policy as in `proximal.py`, theta (P,), obs (B, n₀), act (B, …), adv (B,), old (B, D), logp_old (B,)
    → told (3,): Σ r Â  (IS-3), Σ KL(old‖π_θ)  (TR-5), and Σ H(π_θ) if `wants_entropy`.
    work (B·(n + Σ hidden + D + 1),).
    """
    distribution = import_module(f"minipg.kernels.reference.{family}")

    def _evaluate(policy, theta, obs, act, adv, old, logp_old, wants_entropy, told, work):
        form, bounds, options, sizes, activation = policy
        xp, count = namespace(obs), sum(sizes[1:] * (sizes[:-1] + 1))
        out, hidden = xp.empty((len(obs), sizes[-1]), obs.dtype), xp.empty(len(obs) * sum(sizes[1:-1]), obs.dtype)
        params, (logp, gain, kl, entropy) = xp.empty_like(old), (xp.zeros_like(adv) for _ in range(4))
        mlp.forward(theta[:count], sizes, activation, obs, out, hidden)
        distribution_params.parameters(form, bounds, out, theta[count:], params)
        distribution.log_prob(params, act, *options, logp)
        surrogate.surrogate(logp, logp_old, adv, gain)
        distribution.kl(old, params, *options, kl)
        if wants_entropy:
            distribution.entropy(params, *options, entropy)
        told[...] = xp.stack([gain, kl, entropy]).sum(axis=1, dtype=told.dtype)

    return _evaluate
