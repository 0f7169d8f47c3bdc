"""Groups of arguments of rollouts on a device, with names."""

from typing import Any, NamedTuple


class EnvState(NamedTuple):
    """The state of N environments, changed in place."""

    time_limit: int
    seed: int
    state: Any  # (N, S)
    elapsed: Any  # (N,) int64, steps since the reset
    episode: Any  # (N,) int64, episodes since the seed
    obs: Any  # (N, O), not standardised
    returns: Any  # (N,) of the episode so far
    lengths: Any  # (N,) int64 of the episode so far


class Rollout(NamedTuple):
    """What a rollout writes: T steps of N environments."""

    obs: Any  # (T + 1, N, O) as the policy sees them; row 0 is given
    act: Any  # (T, N, …)
    params: Any  # (T, N, D) of the distributions
    rew: Any  # (T, N)
    terminated: Any  # (T, N) bool
    truncated: Any  # (T, N) bool, and not terminated
    final_obs: Any  # (K, O) last observations of truncated episodes, not standardised
    final_at: Any  # (K,) int64, the flat rows t·N + n that they followed
    episodes: Any  # (T·N, 2) return and length of the episodes that ended, in order
    counts: Any  # (3,) float64: episodes that ended, observations in final_obs, a number that is finite if all are
