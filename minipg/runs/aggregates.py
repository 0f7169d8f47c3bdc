"""Statistics over several environments and seeds (Agarwal et al. 2021, arXiv:2108.13264).

`Scores` holds one algorithm's scores: an array for each environment, with a number for each run. Intervals are 95 %
bootstrap intervals, stratified by environment: the runs of each environment are resampled among themselves, because the
environments are fixed and the seeds are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from minipg.checks import Array

Scores: TypeAlias = Mapping[str, Array]
INTERVAL = (2.5, 97.5)  # percentiles
_RESAMPLES = 2000


class Estimate(NamedTuple):
    """A statistic and its interval: numbers, or arrays of equal shape."""

    value: Array
    low: Array
    high: Array


def normalized(results: Mapping[str, Scores], low: Mapping[str, float], high: Mapping[str, float]) -> dict[str, Scores]:
    """The scores of every algorithm, scaled so that `low` of an environment is 0 and `high` is 1.

    Where the two are equal, `low` is subtracted and nothing is divided.
    """
    return {
        algorithm: {env: (runs - low[env]) / ((high[env] - low[env]) or 1.0) for env, runs in scores.items()}
        for algorithm, scores in results.items()
    }


def pooled(scores: Scores) -> Array:
    """All runs of all environments.   → (S,), or (…, S) of resamples."""
    return np.concatenate(list(scores.values()), axis=-1)


def mean(scores: Scores) -> Array:
    """The mean over all runs.   → a number, or (…,) of resamples."""
    found: Array = pooled(scores).mean(axis=-1)
    return found


def interquartile_mean(scores: Scores) -> Array:
    """The mean over all runs without the highest and the lowest quarter.   → a number, or (…,) of resamples."""
    from scipy.stats import trim_mean

    found: Array = trim_mean(pooled(scores), 0.25, axis=-1)
    return found


def performance_profile(scores: Scores, thresholds: Array) -> Array:
    """The share of runs with a score above each threshold.   thresholds (T,) → (T,), or (…, T) of resamples."""
    found: Array = (pooled(scores)[..., None, :] > thresholds[:, None]).mean(axis=-1)
    return found


def probability_of_improvement(a: Scores, b: Scores) -> Array:
    """The probability that a run of `a` scores more than one of `b` in the same environment, a draw counted as half.

    It is the mean over environments, which both have. No normalisation changes it.   → a number, or (…,) of resamples.
    """
    pairs = [(a[env][..., :, None], b[env][..., None, :]) for env in a]
    found: Array = np.mean([((x > y) + (x == y) / 2).mean(axis=(-2, -1)) for x, y in pairs], axis=0)
    return found


def estimate(statistic: Callable[..., Array], *scores: Scores, seed: int = 0) -> Estimate:
    """`statistic(*scores)` with its interval. It is called once more, with resamples along a first axis."""
    rng = np.random.default_rng(seed)
    drawn = [
        {env: runs[rng.integers(0, len(runs), (_RESAMPLES, len(runs)))] for env, runs in of_one.items()}
        for of_one in scores
    ]
    low, high = np.percentile(statistic(*drawn), INTERVAL, axis=0)
    return Estimate(statistic(*scores), low, high)
