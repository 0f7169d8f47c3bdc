"""Least squares on a network with one output: how a critic is fitted."""

from minipg.kernels.reference import mlp, optimizer
from minipg.kernels.reference._namespace import namespace


def loss_and_gradient(sizes, activation, theta, obs, target, grad, told, work):
    """Σ (V(s) − target)² → told (1,), and its gradient in θ → grad (P,)  (AC-1).

    theta (P,), obs (B, n₀), target (B,).   work (P + B·(2 + Σ hidden + 2·max n),).
    """
    xp = namespace(obs)
    out, hidden = xp.empty_like(target)[:, None], xp.empty(len(obs) * sum(sizes[1:-1]), obs.dtype)
    mlp.forward(theta, sizes, activation, obs, out, hidden)
    error = out - target[:, None]
    told[...] = (error * error).sum()
    mlp.vjp(theta, sizes, activation, obs, hidden, 2 * error, grad, None)


def fit(
    sizes, activation, obs, target, old, order, minibatch_size, adam, limits, step, theta, first, second, loss, work
):
    """Minibatch Adam on mean (V(s) − target)²  (AC-1), the whole of it: every epoch, every minibatch.

    limits = (c, n): V may leave its `old` value by at most c, a row beyond that with no more to lose is not learnt from
    (the loss is the greater of the clipped and the plain one); gradients are shortened to the norm n. Both may be ∞.

    obs (B, n₀), target, old (B,), order (E, B) int64 the rows as each epoch visits them, adam (α, β₁, β₂, ε), `step`
    the Adam steps taken before → theta, first, second (P,) changed in place, loss (E,) each epoch's mean squared error
    as it was met.   work (2 P + m·(n₀ + 2 + Σ hidden + 2·max n),) with m the minibatch size; the last may be smaller.
    """
    xp = namespace(obs)
    learning_rate, beta1, beta2, epsilon = adam
    clip_range, max_norm = limits
    for epoch in range(len(order)):
        rows, squares = order[epoch], 0.0
        for start in range(0, len(rows), minibatch_size):
            some = rows[start : start + minibatch_size]
            x, y = obs[some], target[some]
            out, hidden, grad = xp.empty_like(y)[:, None], xp.empty(len(y) * sum(sizes[1:-1]), y.dtype), 0 * theta
            mlp.forward(theta, sizes, activation, x, out, hidden)
            error = y[:, None] - out
            squares += (error * error).sum()
            before = old[some][:, None]
            moved = out - before
            clipped = before + xp.clip(moved, -clip_range, clip_range)
            learnt = (abs(moved) <= clip_range) | (error * error >= (y[:, None] - clipped) ** 2)
            mlp.vjp(theta, sizes, activation, x, hidden, xp.where(learnt, 2 * error / len(y), 0), grad, None)
            optimizer.clip_global_norm(grad, max_norm, grad)
            step += 1
            optimizer.adam(grad, learning_rate, beta1, beta2, epsilon, step, theta, first, second)
        loss[epoch] = squares / len(rows)
