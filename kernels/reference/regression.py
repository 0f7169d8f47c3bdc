"""Least squares on a network with one output: the fit of a critic."""

from minipg.kernels.reference import mlp, optimizer
from minipg.kernels.reference._namespace import namespace


def loss_and_gradient(network, theta, obs, target, grad, loss, work):
    """Σ (V(s) − target)² → loss (1,), and its gradient in θ → grad (P,)  (AC-1).

    theta (P,), obs (B, O), target (B,).   work (work_size,).
    """
    out, hidden = namespace(obs).empty_like(target)[:, None], mlp._new_hidden(network, theta, obs)
    mlp.forward(theta, network, obs, out, hidden)
    error = out - target[:, None]
    loss[...] = (error * error).sum()
    mlp.vjp(theta, network, obs, hidden, 2 * error, grad, None)


def gradient(network, theta, obs, target, old, clip_range, rows, grad, squares, work):
    """The ascent direction of `fit` on the minibatch `rows` (M,) → grad (P,), Σ (V(s) − target)² → squares (1,).

    theta (P,), obs (B, O), target, old (B,).   work (work_size,).
    Value clipping: a row's loss is the greater of the squared error of V and that of V clipped to old ± clip_range. So
    a row beyond the range has no gradient where its clipped error is the greater one.
    """
    xp = namespace(obs)
    x, y, before = obs[rows], target[rows, None], old[rows, None]
    out, hidden = xp.empty_like(y), mlp._new_hidden(network, theta, x)
    mlp.forward(theta, network, x, out, hidden)
    error, moved = y - out, out - before
    squares[...] = (error * error).sum()
    clipped = before + xp.clip(moved, -clip_range, clip_range)
    has_gradient = (abs(moved) <= clip_range) | (error * error >= (y - clipped) ** 2)
    g = xp.where(has_gradient, 2 * error / len(y), 0)
    mlp.vjp(theta, network, x, hidden, g, grad, None)


def fit(network, obs, target, old, clip_range, epochs, order, step, theta, first, second, loss, finite, work):
    """Epochs of minibatch Adam on mean (V(s) − target)²  (AC-1, AC-3) → theta, first, second (P,) changed in place.

    obs (B, O), target, old (B,); order (E, B) int64: the rows as the epochs visit them; step: Adam steps taken before.
    old and clip_range: value clipping, see `gradient`.
    → loss (E,): each epoch's mean squared error, every minibatch's before its step; finite (1,): 1 if θ and the moments
    are finite.
    work (work_size,).
    """
    xp = namespace(obs)
    grad, error = xp.empty_like(theta), xp.empty(1)
    for epoch in range(len(order)):
        squares = 0.0
        for start in range(0, order.shape[1], epochs.minibatch_size):
            rows = order[epoch, start : start + epochs.minibatch_size]
            gradient(network, theta, obs, target, old, clip_range, rows, grad, error, None)
            squares += error[0]
            optimizer.clip_global_norm(grad, epochs.max_grad_norm, grad)
            step += 1
            optimizer.adam(grad, epochs.adam, step, theta, first, second)
        loss[epoch] = squares / order.shape[1]
    finite[...] = optimizer.is_finite(theta) & optimizer.is_finite(first) & optimizer.is_finite(second)


def work_size(sizes, n_params, rows):
    """The length of `work`: 0, because NumPy allocates what it needs."""
    return 0
