"""Returns and advantages over time. An episode that *terminates* has no value after it; one that is *truncated* has.

All arrays are (T, N), time first. `next_value` is V of the observation that followed, before any reset: the final
observation of a truncated episode, not the first of the next one. Where both flags stand, the episode terminated.
"""

from minipg.kernels.reference._namespace import namespace


def discounted_returns(rew, next_value, terminated, truncated, gamma, out):
    """G_t = r_t + γ G_{t+1}  (PG-7), with γ·0 after a termination, γ V after a truncation and after the last row."""
    xp, following = namespace(rew), next_value[-1]
    for t in reversed(range(len(rew))):
        following = xp.where(truncated[t], next_value[t], following)
        out[t] = rew[t] + xp.where(terminated[t], 0, gamma * following)
        following = out[t]


def td_errors(rew, value, next_value, terminated, gamma, out):
    """δ_t = r_t + γ (1 − terminated) V(s_{t+1}) − V(s_t)  (PG-12)."""
    out[...] = rew + namespace(rew).where(terminated, 0, gamma * next_value) - value


def gae(delta, terminated, truncated, gamma, gae_lambda, out):
    """Â_t = δ_t + γλ Â_{t+1}  (PG-12), the trace cut at either end of an episode.   `out` may be `delta`."""
    xp = namespace(delta)
    following = xp.zeros(delta.shape[1:], delta.dtype)
    for t in reversed(range(len(delta))):
        out[t] = delta[t] + xp.where(terminated[t] | truncated[t], 0, gamma * gae_lambda * following)
        following = out[t]


def advantages(value, rew, terminated, cut, final_at, gamma, gae_lambda, adv, ret):
    """Both of the above for a whole batch, and what the critic is to be told: ret = Â + V  (PG-12, AC-1).

    value (T·N + N + K,): V of every row, of what follows the last ones, and of the K observations that ended truncated
    episodes, which followed the rows final_at (K,).
    """
    (envs, rows), own = (rew.shape[1], rew.size), value[: rew.size].reshape(rew.shape)
    following = value[envs : rows + envs].copy()
    following[final_at] = value[rows + envs :]
    td_errors(rew, own, following.reshape(rew.shape), terminated, gamma, adv)
    gae(adv, terminated, cut, gamma, gae_lambda, adv)
    ret[...] = adv + own
