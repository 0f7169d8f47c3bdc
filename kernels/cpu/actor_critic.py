"""Twin of `reference/actor_critic.py`."""

import math
from functools import cache

from minipg.kernels.cpu import advantages, mlp, optimizer, policy_gradient, regression
from minipg.kernels.cpu._jit import jit, part, unowned


@jit
def policy_step(policy, at, acted, ent_coef, normalizes, rmsprop, max_grad_norm, theta, second, stats, work):
    """θ uphill along g = mean [Â ∇log π(a|s) + c ∇H] at θ′  (PG-9, AC-3) → theta, second (P,) changed in place.

    at (P,): θ′, which may be `theta` itself; acted: B rows. A gradient that is not finite changes nothing.
    → stats (3,): ‖g‖ before it is clipped to max_grad_norm, mean H, 1 if all is finite.
    work (work_size,).
    """
    at, theta, second, work = unowned(at), unowned(theta), unowned(second), unowned(work)
    rows, size = acted.adv.shape[0], theta.shape[0]
    adv, grad, rest, (low, high) = work[:rows], work[rows : rows + size], work[rows + size :], policy.log_std_range
    if normalizes:
        advantages.normalize(acted.adv, adv)
    else:
        for i in range(rows):
            adv[i] = acted.adv[i]
    policy_gradient._gradient_and_entropy(
        policy, at, acted.obs, acted.act, adv, ent_coef, grad, stats[1:2], rest
    )  # fmt: skip
    stats[0], stats[2] = _step(grad, 1 / rows, rmsprop, max_grad_norm, theta, second)
    stats[1] /= rows
    for i in range(mlp.size(mlp._unowned(policy.network)), size):
        theta[i] = min(max(theta[i], low), high)


@jit
def critic_step(network, at, obs, target, rmsprop, max_grad_norm, theta, second, stats, work):
    """θ downhill along ∇ mean (V(s) − target)² at θ′  (AC-1, AC-3) → theta, second (P,) changed in place.

    at (P,): θ′, which may be `theta` itself; obs (B, O), target (B,). A gradient that is not finite changes nothing.
    → stats (2,): the mean squared error before the step, 1 if all is finite.
    work (work_size,).
    """
    at, theta, second, work = unowned(at), unowned(theta), unowned(second), unowned(work)
    rows, size = obs.shape[0], theta.shape[0]
    grad, rest = work[:size], work[size:]
    regression._loss_and_gradient(network, at, unowned(obs), target, grad, stats[:1], rest)
    _, stats[1] = _step(grad, -1 / rows, rmsprop, max_grad_norm, theta, second)
    stats[0] /= rows


@part
def _step(grad, scale, rmsprop, max_grad_norm, theta, second):
    factor = grad.dtype.type(scale)
    for i in range(grad.shape[0]):
        grad[i] *= factor
    norm = optimizer._clip_in_place(grad, max_grad_norm)
    if not norm < math.inf:
        return norm, False
    optimizer.rmsprop(grad, rmsprop, theta, second)
    return norm, optimizer.is_finite(theta) and optimizer.is_finite(second)


@cache
def work_size(sizes, n_params, rows):
    """The length of `work`, from the layer sizes, the length of θ and the number of rows."""
    return 2 * n_params + rows * (3 + 8 * sizes[-1] + sum(sizes[1:-1]) + 2 * max(sizes[1:]))
