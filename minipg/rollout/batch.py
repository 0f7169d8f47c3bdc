"""The result of a rollout.

The arrays that an update computes with are where the backend computes. Masks, returns and lengths are on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    """Environment steps taken in the branches."""


class RunningEpisodes(NamedTuple):
    """Return and length so far of the current episode of every environment."""

    returns: Array  # (N,)
    lengths: Array  # (N,) int64


class Batch(NamedTuple):
    """T steps of N environments, time first. Row t is the transition from the state that obs[t] shows.

    The last observation of a truncated episode is in no row of `obs`, because the environment has been reset. It is
    in `final_obs`: `final_obs[k]` followed the flat row `final_at[k]` = t·N + n.
    """

    obs: Array  # (T, N, O) as the policy saw them
    act: Array  # (T, N, …) as sampled, before any clipping
    params: Array  # (T, N, D) of the distributions of the actions
    rew: Array  # (T, N), scaled if scaling is on
    terminated: Array  # (T, N) bool: the episode ended, no value follows
    truncated: Array  # (T, N) bool: the episode was cut, and did not terminate
    valid: Array  # (T, N) bool, on the host: False if the environment only reset in this step, or failed
    dropped: Array  # (T, N) bool, on the host: the environment failed in this step; it starts a new episode
    life_lost: Array  # (T, N) bool, on the host: `terminated`, but the episode's return continues
    last_obs: Array  # (N, O) the observations after the last row, of a new episode where one ended there
    final_obs: Array  # (K, O) the last observations of truncated episodes
    final_at: Array  # (K,) int64, the flat rows before them
    episode_returns: Array  # (E,) on the host: unscaled returns of the episodes that ended, in order
    episode_lengths: Array  # (E,) on the host
    branches: Branches | None = None  # of vine sampling


def with_valid_rows(collect: Callable[[], Batch]) -> tuple[Batch, int]:
    """The next batch of `collect` that has a valid row, and the steps in which environments failed until its end."""
    batch, dropped = collect(), 0
    while not np.count_nonzero(batch.valid):  # every step only reset (Gymnasium's next-step mode) or failed
        dropped += int(np.count_nonzero(batch.dropped))
        batch = collect()
    return batch, dropped + int(np.count_nonzero(batch.dropped))


def copied(batch: Batch) -> Batch:
    """The batch in arrays of its own."""
    return batch._replace(**{name: getattr(batch, name).copy() for name in Batch._fields if name != "branches"})


def joined(parts: Sequence[Batch]) -> Batch:
    """Consecutive batches, concatenated in time."""
    first, envs = np.cumsum([0, *(len(part.rew) for part in parts)]), parts[0].rew.shape[1]
    offsets = first[:-1].tolist()
    parts = [part._replace(final_at=part.final_at + start * envs) for part, start in zip(parts, offsets, strict=True)]
    columns = {name: [getattr(part, name) for part in parts] for name in Batch._fields if name != "branches"}
    together = {name: namespace(column[0]).concatenate(column) for name, column in columns.items()}
    return Batch(**{**together, "last_obs": parts[-1].last_obs})


def ends_of_episodes(batch: Batch) -> Array:
    """The steps whose episode ended there and was counted, (T, N) bool on the host: a lost life is no such end."""
    return to_host(batch.terminated | batch.truncated) & ~batch.life_lost


def first_episodes(batch: Batch, episodes: int) -> Batch:
    """The batch with only the first `episodes` episodes of each environment valid and counted.

    The further episodes that an environment plays while others finish are shorter on average and would bias the mean
    return. The rows of a dropped episode are not valid either, because it is not whole.
    """
    done = ends_of_episodes(batch)
    among = np.less(np.cumsum(done, axis=0) - done, episodes)
    ended = among[done]  # in the order in which they ended
    return batch._replace(
        valid=batch.valid & among & ~_dropped_episodes(batch.dropped, done),
        episode_returns=batch.episode_returns[ended],
        episode_lengths=batch.episode_lengths[ended],
    )


def _dropped_episodes(dropped: Array, done: Array) -> Array:
    """The rows, (T, N) bool, of episodes that did not end because their environment failed."""
    rows, later = dropped.copy(), np.zeros_like(dropped[0])
    for t in reversed(range(len(rows))):
        later = rows[t] = dropped[t] | later & ~done[t]
    return rows


def episode_starts(batch: Batch) -> Array:
    """True at the first step of each episode, in a batch that begins with a reset.   → (T, N) bool."""
    xp = namespace(batch.rew)
    valid = xp.asarray(batch.valid)
    after = xp.ones_like(valid)  # the step before ended an episode or only reset
    after[1:] = batch.terminated[:-1] | batch.truncated[:-1] | ~valid[:-1]
    return after & valid


def ended_episodes(
    rew: Array, done: Array, valid: Array, dropped: Array, running: RunningEpisodes
) -> tuple[Array, Array]:
    """Returns and lengths (E,) of the episodes that ended, in order; rew and the flags are (T, N).

    `running`, the current episode of every environment, is updated in place. A dropped episode is not counted.
    """
    (returns, lengths), ended_returns, ended_lengths = running, [], []
    ends = np.flatnonzero((done | dropped).any(axis=1)) + 1
    for a, b in pairwise([0, *ends.tolist(), len(rew)]):
        if a < b:
            returns[:] = np.concatenate([returns[None], rew[a:b]]).cumsum(axis=0)[-1]  # added in the order of the steps
            lengths += valid[a:b].sum(axis=0)
            ended_returns.append(returns[done[b - 1]])
            ended_lengths.append(lengths[done[b - 1]])
            restarted = done[b - 1] | dropped[b - 1]
            returns[restarted], lengths[restarted] = 0, 0
    return np.concatenate(ended_returns), np.concatenate(ended_lengths)
