"""The Fisher information matrix of a policy, met only through its products  (TR-9).

F = E[∇log π ∇log πᵀ] = (1/B) Σ Jᵀ M J, the expectation over actions taken in closed form by the distribution's own
Fisher matrix M. J v is one forward sweep, Jᵀ(·) one backward sweep: no second derivative is taken anywhere. What is
done with a tile of rows stands in kernels/reference/fisher.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minipg.checks import Array
from minipg.policy import Policy, PolicyTape


def forward_tiles(policy: Policy, theta: Array, obs: Array) -> list[PolicyTape]:
    """The forward passes of every row tile: what gradient and Fisher products share.   theta (P,), obs (B, O)."""
    return policy.backend.map_rows(lambda rows: policy.forward(theta, obs[rows]), len(obs))


def fisher_operator(
    policy: Policy, theta: Array, tapes: Sequence[PolicyTape], damping: float = 0.0
) -> Callable[[Array], Array]:
    """v ↦ (F + damping·I) v, over forward passes already made.   theta, v (P,)."""
    rows = sum(len(tape.params) for tape in tapes)

    def product(v: Array) -> Array:
        on_tile = lambda tape: policy.fisher_product(theta, tape, v)
        Fv = sum(policy.backend.map(on_tile, tapes)) / v.dtype.type(rows)
        return Fv + v.dtype.type(damping) * v

    return product


def fisher_vector_product(policy: Policy, theta: Array, obs: Array, v: Array, damping: float = 0.0) -> Array:
    """F v = (1/B) Jᵀ M (J v), plus damping·v  (TR-9).   theta, v (P,), obs (B, O) → (P,)."""
    return fisher_operator(policy, theta, forward_tiles(policy, theta, obs), damping)(v)
