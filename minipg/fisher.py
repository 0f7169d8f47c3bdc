"""The Fisher information matrix of a policy, met only through its products  (TR-9).

F = E[∇log π ∇log πᵀ] = (1/B) Σ Jᵀ M J, the expectation over actions taken in closed form by the distribution's own
Fisher matrix M. J v is one forward sweep, Jᵀ(·) one backward sweep: no second derivative is taken anywhere. What is
done with a tile of rows stands in kernels/reference/fisher.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from minipg.checks import Array
from minipg.policy import Policy, PolicyTape
from minipg.runtime.fisher_threads import Crew


def fisher_operator(policy: Policy, theta: Array, tape: PolicyTape, damping: float = 0.0) -> Callable[[Array], Array]:
    """v ↦ (F + damping·I) v, over a forward pass already made.   theta, v (P,)."""
    rows, shared = len(tape.params), policy.backend.name == "numba" and policy.fused_product
    total = Crew(policy, theta, tape) if shared else partial(policy.fisher_product, theta, tape)

    def product(v: Array) -> Array:
        mean = total(v) / v.dtype.type(rows)
        return mean + v.dtype.type(damping) * v if damping else mean

    return product


def fisher_vector_product(policy: Policy, theta: Array, obs: Array, v: Array, damping: float = 0.0) -> Array:
    """F v = (1/B) Jᵀ M (J v), plus damping·v  (TR-9).   theta, v (P,), obs (B, O) → (P,)."""
    return fisher_operator(policy, theta, policy.forward(theta, obs), damping)(v)
