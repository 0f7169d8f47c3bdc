"""What a rollout leaves behind.

What is learnt from is where the backend computes; what is kept account of, and steers the shell, is on the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from minipg.checks import Array, namespace
from minipg.runtime.backend import to_host


class Branches(NamedTuple):
    """The rows (M·K, …) of all branches from K states, action by action (rollout/vine.py)."""

    obs: Array
    act: Array
    adv: Array
    q: Array
    steps: int
    """Environment steps of the branches."""


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
    valid: Array  # (T, N) bool, on the host: False where the environment was only resetting, or lost
    dropped: Array  # (T, N) bool, on the host: the environment was lost in this step, with its episode; a reset follows
    last_obs: Array  # (N, O) what follows the last row
    final_obs: Array  # (K, O)
    final_at: Array  # (K,) int64
    episode_returns: Array  # (E,) on the host: unscaled returns of the episodes that ended, in order
    episode_lengths: Array  # (E,) on the host
    branches: Branches | None = None  # of vine sampling


def joined(parts: Sequence[Batch]) -> Batch:
    """Batches that followed each other, as one."""
    first, envs = np.cumsum([0, *(len(part.rew) for part in parts)]), parts[0].rew.shape[1]
    offsets = first[:-1].tolist()
    parts = [part._replace(final_at=part.final_at + start * envs) for part, start in zip(parts, offsets, strict=True)]
    columns = {name: [getattr(part, name) for part in parts] for name in Batch._fields if name != "branches"}
    together = {name: namespace(column[0]).concatenate(column) for name, column in columns.items()}
    return Batch(**{**together, "last_obs": parts[-1].last_obs})


def first_episodes(batch: Batch, episodes: int) -> Batch:
    """The batch with nothing valid after the first `episodes` ends of each environment, nor any later episode counted.

    Those that others play while they wait for the slowest are short ones: their mean return would be another. Nor is
    an episode valid that was dropped: it is not whole.
    """
    done = to_host(batch.terminated | batch.truncated)
    among = np.less(np.cumsum(done, axis=0) - done, episodes)
    ended = among[done]  # in the order of the ends
    return batch._replace(
        valid=batch.valid & among & ~_of_dropped_episodes(batch.dropped, done),
        episode_returns=batch.episode_returns[ended],
        episode_lengths=batch.episode_lengths[ended],
    )


def _of_dropped_episodes(dropped: Array, done: Array) -> Array:
    """The rows, (T, N) bool, of episodes that a loss of their environment kept from ending."""
    of, following = dropped.copy(), np.zeros_like(dropped[0])
    for t in reversed(range(len(of))):
        following = of[t] = dropped[t] | following & ~done[t]
    return of


def episode_starts(batch: Batch) -> Array:
    """Where an episode begins, in a batch that begins with a reset.   → (T, N) bool."""
    xp = namespace(batch.rew)
    valid = xp.asarray(batch.valid)
    after = xp.ones_like(valid)  # an end, or a step that only reset, comes before
    after[1:] = batch.terminated[:-1] | batch.truncated[:-1] | ~valid[:-1]
    return after & valid


def ended_episodes(
    rew: Array, done: Array, valid: Array, dropped: Array, tally: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Returns and lengths (E,) of the episodes that ended, in order; rew and the flags are (T, N).

    `tally`, return and length of every environment's episode so far (N,), goes on in place. A dropped one is forgotten.
    """
    (returns, lengths), gained, lasted = tally, [], []
    ends = np.flatnonzero((done | dropped).any(axis=1)) + 1
    for a, b in pairwise([0, *ends.tolist(), len(rew)]):
        if a < b:
            returns[:] = np.concatenate([returns[None], rew[a:b]]).cumsum(axis=0)[-1]  # in the order they were paid
            lengths += valid[a:b].sum(axis=0)
            gained.append(returns[done[b - 1]])
            lasted.append(lengths[done[b - 1]])
            over = done[b - 1] | dropped[b - 1]
            returns[over], lengths[over] = 0, 0
    return np.concatenate(gained), np.concatenate(lasted)
