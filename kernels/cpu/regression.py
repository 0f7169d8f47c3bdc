"""Twin of `reference/regression.py`: the whole fit in one call. A minibatch is copied into one small array."""

import math
from functools import cache

from minipg.kernels.cpu import mlp, optimizer
from minipg.kernels.cpu._jit import jit, matrix, part, unowned


@jit
def loss_and_gradient(network, theta, obs, target, grad, loss, work):
    """Σ (V(s) − target)² → loss (1,), and its gradient in θ → grad (P,)  (AC-1).

    theta (P,), obs (B, O), target (B,).   work (work_size,).
    """
    _loss_and_gradient(network, theta, obs, target, grad, loss, work)


@part
def _loss_and_gradient(network, theta, obs, target, grad, loss, work):
    network = mlp._unowned(network)
    rows, units, work, target = obs.shape[0], mlp._units(network.sizes), unowned(work), unowned(target)
    a, b, c = rows, 2 * rows, rows * (2 + units)
    out, g, hidden, rest = matrix(work, 0, rows, 1), matrix(work, a, rows, 1), work[b:c], work[c:]
    mlp.forward(theta, network, obs, out, hidden)
    squares = 0.0
    for i in range(rows):
        error = out[i, 0] - target[i]
        squares += error * error
        g[i, 0] = 2 * error
    loss[0] = squares
    mlp.vjp(theta, network, obs, hidden, g, grad, rest)


@jit
def gradient(network, theta, obs, target, old, clip_range, rows, grad, squares, work):
    """The ascent direction of `fit` on the minibatch `rows` (M,) → grad (P,), Σ (V(s) − target)² → squares (1,).

    theta (P,), obs (B, O), target, old (B,).   work (work_size,).
    """
    network, theta, work, rows = mlp._unowned(network), unowned(theta), unowned(work), unowned(rows)
    obs, target, old = unowned(obs), unowned(target), unowned(old)
    squares[0] = _gradient(network, theta, obs, target, old, clip_range, rows, 0.0, unowned(grad), work)


@part
def _gradient(network, theta, obs, target, old, clip_range, rows, squares, grad, work):
    """→ `squares` plus the squared errors of the rows."""
    m, inputs, units = rows.shape[0], obs.shape[1], mlp._units(network.sizes)
    a, b, c, d = m * inputs, m * (inputs + 1), m * (inputs + 2), m * (inputs + 2 + units)
    x, out, g = mlp._gathered(network.kind, obs, rows, work, 0), matrix(work, a, m, 1), matrix(work, b, m, 1)
    hidden, scratch = work[c:d], work[d:]
    mlp.forward(theta, network, x, out, hidden)
    scale = theta.dtype.type(2 / m)
    for i in range(m):
        error = target[rows[i]] - out[i, 0]
        squares += error * error
        moved = out[i, 0] - old[rows[i]]
        clipped_error = target[rows[i]] - (old[rows[i]] + min(max(moved, -clip_range), clip_range))
        has_gradient = abs(moved) <= clip_range or error * error >= clipped_error * clipped_error
        g[i, 0] = scale * error if has_gradient else 0
    mlp.vjp(theta, network, x, hidden, g, grad, scratch)
    return squares


@jit
def fit(network, obs, target, old, clip_range, epochs, order, step, theta, first, second, loss, finite, work):
    """Epochs of minibatch Adam on mean (V(s) − target)²  (AC-1, AC-3) → theta, first, second (P,) changed in place.

    obs (B, O), target, old (B,); order (E, B) int64: the rows as the epochs visit them; step: Adam steps taken before.
    old and clip_range: value clipping, see the reference. g is minus the loss's gradient, because `adam` ascends.
    → loss (E,): each epoch's mean squared error, every minibatch's before its step; finite (1,): 1 if θ and the moments
    are finite.
    work (work_size,).
    """
    network = mlp._unowned(network)
    theta, first, second, work = unowned(theta), unowned(first), unowned(second), unowned(work)
    obs, target, old, order = unowned(obs), unowned(target), unowned(old), unowned(order)
    size = theta.shape[0]
    grad, rest = work[:size], work[size:]
    for epoch in range(order.shape[0]):
        squares = 0.0
        for start in range(0, order.shape[1], epochs.minibatch_size):
            rows = order[epoch, start : start + epochs.minibatch_size]
            squares = _gradient(network, theta, obs, target, old, clip_range, rows, squares, grad, rest)
            if epochs.max_grad_norm < math.inf:
                optimizer._clip_in_place(grad, epochs.max_grad_norm)
            step += 1
            optimizer.adam(grad, epochs.adam, step, theta, first, second)
        loss[epoch] = squares / order.shape[1]
    finite[0] = optimizer.is_finite(theta) and optimizer.is_finite(first) and optimizer.is_finite(second)


@cache
def work_size(sizes, n_params, rows):
    """The length of `work`, from the layer sizes, the length of θ, and the rows of a batch or of a minibatch."""
    return 2 * n_params + rows * (sizes[0] + 2 + sum(sizes[1:-1]) + 2 * max(sizes[1:]))
