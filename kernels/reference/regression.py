"""Least squares on a network with one output: how a critic is fitted."""

from minipg.kernels.reference import mlp, optimizer
from minipg.kernels.reference._namespace import namespace


def fit(sizes, activation, obs, target, order, minibatch_size, adam, step, theta, first, second, loss, work):
    """Minibatch Adam on mean (V(s) − target)²  (AC-1), the whole of it: every epoch, every minibatch.

    obs (B, n₀), target (B,), order (E, B) int64 the rows as each epoch visits them, adam (α, β₁, β₂, ε), `step` the
    Adam steps taken before → theta, first, second (P,) changed in place, loss (E,) each epoch's mean squared error
    as it was met.   work (P + m·(n₀ + 2 + Σ hidden + 2·max n),) with m the minibatch size; the last may be smaller.
    """
    xp = namespace(obs)
    learning_rate, beta1, beta2, epsilon = adam
    for epoch, rows in enumerate(order):
        squares = 0.0
        for start in range(0, len(rows), minibatch_size):
            x, y = obs[rows[start : start + minibatch_size]], target[rows[start : start + minibatch_size]]
            out, hidden, grad = xp.empty_like(y)[:, None], xp.empty(len(y) * sum(sizes[1:-1]), y.dtype), 0 * theta
            mlp.forward(theta, sizes, activation, x, out, hidden)
            error = y[:, None] - out
            squares += (error * error).sum()
            mlp.vjp(theta, sizes, activation, x, hidden, 2 * error / len(y), grad, None)
            step += 1
            optimizer.adam(grad, learning_rate, beta1, beta2, epsilon, step, theta, first, second)
        loss[epoch] = squares / len(rows)
