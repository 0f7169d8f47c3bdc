"""Returns and advantages over time. An episode that *terminates* has no value after it; one that is *truncated* has.

All arrays are (T, N), time first. `next_value` is V of the observation that followed, before any reset: the final
observation of a truncated episode, not the first of the next one. If both flags are set, the episode terminated.
"""

from minipg.kernels.reference._namespace import namespace


def discounted_returns(rew, next_value, terminated, truncated, gamma, out):
    """G_t = r_t + γ G_{t+1}  (PG-7), with γ·0 after a termination, γ V after a truncation and after the last row."""
    xp, next_return = namespace(rew), next_value[-1]
    for t in reversed(range(len(rew))):
        next_return = xp.where(truncated[t], next_value[t], next_return)
        out[t] = rew[t] + xp.where(terminated[t], 0, gamma * next_return)
        next_return = out[t]


def td_errors(rew, value, next_value, terminated, gamma, out):
    """δ_t = r_t + γ (1 − terminated) V(s_{t+1}) − V(s_t)  (PG-12)."""
    out[...] = rew + namespace(rew).where(terminated, 0, gamma * next_value) - value


def gae(delta, terminated, truncated, gamma, gae_lambda, out):
    """Â_t = δ_t + γλ Â_{t+1}  (PG-12), the trace cut at either end of an episode.   `out` may be `delta`."""
    xp = namespace(delta)
    next_adv = xp.zeros(delta.shape[1:], delta.dtype)
    for t in reversed(range(len(delta))):
        out[t] = delta[t] + xp.where(terminated[t] | truncated[t], 0, gamma * gae_lambda * next_adv)
        next_adv = out[t]


def advantages(value, rew, terminated, cut, final_at, gamma, gae_lambda, adv, ret):
    """`td_errors` and `gae` of a batch, and the critic's targets ret = Â + V  (PG-12, AC-1).

    value (T·N + N + K,): V of every row, of the N observations after the last rows, and of the K last observations of
    truncated episodes, which followed the flat rows final_at (K,).
    """
    (envs, rows), state_value = (rew.shape[1], rew.size), value[: rew.size].reshape(rew.shape)
    next_value = value[envs : rows + envs].copy()
    next_value[final_at] = value[rows + envs :]
    td_errors(rew, state_value, next_value.reshape(rew.shape), terminated, gamma, adv)
    gae(adv, terminated, cut, gamma, gae_lambda, adv)
    ret[...] = adv + state_value
