"""What a rollout leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minipg.checks import Array


class Batch(NamedTuple):
    """T steps of N environments, time first. Row t of everything belongs to the state the action was taken in.

    A truncated episode's last observation is in no row of `obs` (the environment has been reset by then), so it is
    kept apart: `final_obs[k]` followed the flat row `final_at[k]` = t·N + n.
    """

    obs: Array  # (T, N, O) as the policy saw them
    act: Array  # (T, N, …) as sampled, before any clipping
    params: Array  # (T, N, D) of the distributions they were sampled from
    rew: Array  # (T, N) as the learner sees them: scaled, if scaling is on
    terminated: Array  # (T, N) bool: nothing follows
    truncated: Array  # (T, N) bool: cut short, and not terminated
    valid: Array  # (T, N) bool: False where the environment was only resetting, or lost
    dropped: Array  # (T, N) bool: the environment was lost in this step, and its episode with it; a reset follows
    last_obs: Array  # (N, O) what follows the last row
    final_obs: Array  # (K, O)
    final_at: Array  # (K,) int64
    episode_returns: Array  # (E,) unscaled returns of the episodes that ended, in order
    episode_lengths: Array  # (E,)


def joined(parts: Sequence[Batch]) -> Batch:
    """Batches that followed each other, as one."""
    first, envs = np.cumsum([0, *(len(part.rew) for part in parts)]), parts[0].rew.shape[1]
    together = {name: np.concatenate([getattr(part, name) for part in parts]) for name in Batch._fields}
    final_at = np.concatenate([part.final_at + start * envs for part, start in zip(parts, first[:-1], strict=True)])
    return Batch(**{**together, "last_obs": parts[-1].last_obs, "final_at": final_at})


def first_episodes(batch: Batch, episodes: int) -> Batch:
    """The batch with nothing valid after the first `episodes` ends of each environment, nor any later episode counted.

    Those that others play while they wait for the slowest are short ones: their mean return would be another. Nor is
    an episode valid that was dropped: it is not whole.
    """
    done = batch.terminated | batch.truncated
    among = np.less(np.cumsum(done, axis=0) - done, episodes)
    ended = among[done]  # in the order of the ends
    return batch._replace(
        valid=batch.valid & among & ~_of_dropped_episodes(batch),
        episode_returns=batch.episode_returns[ended],
        episode_lengths=batch.episode_lengths[ended],
    )


def _of_dropped_episodes(batch: Batch) -> Array:
    """The rows, (T, N) bool, of episodes that a loss of their environment kept from ending."""
    of, following = batch.dropped.copy(), np.zeros_like(batch.dropped[0])
    for t in reversed(range(len(of))):
        following = of[t] = batch.dropped[t] | following & ~(batch.terminated[t] | batch.truncated[t])
    return of


def episode_starts(batch: Batch) -> Array:
    """Where an episode begins, in a batch that begins with a reset.   → (T, N) bool."""
    after = np.ones_like(batch.valid)  # an end, or a step that only reset, comes before
    after[1:] = batch.terminated[:-1] | batch.truncated[:-1] | ~batch.valid[:-1]
    return after & batch.valid
