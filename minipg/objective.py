"""The surrogate objective of a policy, its gradient, and the distance from the policy that acted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minipg.checks import Array
from minipg.policy import Policy, PolicyTape


def log_probs(policy: Policy, theta: Array, obs: Array, act: Array) -> Array:
    """log π_θ(a|s).   theta (P,), obs (B, O), act (B, …) → (B,)."""
    on_tile = lambda rows: policy.distribution.log_prob(policy.forward(theta, obs[rows]).params, act[rows])
    return np.concatenate(policy.backend.map_rows(on_tile, len(obs)))


def pulled_back(
    policy: Policy, theta: Array, tapes: Sequence[PolicyTape], covector: Callable[[Array, slice], Array]
) -> Array:
    """(1/B) Σ Jᵀ u: the gradient of a mean over rows whose gradient in the distribution's parameters is u.

    `covector(params, rows)` is u (b, D) of the rows of a tile. One backward sweep a tile.   theta (P,) → (P,).
    """
    stops = np.cumsum([len(tape.params) for tape in tapes])
    tiles = [(tape, slice(stop - len(tape.params), stop)) for tape, stop in zip(tapes, stops, strict=True)]
    on_tile = lambda tile: policy.vjp(theta, tile[0], covector(tile[0].params, tile[1]))
    return sum(policy.backend.map(on_tile, tiles)) / theta.dtype.type(stops[-1])


def policy_gradient(
    policy: Policy, theta: Array, tapes: Sequence[PolicyTape], act: Array, weight: Array, ent_coef: float = 0.0
) -> Array:
    """g = (1/B) Σ [weight ∇log π_θ(a|s) + c ∇H]  (PG-9; with weight r Â, the gradient of IS-3), c the `ent_coef`.

    theta (P,), act (B, …), weight (B,), tapes of the same B rows in order → (P,).
    """
    distribution = policy.distribution

    def covector(params: Array, rows: slice) -> Array:
        u = distribution.score(params, act[rows]) * weight[rows, None]
        return u + params.dtype.type(ent_coef) * distribution.entropy_gradient(params) if ent_coef else u

    return pulled_back(policy, theta, tapes, covector)


def adapted_beta(beta: float, kl: float, target: float) -> float:
    """The next penalty β: halved where KL < d/1.5, doubled where KL > 1.5 d  (PP-4)."""
    if kl < target / 1.5:
        return beta / 2
    return 2 * beta if kl > 1.5 * target else beta


def surrogate_and_kl(
    policy: Policy, obs: Array, act: Array, adv: Array, old_params: Array
) -> Callable[[Array], tuple[float, float]]:
    """θ′ ↦ (L(θ′) = mean r Â  (IS-3), mean KL(old‖θ′)  (TR-5)), with the old policy given by its parameters.

    obs (B, O), act (B, …), adv (B,), old_params (B, D).
    """
    distribution = policy.distribution
    logp_old = distribution.log_prob(old_params, act)
    ratio_times = policy.backend.kernels("surrogate").surrogate

    def evaluate(theta: Array) -> tuple[float, float]:
        def on_tile(rows: slice) -> tuple[float, float]:
            params = policy.forward(theta, obs[rows]).params
            gain = np.empty(len(params), params.dtype)
            ratio_times(distribution.log_prob(params, act[rows]), logp_old[rows], adv[rows], gain)
            kl = distribution.kl(old_params[rows], params)
            return gain.sum(dtype=np.float64), kl.sum(dtype=np.float64)

        gains, kls = zip(*policy.backend.map_rows(on_tile, len(obs)), strict=True)
        return float(sum(gains)) / len(obs), float(sum(kls)) / len(obs)

    return evaluate
