"""One step of RMSProp on a batch, for a policy and for a critic: the two halves of an update of A2C and A3C."""

from minipg.kernels.reference import advantages, mlp, optimizer, policy_gradient, regression
from minipg.kernels.reference._namespace import namespace


def policy_step(policy, at, acted, ent_coef, normalizes, rmsprop, max_grad_norm, theta, second, stats, work):
    """θ uphill along g = mean [Â ∇log π(a|s) + c ∇H] at θ′  (PG-9, AC-3) → theta, second (P,) changed in place.

    at (P,): θ′, which may be `theta` itself; acted: B rows. A gradient that is not finite changes nothing.
    → stats (3,): ‖g‖ before it is clipped to max_grad_norm, mean H, 1 if all is finite.
    work (work_size,).
    """
    xp, grad, adv, rows = namespace(theta), namespace(theta).empty_like(theta), acted.adv.copy(), len(acted.adv)
    if normalizes:
        advantages.normalize(acted.adv, adv)
    entropy, low_high = xp.empty(1), policy.log_std_range
    policy_gradient.gradient_and_entropy(policy, at, acted.obs, acted.act, adv, ent_coef, grad, entropy, None)
    grad /= rows
    norm, finite = _step(grad, rmsprop, max_grad_norm, theta, second)
    tail = theta[mlp.size(policy.network) :]
    tail[...] = xp.clip(tail, *low_high)
    stats[...] = xp.stack([norm, entropy[0] / rows, finite])


def critic_step(network, at, obs, target, rmsprop, max_grad_norm, theta, second, stats, work):
    """θ downhill along ∇ mean (V(s) − target)² at θ′  (AC-1, AC-3) → theta, second (P,) changed in place.

    at (P,): θ′, which may be `theta` itself; obs (B, O), target (B,). A gradient that is not finite changes nothing.
    → stats (2,): the mean squared error before the step, 1 if all is finite.
    work (work_size,).
    """
    xp, grad, loss, rows = namespace(theta), namespace(theta).empty_like(theta), namespace(theta).empty(1), len(target)
    regression.loss_and_gradient(network, at, obs, target, grad, loss, None)
    grad /= -rows
    _, finite = _step(grad, rmsprop, max_grad_norm, theta, second)
    stats[...] = xp.stack([loss[0] / rows, finite])


def _step(grad, rmsprop, max_grad_norm, theta, second):
    """Clip `grad` in place and take one RMSProp step.   → ‖grad‖ before clipping, True if all is finite."""
    xp, norm = namespace(grad), (grad.astype(float) ** 2).sum() ** 0.5
    optimizer.clip_global_norm(grad, max_grad_norm, grad)
    before = theta.copy(), second.copy()
    optimizer.rmsprop(grad, rmsprop, theta, second)
    for array, old in zip((theta, second), before, strict=True):
        array[...] = xp.where(xp.isfinite(norm), array, old)
    return norm, xp.isfinite(norm) & optimizer.is_finite(theta) & optimizer.is_finite(second)


def work_size(sizes, n_params, rows):
    """The length of `work`: 0, because NumPy allocates what it needs."""
    return 0
