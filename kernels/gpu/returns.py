"""`reference/returns.py`, arrays (T, N), one environment a thread (returns.cu)."""

from minipg.kernels.gpu._cuda import Source

_run = Source("returns.cu")


def discounted_returns(rew, next_value, terminated, truncated, gamma, out):
    """G_t = r_t + γ G_{t+1}  (PG-7), with γ·0 after a termination, γ V after a truncation and after the last row."""
    _run("discounted_returns", rew.shape[1], len(rew), gamma, rew, next_value, terminated, truncated, out)


def td_errors(rew, value, next_value, terminated, gamma, out):
    """δ_t = r_t + γ (1 − terminated) V(s_{t+1}) − V(s_t)  (PG-12)."""
    _run("td_errors", rew.size, gamma, rew, value, next_value, terminated, out)


def gae(delta, terminated, truncated, gamma, gae_lambda, out):
    """Â_t = δ_t + γλ Â_{t+1}  (PG-12), the trace cut at either end of an episode.   `out` may be `delta`."""
    _run("gae", delta.shape[1], len(delta), gamma * gae_lambda, delta, terminated, truncated, out)


def advantages(value, rew, terminated, cut, final_at, gamma, gae_lambda, adv, ret):
    """Â of a whole batch, and the critic's targets Â + V  (PG-12, AC-1).   value (T·N + N + K,), final_at (K,)."""
    (envs, rows), own, following = (rew.shape[1], rew.size), value[: rew.size].reshape(rew.shape), ret.reshape(rew.size)
    following[...] = value[envs : rows + envs]
    following[final_at] = value[rows + envs :]
    td_errors(rew, own, ret, terminated, gamma, adv)
    gae(adv, terminated, cut, gamma, gae_lambda, adv)
    ret[...] = adv + own
