"""`reference/returns.py`: the scans over time, one environment a thread (returns.cu)."""

from minipg.kernels.gpu._cuda import Source

_run = Source("returns.cu")


def discounted_returns(rew, next_value, terminated, truncated, gamma, out):
    """G_t = r_t + γ G_{t+1}  (PG-7), with γ·0 after a termination, γ V after a truncation and after the last row."""
    _run("discounted_returns", rew.shape[1], len(rew), gamma, rew, next_value, terminated, truncated, out)


def gae(delta, terminated, truncated, gamma, gae_lambda, out):
    """Â_t = δ_t + γλ Â_{t+1}  (PG-12), the trace cut at either end of an episode.   `out` may be `delta`."""
    _run("gae", delta.shape[1], len(delta), gamma * gae_lambda, delta, terminated, truncated, out)
