"""Products with the Fisher information matrix of a policy. The matrix itself is never formed  (TR-9).

F = E[∇log π ∇log πᵀ] = (1/B) Σ Jᵀ M J: the distribution's Fisher matrix M is the expectation over actions in closed
form. J v is one forward sweep, Jᵀ(·) one backward sweep, and no second derivative is needed. F is also the Hessian of
the mean KL(π_old‖π_θ) at θ_old: the network's second derivatives would be multiplied by the gradient of the KL in the
distribution's parameters, which is 0 there. The product on a tile of rows is in kernels/reference/fisher.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from minipg.checks import Array, as_flat
from minipg.policy import Policy, PolicyTape
from minipg.runtime.fisher_threads import FisherThreads


def fisher_operator(policy: Policy, theta: Array, tape: PolicyTape, damping: float = 0.0) -> Callable[[Array], Array]:
    """The function v ↦ (F + damping·I) v.   theta, v (P,), tape: the forward pass at θ → (P,)."""
    rows, backend = len(tape.params), policy.backend
    theta = as_flat("theta", theta, policy.layout.size, backend.xp)
    total: Callable[[Array], Array] = (
        FisherThreads(backend, policy.spec, theta, tape.forward_pass)
        if backend.name == "numba"
        else partial(policy.fisher_product, theta, tape)
    )

    def product(v: Array) -> Array:
        mean = total(v) / v.dtype.type(rows)
        return mean + v.dtype.type(damping) * v if damping else mean

    return product


def fisher_vector_product(policy: Policy, theta: Array, obs: Array, v: Array, damping: float = 0.0) -> Array:
    """F v = (1/B) Jᵀ M (J v), plus damping·v  (TR-9).   theta, v (P,), obs (B, O) → (P,)."""
    return fisher_operator(policy, theta, policy.forward(theta, obs), damping)(v)
