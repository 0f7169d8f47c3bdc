"""Twin of `reference/returns.py`: arrays are (T, N), and the environments of a row are done side by side."""

from minipg.kernels.cpu._jit import jit


@jit
def discounted_returns(rew, next_value, terminated, truncated, gamma, out):
    """G_t = r_t + γ G_{t+1}  (PG-7), with γ·0 after a termination, γ V after a truncation and after the last row."""
    steps, envs = rew.shape
    for t in range(steps - 1, -1, -1):
        for n in range(envs):
            bootstrap = truncated[t, n] or t == steps - 1
            following = next_value[t, n] if bootstrap else out[t + 1, n]
            out[t, n] = rew[t, n] + (0 if terminated[t, n] else gamma * following)


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
