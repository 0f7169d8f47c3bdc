"""Twin of `reference/returns.py`: arrays are (T, N); the inner loop is over environments."""

from minipg.kernels.cpu._jit import jit, matrix


@jit
def discounted_returns(rew, next_value, terminated, truncated, gamma, out):
    """G_t = r_t + γ G_{t+1}  (PG-7), with γ·0 after a termination, γ V after a truncation and after the last row."""
    steps, envs = rew.shape
    for t in range(steps - 1, -1, -1):
        for n in range(envs):
            bootstrap = truncated[t, n] or t == steps - 1
            next_return = next_value[t, n] if bootstrap else out[t + 1, n]
            out[t, n] = rew[t, n] + (0 if terminated[t, n] else gamma * next_return)


@jit
def td_errors(rew, value, next_value, terminated, gamma, out):
    """δ_t = r_t + γ (1 − terminated) V(s_{t+1}) − V(s_t)  (PG-12)."""
    for t in range(rew.shape[0]):
        for n in range(rew.shape[1]):
            out[t, n] = rew[t, n] + (0 if terminated[t, n] else gamma * next_value[t, n]) - value[t, n]


@jit
def gae(delta, terminated, truncated, gamma, gae_lambda, out):
    """Â_t = δ_t + γλ Â_{t+1}  (PG-12), the trace cut at either end of an episode.   `out` may be `delta`."""
    steps, envs = delta.shape
    for t in range(steps - 1, -1, -1):
        for n in range(envs):
            cut = terminated[t, n] or truncated[t, n] or t == steps - 1
            out[t, n] = delta[t, n] + (0 if cut else gamma * gae_lambda * out[t + 1, n])


@jit
def advantages(value, rew, terminated, cut, final_at, gamma, gae_lambda, adv, ret):
    """`td_errors` and `gae` of a batch, and ret = Â + V  (PG-12, AC-1).   value (T·N + N + K,), final_at (K,)."""
    (steps, envs), rows = rew.shape, rew.size
    state_value, next_value = matrix(value, 0, steps, envs), ret.reshape(rows)  # in ret until it is written
    for i in range(rows):
        next_value[i] = value[envs + i]
    for k in range(final_at.shape[0]):
        next_value[final_at[k]] = value[rows + envs + k]
    td_errors(rew, state_value, ret, terminated, gamma, adv)
    gae(adv, terminated, cut, gamma, gae_lambda, adv)
    for t in range(steps):
        for n in range(envs):
            ret[t, n] = adv[t, n] + state_value[t, n]
