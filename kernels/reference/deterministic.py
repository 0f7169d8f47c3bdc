"""A deterministic policy μ(s) = tanh f_θ(s), its gradient through a critic, and the targets of its critics."""

from minipg.kernels.reference import mlp, q_value
from minipg.kernels.reference._namespace import namespace


def act(actor, theta, obs, out, hidden):
    """μ(s).   actor: a network; theta (P,), obs (B, O) → out (B, A), hidden as in `mlp.forward`."""
    mlp.forward(theta, actor, obs, out, hidden)
    out[...] = namespace(obs).tanh(out)


def jvp(actor, theta, obs, hidden, mu, v, out, work):
    """∇_θ μ v = (1 − μ²) J v: the derivative of μ along v.   v (P,), hidden and mu (B, A) from `act` → out (B, A)."""
    mlp.jvp(theta, actor, obs, hidden, v, out, work)
    out *= 1 - mu * mu


def vjp(actor, theta, obs, hidden, mu, u, out, work):
    """Σ_rows ∇_θ μᵀ u.   u (B, A), hidden and mu (B, A) from `act` → out (P,)."""
    mlp.vjp(theta, actor, obs, hidden, u * (1 - mu * mu), out, work)


def gradient(actor, critic, theta, theta_q, obs, grad, value, work):
    """Σ_rows ∇_θ μ(s) ∇_a Q(s, a) at a = μ(s) → grad (P,), and Σ_rows Q(s, μ(s)) → value (1,)  (DP-1).

    theta (P,), theta_q of the critic, obs (B, O).   work (work_size,).
    """
    xp, hidden = namespace(obs), mlp._new_hidden(actor, theta, obs)
    mu, q = xp.empty((len(obs), int(actor.sizes[-1])), obs.dtype), xp.empty(len(obs), obs.dtype)
    slope = xp.empty_like(mu)
    act(actor, theta, obs, mu, hidden)
    q_value.action_gradient(critic, theta_q, obs, mu, q, slope, None)
    vjp(actor, theta, obs, hidden, mu, slope, grad, None)
    value[...] = q.sum(dtype=float)


def targets(actor, critic, theta, thetas_q, rew, terminated, next_obs, noise, gamma, out, work):
    """y = r + γ (1 − terminated) min_k Q_k(s′, ã), with ã = μ(s′) + noise clipped to ±1 → out (B,)  (DP-2, DP-3).

    theta (P,) and thetas_q (K, P_q): of the target networks; rew, terminated (B,), next_obs (B, O), noise (B, A).
    work (work_size,).
    """
    xp = namespace(next_obs)
    action = xp.empty(noise.shape, next_obs.dtype)
    act(actor, theta, next_obs, action, mlp._new_hidden(actor, theta, next_obs))
    action = xp.clip(action + noise, -1, 1)
    values = xp.empty((len(thetas_q), len(rew)), next_obs.dtype)
    for k in range(len(values)):
        q_value.q(critic, thetas_q[k], next_obs, action, values[k], None)
    out[...] = rew + xp.where(terminated, 0, gamma * values.min(axis=0))


def work_size(actor_sizes, critic_sizes, rows):
    """The length of `work`: 0, because NumPy allocates what it needs."""
    return 0
