"""The critic Q(s, a): a network with one output over the row (s, a)."""

from minipg.kernels.reference import mlp, optimizer, regression
from minipg.kernels.reference._namespace import namespace


def q(critic, theta, obs, act, out, work):
    """Q(s, a).   critic: a network of O + A inputs; theta (P,), obs (B, O), act (B, A) → out (B,)."""
    x = namespace(obs).concatenate([obs, act], axis=1)
    mlp.forward(theta, critic, x, out[:, None], mlp._new_hidden(critic, theta, x))


def action_gradient(critic, theta, obs, act, out, grad, work):
    """Q(s, a) → out (B,), and its gradient ∇_a Q(s, a) in the action → grad (B, A)  (DP-1).

    critic: a network of O + A inputs; theta (P,), obs (B, O), act (B, A).   work (work_size,).
    """
    xp, x = namespace(obs), namespace(obs).concatenate([obs, act], axis=1)
    hidden, g, row_grad = mlp._new_hidden(critic, theta, x), xp.ones((len(x), 1), x.dtype), xp.empty_like(x)
    mlp.forward(theta, critic, x, out[:, None], hidden)
    mlp.vjp_obs(theta, critic, hidden, g, row_grad, None)
    grad[...] = row_grad[:, obs.shape[1] :]


def fit_step(critic, obs, act, target, adam, step, theta, first, second, stats, work):
    """One Adam step down mean (Q(s, a) − y)²  (AC-1, AC-3) → theta, first, second (P,) changed in place.

    critic: a network of O + A inputs; obs (B, O), act (B, A), target y (B,); step: Adam steps taken before.
    → stats (2,): the mean squared error before the step, 1 if θ and the moments are finite.   work (work_size,).
    """
    xp, x, grad = namespace(obs), namespace(obs).concatenate([obs, act], axis=1), namespace(obs).empty_like(theta)
    squares = xp.empty(1)
    regression.loss_and_gradient(critic, theta, x, target, grad, squares, None)
    optimizer.adam(grad / -len(target), adam, step + 1, theta, first, second)
    finite = optimizer.is_finite(theta) & optimizer.is_finite(first) & optimizer.is_finite(second)
    stats[...] = xp.stack([squares[0] / len(target), finite])


def work_size(sizes, n_params, rows):
    """The length of `work`: 0, because NumPy allocates what it needs."""
    return 0
