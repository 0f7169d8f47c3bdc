"""The replay: the last transitions of all environments, in flat arrays."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minipg.checks import Array
from minipg.errors import ConfigError
from minipg.rollout.batch import Batch
from minipg.runtime.backend import to_host

if TYPE_CHECKING:
    from minipg.rollout.replay_files import ReplayFiles


class Transitions(NamedTuple):
    """B transitions. `next_obs` is the true next observation, and has no meaning where `terminated`.

    Numbers are in single precision; a replay holds observations in a dtype of their own.
    """

    obs: Array  # (B, O)
    act: Array  # (B, A), from −1 to 1
    rew: Array  # (B,)
    terminated: Array  # (B,) bool
    next_obs: Array  # (B, O)


class Replay:
    """The last `capacity` transitions, oldest overwritten first.

    Raises ConfigError if there is less memory than it will need. Attributes: `added`, transitions added so far;
    `bytes`, the memory of the full replay; `files`, which write what is added (replay_files.py), or None.
    """

    files: ReplayFiles | None

    def __init__(self, capacity: int, obs_size: int, act_size: int, obs_dtype: Any = np.float32) -> None:
        shapes: tuple[Any, ...] = ((obs_size,), (act_size,), (), (), (obs_size,))
        dtypes: tuple[Any, ...] = (obs_dtype, np.float32, np.float32, np.bool_, obs_dtype)
        self.capacity, self.added, self.files = capacity, 0, None
        self.bytes = capacity * sum(int(np.prod(s)) * np.dtype(d).itemsize for s, d in zip(shapes, dtypes, strict=True))
        if (free := free_memory()) is not None and self.bytes > free:
            raise ConfigError(
                f"buffer_size: {capacity} transitions need {self.bytes / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB of "
                "memory are free"
            )
        # the system gives memory when a page is first written, so an empty replay costs nothing
        self.rows = Transitions(*(np.empty((capacity, *s), d) for s, d in zip(shapes, dtypes, strict=True)))

    @property
    def size(self) -> int:
        """The number of transitions held."""
        return min(self.added, self.capacity)

    def add(self, batch: Batch) -> None:
        """Append the valid transitions of a batch, step by step, and in a step environment by environment."""
        rows = batch.rew.size
        flat = lambda array: to_host(array).reshape(rows, *array.shape[2:])
        next_obs = np.concatenate([to_host(batch.obs)[1:], to_host(batch.last_obs)[None]]).reshape(rows, -1)
        next_obs[to_host(batch.final_at)] = to_host(batch.final_obs)  # there obs has a new episode's first
        new = Transitions(flat(batch.obs), flat(batch.act), flat(batch.rew), flat(batch.terminated), next_obs)
        keep = np.flatnonzero(batch.valid)[-self.capacity :]
        at = (self.added + np.arange(len(keep))) % self.capacity
        for column, values in zip(self.rows, new, strict=True):
            column[at] = values[keep]
        self.added += len(keep)
        if self.files is not None:
            self.files.write(self)

    def between(self, first: int, end: int) -> Transitions:
        """Copies of the transitions number `first` to `end` − 1, counted from the first ever added."""
        at = np.arange(first, end) % self.capacity
        return Transitions(*(column[at] for column in self.rows))

    def put(self, first: int, rows: Transitions) -> None:
        """The inverse of `between`. `added` becomes the number after the last of them."""
        at = np.arange(first, first + len(rows.rew)) % self.capacity
        for column, values in zip(self.rows, rows, strict=True):
            column[at] = values
        self.added = first + len(rows.rew)

    def sample(self, uniform: Array) -> Transitions:
        """One transition for each number: uniform (B,) in [0, 1)."""
        rows = (uniform * self.size).astype(np.int64)
        obs, act, rew, terminated, next_obs = (column[rows] for column in self.rows)
        single = lambda x: x.astype(np.float32, copy=False)
        return Transitions(single(obs), act, rew, terminated, single(next_obs))


def free_memory() -> int | None:
    """Bytes of memory that are free now; None where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
        return int(found[0]) * 1024
    except (OSError, IndexError, ValueError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
