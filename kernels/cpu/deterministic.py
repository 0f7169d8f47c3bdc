"""Twin of `reference/deterministic.py`."""

from functools import cache
from itertools import pairwise

from minipg.kernels.cpu import mlp, q_value
from minipg.kernels.cpu._jit import jit, matrix, part, unowned
from minipg.kernels.cpu._tanh import tanh


@jit
def act(actor, theta, obs, out, hidden):
    """μ(s).   actor: a network; theta (P,), obs (B, O) → out (B, A), hidden as in `mlp.forward`."""
    _act(mlp._unowned(actor), unowned(theta), unowned(obs), unowned(out), unowned(hidden))


@jit
def jvp(actor, theta, obs, hidden, mu, v, out, work):
    """∇_θ μ v = (1 − μ²) J v: the derivative of μ along v.   v (P,), hidden and mu (B, A) from `act` → out (B, A)."""
    actor = mlp._unowned(actor)
    mlp.jvp(theta, actor, obs, hidden, v, out, work)
    for i in range(mu.shape[0]):
        for j in range(mu.shape[1]):
            out[i, j] *= 1 - mu[i, j] * mu[i, j]


@jit
def vjp(actor, theta, obs, hidden, mu, u, out, work):
    """Σ_rows ∇_θ μᵀ u.   u (B, A), hidden and mu (B, A) from `act` → out (P,).   work (P + B·(A + 2·max n_l),)."""
    _vjp(
        mlp._unowned(actor), unowned(theta), unowned(obs), unowned(hidden), unowned(mu), unowned(u), out, unowned(work)
    )


@jit
def gradient(actor, critic, theta, theta_q, obs, grad, value, work):
    """Σ_rows ∇_θ μ(s) ∇_a Q(s, a) at a = μ(s) → grad (P,), and Σ_rows Q(s, μ(s)) → value (1,)  (DP-1).

    theta (P,), theta_q of the critic, obs (B, O).   work (work_size,).
    """
    actor, critic, work = mlp._unowned(actor), mlp._unowned(critic), unowned(work)
    theta, theta_q, obs = unowned(theta), unowned(theta_q), unowned(obs)
    rows, actions, units = obs.shape[0], actor.sizes[-1], mlp._units(actor.sizes)
    a, b, c, d = rows * actions, 2 * rows * actions, rows * (2 * actions + 1), rows * (2 * actions + 1 + units)
    mu, slope, q = matrix(work, 0, rows, actions), matrix(work, a, rows, actions), work[b:c]
    hidden, rest = work[c:d], work[d:]
    _act(actor, theta, obs, mu, hidden)
    q_value._action_gradient(critic, theta_q, obs, mu, q, slope, rest)
    _vjp(actor, theta, obs, hidden, mu, slope, unowned(grad), rest)
    total = 0.0
    for i in range(rows):
        total += q[i]
    value[0] = total


@jit
def targets(actor, critic, theta, thetas_q, rew, terminated, next_obs, noise, gamma, out, work):
    """y = r + γ (1 − terminated) min_k Q_k(s′, ã), with ã = μ(s′) + noise clipped to ±1 → out (B,)  (DP-2, DP-3).

    theta (P,) and thetas_q (K, P_q): of the target networks; rew, terminated (B,), next_obs (B, O), noise (B, A).
    work (work_size,).
    """
    actor, critic, work = mlp._unowned(actor), mlp._unowned(critic), unowned(work)
    theta, thetas_q, next_obs, out = unowned(theta), unowned(thetas_q), unowned(next_obs), unowned(out)
    rows, actions = noise.shape
    action, value, rest = matrix(work, 0, rows, actions), work[rows * actions :][:rows], work[rows * (actions + 1) :]
    _act(actor, theta, next_obs, action, rest)
    for i in range(rows):
        for j in range(actions):
            action[i, j] = min(max(action[i, j] + noise[i, j], -1), 1)
    for k in range(thetas_q.shape[0]):
        q_value._q(critic, thetas_q[k], next_obs, action, value, rest)
        for i in range(rows):
            smaller = k == 0 or value[i] < out[i] or value[i] != value[i]  # NaN stays NaN
            out[i] = value[i] if smaller else out[i]
    discount = out.dtype.type(gamma)
    for i in range(rows):
        out[i] = rew[i] + (0 if terminated[i] else discount * out[i])


@part
def _act(actor, theta, obs, out, hidden):
    mlp.forward(theta, actor, obs, out, hidden)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = tanh(out[i, j])


@part
def _vjp(actor, theta, obs, hidden, mu, u, out, work):
    rows, actions = mu.shape
    g = matrix(work, 0, rows, actions)
    for i in range(rows):
        for j in range(actions):
            g[i, j] = u[i, j] * (1 - mu[i, j] * mu[i, j])
    mlp.vjp(theta, actor, obs, hidden, g, out, work[rows * actions :])


@cache
def work_size(actor_sizes, critic_sizes, rows):
    """The length of `work`, from the layer sizes of actor and critic and the number of rows."""
    actions, units = actor_sizes[-1], sum(actor_sizes[1:-1])
    critic = q_value.work_size(critic_sizes, 0, rows)
    actor = sum((n + 1) * m for n, m in pairwise(actor_sizes)) + rows * (actions + 2 * max(actor_sizes))
    return rows * (2 * actions + 1 + units) + max(critic, actor)
