"""Running statistics that put observations and rewards on a common scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from minipg.checks import Array, namespace
from minipg.runtime.backend import Backend, to_host

LIMIT = 10.0  # standardised observations and scaled rewards are clipped here
_NAMES = "count", "mean", "square"
Statistics: TypeAlias = dict[str, dict[str, Array]]  # moments by kind: their three arrays, on the host, by name


@dataclass
class Moments:
    """Count, mean and summed squared deviations of a stream of rows (O,); the equations are in kernels/*/moments.py."""

    size: int
    backend: Backend
    count: Array = field(init=False)
    mean: Array = field(init=False)
    square: Array = field(init=False)

    def __post_init__(self) -> None:
        xp = self.backend.xp
        self.count, self.mean, self.square = xp.zeros(1), xp.zeros(self.size), xp.zeros(self.size)

    @property
    def arrays(self) -> tuple[Array, Array, Array]:
        """(count, mean, square), not copied: kernels update them in place."""
        return self.count, self.mean, self.square

    def merge(self, x: Array) -> None:
        """Fold in the rows of x (B, O)."""
        self.backend.kernels("moments").merge(x, *self.arrays)

    def state(self) -> dict[str, Array]:
        """Copies of the three arrays on the host, by name."""
        return {name: to_host(getattr(self, name).copy()) for name in _NAMES}

    def restore(self, state: dict[str, Array]) -> None:
        """The inverse of `state`."""
        for name in _NAMES:
            setattr(self, name, self.backend.to_device(state[name].copy()))


class ObservationNormalizer:
    """(obs − mean)/σ, clipped to ±10. Only `update` changes the statistics.

    The first `mask` columns, the mask of allowed actions, stay as they are.
    """

    def __init__(self, size: int, backend: Backend, mask: int = 0) -> None:
        self.moments, self.mask = Moments(size, backend), mask

    def update(self, obs: Array) -> None:
        """Fold in the rows of obs (B, O)."""
        self.moments.merge(obs)

    def __call__(self, obs: Array) -> Array:
        """The normalised observations.   obs (B, O) → (B, O) of the same dtype."""
        out = namespace(obs).empty_like(obs)
        self.moments.backend.kernels("moments").standardize(obs, *self.moments.arrays, LIMIT, out)
        out[:, : self.mask] = obs[:, : self.mask]
        return out


class RewardScaler:
    """r/σ(R), clipped to ±10, R the running discounted return. No mean is subtracted, so rewards keep their sign."""

    def __init__(self, num_envs: int, gamma: float, backend: Backend) -> None:
        self.moments = Moments(1, backend)
        self.gamma = gamma
        self.running = backend.xp.zeros((num_envs, 1))

    def __call__(self, rew: Array, done: Array, valid: Array | None = None) -> Array:
        """Update R and its statistics, then scale.   rew (N,), done (N,) bool: R restarts from 0 → (N,).

        `valid` (N,) bool, on the host: only these rows are counted.
        """
        self.running[:, 0] = self.gamma * self.running[:, 0] + rew
        if valid is None or valid.all():
            self.moments.merge(self.running)
        else:
            self.moments.merge(self.running[self.moments.backend.to_device(np.flatnonzero(valid))])
        self.running[:, 0] = namespace(rew).where(done, 0, self.running[:, 0])
        return scaled(rew, self.deviation)

    @property
    def deviation(self) -> Array:
        """The current σ(R) (1,); 1 if R has not varied."""
        xp = self.moments.backend.xp
        deviation = xp.sqrt(self.moments.square / self.moments.count)
        return xp.where(deviation > 0, deviation, 1)


def scaled(rew: Array, deviation: Array) -> Array:
    """rew (N,) divided by σ(R) (1,) and clipped to ±LIMIT → (N,). Both arrays are of one library."""
    return namespace(rew).clip(rew / deviation.astype(rew.dtype), -LIMIT, LIMIT)


def statistics_of(normalizer: ObservationNormalizer | None, scaler: RewardScaler | None) -> Statistics:
    """The statistics of observations (`obs`) and of rewards (`reward`), of those that there are."""
    kinds = {"obs": normalizer, "reward": scaler}
    return {kind: one.moments.state() for kind, one in kinds.items() if one is not None}


def restore_statistics(
    normalizer: ObservationNormalizer | None, scaler: RewardScaler | None, statistics: Statistics
) -> None:
    """The inverse of `statistics_of`."""
    for kind, one in (("obs", normalizer), ("reward", scaler)):
        if one is not None:
            one.moments.restore(statistics[kind])


def merged(before: Statistics, afters: Sequence[Statistics]) -> Statistics:
    """Statistics that were continued from `before` by several workers, as one: each worker's rows are counted once."""
    if len(afters) == 1:
        return afters[0]
    return {kind: _merged(moments, [after[kind] for after in afters]) for kind, moments in before.items()}


def _merged(before: dict[str, Array], afters: Sequence[dict[str, Array]]) -> dict[str, Array]:
    n, mean, square = first, start, _ = [before[name] for name in _NAMES]
    for after in afters:
        added = after["count"] - first
        if added <= 0:
            continue
        d = (after["mean"] - start) * (after["count"] / added)  # mean of the added rows − mean of the first
        own = after["square"] - before["square"] - d * d * (first * added / after["count"])
        d = d + start - mean
        square = square + np.maximum(own, 0) + d * d * (n * added / (n + added))
        n, mean = n + added, mean + d * (added / (n + added))
    return dict(zip(_NAMES, (n, mean, square), strict=True))
