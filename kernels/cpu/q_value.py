"""Twin of `reference/q_value.py`."""

from functools import cache

from minipg.kernels.cpu import mlp, optimizer, regression
from minipg.kernels.cpu._jit import jit, matrix, part, unowned


@jit
def q(critic, theta, obs, act, out, work):
    """Q(s, a).   critic: a network of O + A inputs; theta (P,), obs (B, O), act (B, A) → out (B,)."""
    _q(mlp._unowned(critic), unowned(theta), unowned(obs), unowned(act), unowned(out), unowned(work))


@jit
def action_gradient(critic, theta, obs, act, out, grad, work):
    """Q(s, a) → out (B,), and its gradient ∇_a Q(s, a) in the action → grad (B, A)  (DP-1).

    critic: a network of O + A inputs; theta (P,), obs (B, O), act (B, A).   work (work_size,).
    """
    _action_gradient(
        mlp._unowned(critic), unowned(theta), unowned(obs), unowned(act), unowned(out), unowned(grad), unowned(work)
    )


@jit
def fit_step(critic, obs, act, target, adam, step, theta, first, second, stats, work):
    """One Adam step down mean (Q(s, a) − y)²  (AC-1, AC-3) → theta, first, second (P,) changed in place.

    critic: a network of O + A inputs; obs (B, O), act (B, A), target y (B,); step: Adam steps taken before.
    → stats (2,): the mean squared error before the step, 1 if θ and the moments are finite.   work (work_size,).
    """
    critic, theta, work = mlp._unowned(critic), unowned(theta), unowned(work)
    rows, size, used = target.shape[0], theta.shape[0], target.shape[0] * critic.sizes[0]
    x, grad, rest = _rows(unowned(obs), unowned(act), work), work[used : used + size], work[used + size :]
    regression._loss_and_gradient(critic, theta, x, target, grad, stats[:1], rest)
    scale = theta.dtype.type(-1 / rows)
    for i in range(size):
        grad[i] *= scale
    optimizer.adam(grad, adam, step + 1, theta, unowned(first), unowned(second))
    stats[0] /= rows
    stats[1] = optimizer.is_finite(theta) and optimizer.is_finite(first) and optimizer.is_finite(second)


@part
def _rows(obs, act, work):
    """The rows (s, a), in the first B·(O + A) numbers of `work`."""
    rows, inputs, actions = obs.shape[0], obs.shape[1], act.shape[1]
    x = matrix(work, 0, rows, inputs + actions)
    for i in range(rows):
        for j in range(inputs):
            x[i, j] = obs[i, j]
        for j in range(actions):
            x[i, inputs + j] = act[i, j]
    return x


@part
def _q(critic, theta, obs, act, out, work):
    x = _rows(obs, act, work)
    rows, used = x.shape[0], x.shape[0] * x.shape[1]
    mlp.forward(theta, critic, x, matrix(out, 0, rows, 1), work[used:])


@part
def _action_gradient(critic, theta, obs, act, out, grad, work):
    x, inputs = _rows(obs, act, work), obs.shape[1]
    rows, used, units = x.shape[0], x.shape[0] * x.shape[1], mlp._units(critic.sizes)
    row_grad, g = matrix(work, used, rows, x.shape[1]), matrix(work, 2 * used, rows, 1)
    start, stop = 2 * used + rows, 2 * used + rows * (1 + units)
    hidden, rest = work[start:stop], work[stop:]
    mlp.forward(theta, critic, x, matrix(out, 0, rows, 1), hidden)
    g[:] = 1
    mlp.vjp_obs(theta, critic, hidden, g, row_grad, rest)
    for i in range(rows):
        for j in range(grad.shape[1]):
            grad[i, j] = row_grad[i, inputs + j]


@cache
def work_size(sizes, n_params, rows):
    """The length of `work`, from the layer sizes, the length of θ and the number of rows."""
    slope = rows * (2 * sizes[0] + 1 + sum(sizes[1:-1]) + 2 * max(sizes))
    fit = rows * sizes[0] + n_params + regression.work_size(sizes, n_params, rows)
    return max(slope, fit)
