"""The surrogate objective of a policy, its gradient, and the distance from the policy that acted."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any, NamedTuple

from minipg.checks import Array, as_array, as_flat
from minipg.policy import Policy, PolicyTape
from minipg.runtime.backend import to_host


def policy_gradient(
    policy: Policy, theta: Array, tape: PolicyTape, act: Array, weight: Array, ent_coef: float = 0.0
) -> Array:
    """g = (1/B) Σ [weight ∇log π_θ(a|s) + c ∇H]  (PG-9; with weight r Â, the gradient of IS-3), c the `ent_coef`.

    theta (P,), tape of B rows, act (B, …), weight (B,) → (P,). One backward sweep.
    """
    count, xp = len(tape.params), policy.backend.xp
    theta = as_flat("theta", theta, policy.layout.size, xp)
    act = policy.distribution.actions(act, count, theta.dtype)
    weight = as_array("weight", weight, act.shape[:1], theta.dtype, xp)
    kernel = policy.backend.kernels("policy_gradient").gradient(policy.distribution.name)
    numbers = policy.mlp.sizes[-1] + 2 * policy.distribution.n_params + 2 * max(policy.mlp.sizes)

    def on_tile(rows: slice) -> Array:
        (forward, params), grad = tape.tile(rows), xp.empty_like(theta)
        work = xp.empty(len(theta) + len(params) * numbers, theta.dtype)
        passed = (forward.obs, forward.hidden, forward.out, params)
        kernel(policy.in_kernels, theta, passed, act[rows], weight[rows], float(ent_coef), grad, work)
        return grad

    return sum(policy.backend.map_rows(on_tile, count), start=xp.zeros_like(theta)) / theta.dtype.type(count)


def gradient_and_entropy(
    policy: Policy, theta: Array, obs: Array, act: Array, weight: Array, ent_coef: float = 0.0
) -> tuple[Array, Any]:
    """The policy gradient  (PG-9) where nothing else needs the forward pass, and the mean entropy  (DI-7).

    theta (P,), obs (B, O), act (B, …), weight (B,) → (P,), and a number, where the arrays are.
    """
    xp, sizes = policy.backend.xp, policy.mlp.sizes
    theta = as_flat("theta", theta, policy.layout.size, xp)
    obs = as_array("obs", obs, (None, sizes[0]), theta.dtype, xp)
    act = policy.distribution.actions(act, len(obs), theta.dtype)
    weight = as_array("weight", weight, (len(obs),), theta.dtype, xp)
    kernel = policy.backend.kernels("policy_gradient").from_observations(policy.distribution.name)
    numbers = sum(sizes[1:]) + sizes[-1] + 3 * policy.distribution.n_params + 2 * max(sizes)

    def on_tile(rows: slice) -> tuple[Array, Any]:
        grad, told, x = xp.empty_like(theta), xp.empty(1), obs[rows]
        work = xp.empty(len(theta) + len(x) * numbers, theta.dtype)
        kernel(policy.in_kernels, theta, x, act[rows], weight[rows], float(ent_coef), grad, told, work)
        return grad, told[0]

    gradients, entropies = zip(*policy.backend.map_rows(on_tile, len(obs)), strict=True)
    return sum(gradients) / theta.dtype.type(len(obs)), sum(entropies) / len(obs)


def adapted_beta(beta: float, kl: float, target: float) -> float:
    """The next penalty β: halved where KL < d/1.5, doubled where KL > 1.5 d  (PP-4)."""
    if kl < target / 1.5:
        return beta / 2
    return 2 * beta if kl > 1.5 * target else beta


class Worth(NamedTuple):
    """What a policy is worth on a batch: L(θ) = mean r Â  (IS-3), mean KL(old‖θ)  (TR-5), and its mean entropy."""

    surrogate: float
    kl: float
    entropy: float


def worth(
    policy: Policy, theta: Array, obs: Array, act: Array, adv: Array, old: Array, logp_old: Array, entropy: bool = True
) -> Worth:
    """Of π_θ, on what a policy did whose distributions `old` (B, D) gave its actions `logp_old` (B,).

    theta (P,), obs (B, O), act (B, …), adv (B,). Without `entropy`, that one is 0. Raises ShapeError.
    """
    xp, distribution, count = policy.backend.xp, policy.distribution, len(obs)
    theta = as_flat("theta", theta, policy.layout.size, xp)
    obs = as_array("obs", obs, (count, policy.mlp.sizes[0]), theta.dtype, xp)
    act = distribution.actions(act, count, theta.dtype)
    old = as_array("old", old, (count, distribution.n_params), theta.dtype, xp)
    adv, logp_old = (
        as_array(name, rows, (count,), theta.dtype, xp) for name, rows in (("adv", adv), ("logp_old", logp_old))
    )
    evaluate = policy.backend.kernels("surrogate_value").evaluate(distribution.name)
    numbers = sum(policy.mlp.sizes[1:]) + distribution.n_params + 1

    def on_tile(rows: slice) -> Array:
        told, work = xp.empty(3), xp.empty(len(obs[rows]) * numbers, theta.dtype)
        batch = (obs[rows], act[rows], adv[rows], old[rows], logp_old[rows])
        evaluate(policy.in_kernels, theta, *batch, entropy, told, work)
        return told

    sums: Array = reduce(add, policy.backend.map_rows(on_tile, len(obs)), xp.zeros(3))
    return Worth(*to_host(sums / len(obs)).tolist())


def surrogate_and_kl(
    policy: Policy, obs: Array, act: Array, adv: Array, old_params: Array
) -> Callable[[Array], tuple[float, float]]:
    """θ′ ↦ (L(θ′)  (IS-3), mean KL(old‖θ′)  (TR-5)), with the old policy given by its parameters.

    obs (B, O), act (B, …), adv (B,), old_params (B, D).
    """
    logp_old = policy.distribution.log_prob(old_params, act)
    return lambda theta: worth(policy, theta, obs, act, adv, old_params, logp_old, entropy=False)[:2]
