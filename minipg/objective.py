"""The policy gradient, the surrogate objective, and the KL from the policy that acted."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any, NamedTuple

from minipg.checks import Array, as_array, as_flat, as_rows
from minipg.kernels.arguments import Acted
from minipg.policy import Policy, PolicyTape
from minipg.runtime.backend import to_host


def policy_gradient(
    policy: Policy, theta: Array, tape: PolicyTape, act: Array, weight: Array, ent_coef: float = 0.0
) -> Array:
    """g = (1/B) Σ [weight ∇log π_θ(a|s) + c ∇H]  (PG-9), with weight Â and c = `ent_coef`.

    With weight r Â and c = 0 it is the gradient of the surrogate (IS-3).   theta (P,), tape of B rows, act (B, …),
    weight (B,) → (P,).
    """
    count, xp = len(tape.params), policy.backend.xp
    theta = as_flat("theta", theta, policy.layout.size, xp)
    act = policy.distribution.actions(act, count, theta.dtype)
    weight = as_array("weight", weight, act.shape[:1], theta.dtype, xp)
    kernels = policy.backend.kernels("policy_gradient")

    def on_tile(rows: slice) -> Array:
        forward, grad = tape.tile(rows).forward_pass, xp.empty_like(theta)
        work = xp.empty(kernels.work_size(policy.mlp.sizes, len(theta), len(forward.obs)), theta.dtype)
        kernels.gradient(policy.spec, theta, forward, act[rows], weight[rows], float(ent_coef), grad, work)
        return grad

    return sum(policy.backend.map_rows(on_tile, count), start=xp.zeros_like(theta)) / theta.dtype.type(count)


def gradient_and_entropy(
    policy: Policy, theta: Array, obs: Array, act: Array, weight: Array, ent_coef: float = 0.0
) -> tuple[Array, Any]:
    """The policy gradient  (PG-9) with its forward pass, and the mean entropy  (DI-7).

    theta (P,), obs (B, O), act (B, …), weight (B,) → (P,), and a number (on the device if the arrays are).
    """
    xp, kernels = policy.backend.xp, policy.backend.kernels("policy_gradient")
    theta = as_flat("theta", theta, policy.layout.size, xp)
    obs = as_rows("obs", obs, policy.mlp.sizes[0], theta.dtype, xp)
    act = policy.distribution.actions(act, len(obs), theta.dtype)
    weight = as_array("weight", weight, (len(obs),), theta.dtype, xp)

    def on_tile(rows: slice) -> tuple[Array, Any]:
        grad, entropy, x = xp.empty_like(theta), xp.empty(1), obs[rows]
        work = xp.empty(kernels.work_size(policy.mlp.sizes, len(theta), len(x)), theta.dtype)
        kernels.gradient_and_entropy(
            policy.spec, theta, x, act[rows], weight[rows], float(ent_coef), grad, entropy, work
        )
        return grad, entropy[0]

    gradients, entropies = zip(*policy.backend.map_rows(on_tile, len(obs)), strict=True)
    return sum(gradients) / theta.dtype.type(len(obs)), sum(entropies) / len(obs)


def adapted_beta(beta: float, kl: float, target: float) -> float:
    """The next penalty β: halved where KL < d/1.5, doubled where KL > 1.5 d  (PP-4)."""
    if kl < target / 1.5:
        return beta / 2
    return 2 * beta if kl > 1.5 * target else beta


class SurrogateValue(NamedTuple):
    """L(θ) = mean r Â  (IS-3), mean KL(old‖θ)  (TR-5), and mean entropy  (DI-7)."""

    surrogate: float
    kl: float
    entropy: float


def surrogate_value(
    policy: Policy, theta: Array, acted: Acted, logp_old: Array, with_entropy: bool = True
) -> SurrogateValue:
    """The surrogate of π_θ on rows in which π_old acted, the KL from π_old, and the entropy of π_θ.

    theta (P,), acted: B rows, logp_old (B,) log π_old(a|s). Unless `with_entropy`, the entropy is 0. Raises ShapeError.
    """
    xp, distribution, count = policy.backend.xp, policy.distribution, len(acted.obs)
    theta = as_flat("theta", theta, policy.layout.size, xp)
    column = lambda name, rows: as_array(name, rows, (count,), theta.dtype, xp)
    acted = Acted(
        as_rows("obs", acted.obs, policy.mlp.sizes[0], theta.dtype, xp),
        distribution.actions(acted.act, count, theta.dtype), column("adv", acted.adv),
        as_array("params", acted.params, (count, distribution.n_params), theta.dtype, xp),
    )  # fmt: skip
    logp_old, kernels = column("logp_old", logp_old), policy.backend.kernels("surrogate_value")

    def on_tile(rows: slice) -> Array:
        tile, sums = Acted(*(array[rows] for array in acted)), xp.empty(3)
        work = xp.empty(kernels.work_size(policy.mlp.sizes, len(theta), len(tile.obs)), theta.dtype)
        kernels.surrogate_value(policy.spec, theta, tile, logp_old[rows], with_entropy, sums, work)
        return sums

    sums: Array = reduce(add, policy.backend.map_rows(on_tile, count), xp.zeros(3))
    return SurrogateValue(*to_host(sums / count).tolist())


def surrogate_and_kl(
    policy: Policy, obs: Array, act: Array, adv: Array, old_params: Array
) -> Callable[[Array], tuple[float, float]]:
    """θ′ ↦ (L(θ′)  (IS-3), mean KL(old‖θ′)  (TR-5)), with the old policy given by its parameters.

    obs (B, O), act (B, …), adv (B,), old_params (B, D).
    """
    acted, logp_old = Acted(obs, act, adv, old_params), policy.distribution.log_prob(old_params, act)
    return lambda theta: surrogate_value(policy, theta, acted, logp_old, with_entropy=False)[:2]
