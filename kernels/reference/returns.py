"""Returns and advantages over time. An episode that *terminates* has no value after it; one that is *truncated* has.

All arrays are (T, N), time first. `next_value` is V of the observation that followed, before any reset: the final
observation of a truncated episode, not the first of the next one. Where both flags stand, the episode terminated.
"""


def discounted_returns(rew, next_value, terminated, truncated, gamma, out):
    """G_t = r_t + γ G_{t+1}  (PG-7), with γ·0 after a termination, γ V after a truncation and after the last row."""
    following = next_value[-1]
    for t in reversed(range(len(rew))):
        following = following * ~truncated[t] + next_value[t] * truncated[t]
        out[t] = rew[t] + gamma * following * ~terminated[t]
        following = out[t]


def td_errors(rew, value, next_value, terminated, gamma, out):
    """δ_t = r_t + γ (1 − terminated) V(s_{t+1}) − V(s_t)  (PG-12)."""
    out[...] = rew + gamma * next_value * ~terminated - value


def gae(delta, terminated, truncated, gamma, gae_lambda, out):
    """Â_t = δ_t + γλ Â_{t+1}  (PG-12), the trace cut at either end of an episode.   `out` may be `delta`."""
    following = 0 * delta[-1]
    for t in reversed(range(len(delta))):
        out[t] = delta[t] + gamma * gae_lambda * following * ~(terminated[t] | truncated[t])
        following = out[t]
