"""Twin of `reference/regression.py`: the whole fit in one call, minibatches gathered into one small array."""

import math

from minipg.kernels.cpu import mlp, optimizer
from minipg.kernels.cpu._jit import jit, part


@jit
def loss_and_gradient(sizes, activation, theta, obs, target, grad, told, work):
    """Σ (V(s) − target)² → told (1,), and its gradient in θ → grad (P,)  (AC-1).

    theta (P,), obs (B, n₀), target (B,).   work (P + B·(2 + Σ hidden + 2·max n),).
    """
    rows, units = obs.shape[0], mlp._units(sizes)
    a, b, c = rows, 2 * rows, rows * (2 + units)
    out, g, hidden, scratch = work[:a].reshape(rows, 1), work[a:b].reshape(rows, 1), work[b:c], work[c:]
    mlp.forward(theta, sizes, activation, obs, out, hidden)
    squares = 0.0
    for i in range(rows):
        error = out[i, 0] - target[i]
        squares += error * error
        g[i, 0] = 2 * error
    told[0] = squares
    mlp.vjp(theta, sizes, activation, obs, hidden, g, grad, scratch)


def _fit(
    sizes, activation, obs, target, old, order, minibatch_size, adam, limits, step, theta, first, second, loss, work
):
    """Minibatch Adam on mean (V(s) − target)²  (AC-1), the whole of it: every epoch, every minibatch.

    obs (B, n₀), target, old (B,), order (E, B), adam (α, β₁, β₂, ε), limits (c, n)
    → theta, first, second (P,), loss (E,).
    work (2 P + m·(n₀ + 2 + Σ hidden + 2·max n),) with m the minibatch size; the last of an epoch may be smaller.
    """
    learning_rate, beta1, beta2, epsilon = adam
    clip_range, max_norm = limits
    inputs, units, params = obs.shape[1], mlp._units(sizes), theta.shape[0]
    grad, rest = work[:params], work[params:]
    for epoch in range(order.shape[0]):
        squares = 0.0
        for start in range(0, order.shape[1], minibatch_size):
            rows = order[epoch, start : start + minibatch_size]
            m = rows.shape[0]
            a, b = m * inputs, m * (inputs + 1)
            c, d = b + m, b + m + m * units
            x, out, g = rest[:a].reshape(m, inputs), rest[a:b].reshape(m, 1), rest[b:c].reshape(m, 1)
            hidden, scratch = rest[c:d], rest[d:]
            for i in range(m):
                for j in range(inputs):
                    x[i, j] = obs[rows[i], j]
            mlp.forward(theta, sizes, activation, x, out, hidden)
            scale = theta.dtype.type(2 / m)
            for i in range(m):
                error = target[rows[i]] - out[i, 0]
                squares += error * error
                moved = out[i, 0] - old[rows[i]]
                left = target[rows[i]] - (old[rows[i]] + min(max(moved, -clip_range), clip_range))
                learnt = abs(moved) <= clip_range or error * error >= left * left
                g[i, 0] = scale * error if learnt else 0
            mlp.vjp(theta, sizes, activation, x, hidden, g, grad, scratch)
            if max_norm < math.inf:
                optimizer.clip_global_norm(grad, max_norm, grad)
            step += 1
            optimizer.adam(grad, learning_rate, beta1, beta2, epsilon, step, theta, first, second)
        loss[epoch] = squares / order.shape[1]


fit, _fit_part = jit(_fit), part(_fit)
