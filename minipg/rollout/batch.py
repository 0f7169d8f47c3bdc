"""What a rollout leaves behind."""

from __future__ import annotations

from typing import NamedTuple

from minipg.checks import Array


class Batch(NamedTuple):
    """T steps of N environments, time first. Row t of everything belongs to the state the action was taken in.

    A truncated episode's last observation is in no row of `obs` (the environment has been reset by then), so it is
    kept apart: `final_obs[k]` followed the flat row `final_at[k]` = t·N + n.
    """

    obs: Array  # (T, N, O) as the policy saw them
    act: Array  # (T, N, …) as sampled, before any clipping
    rew: Array  # (T, N) as the learner sees them: scaled, if scaling is on
    terminated: Array  # (T, N) bool: nothing follows
    truncated: Array  # (T, N) bool: cut short, and not terminated
    valid: Array  # (T, N) bool: False where the environment was only resetting
    last_obs: Array  # (N, O) what follows the last row
    final_obs: Array  # (K, O)
    final_at: Array  # (K,) int64
    episode_returns: Array  # (E,) unscaled returns of the episodes that ended, in order
    episode_lengths: Array  # (E,)
