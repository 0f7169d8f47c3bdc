"""A picture that compares algorithms over several environments: aggregates.py, of the last scores of many runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from minipg.errors import RunFolderError
from minipg.runs.aggregates import (
    Estimate,
    Scores,
    estimate,
    interquartile_mean,
    normalized,
    performance_profile,
    pooled,
    probability_of_improvement,
)
from minipg.runs.curves import COLOURS, Curve
from minipg.runs.pictures import legend_below, picture


def last_scores(curves: Sequence[Curve]) -> dict[str, Scores]:
    """algorithm → environment → the last mean return of each run, in the environments that all algorithms have.

    Raises RunFolderError if there is no such environment, or only one algorithm.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for curve in curves:
        found.setdefault(curve.algorithm, {}).setdefault(curve.env, []).append(float(curve.returns[-1]))
    if len(found) < 2:
        raise RunFolderError("a comparison is of two algorithms or more")
    envs = dict.fromkeys(curve.env for curve in curves)
    shared = [env for env in envs if all(env in runs for runs in found.values())]
    if not shared:
        raise RunFolderError(f"no environment has runs of all of {', '.join(found)}")
    return {algorithm: {env: np.array(runs[env]) for env in shared} for algorithm, runs in found.items()}


def draw_comparison(curves: Sequence[Curve], path: Path) -> list[str]:
    """Draw performance profiles, interquartile means and probabilities of improvement. Returns them as lines of text.

    In every environment the lowest run of all is 0 and the highest is 1.
    """
    results = last_scores(curves)
    envs = list(next(iter(results.values())))
    ends = {env: [choose(min_or_max(scores[env]) for scores in results.values())
                  for choose, min_or_max in ((min, np.min), (max, np.max))] for env in envs}  # fmt: skip
    scaled = normalized(results, *({env: float(ends[env][k]) for env in envs} for k in (0, 1)))
    means = {name: estimate(interquartile_mean, scores) for name, scores in scaled.items()}
    pairs = {
        f"{a} > {b}": estimate(probability_of_improvement, scaled[a], scaled[b]) for a, b in combinations(scaled, 2)
    }
    with picture(path, 3, columns=3, size=(5.4, 4.3)) as (figure, (profiles, middle, better)):
        thresholds = np.linspace(0, 1, 101)
        for name, scores in scaled.items():
            share, colour = estimate(partial(performance_profile, thresholds=thresholds), scores), _colour(name)
            profiles.plot(thresholds, share.value, color=colour, lw=2, label=f"{name} ({len(pooled(scores))} runs)")
            profiles.fill_between(thresholds, share.low, share.high, color=colour, alpha=0.2, lw=0)
        profiles.set(xlabel="score τ", ylabel="share of runs above τ", title="Performance profiles")
        legend_below(profiles, columns=2)
        _bars(middle, means, [_colour(name) for name in means])
        middle.set(xlabel="score", title="Interquartile mean")
        _bars(better, pairs, ["#000000"] * len(pairs))
        better.axvline(0.5, color="#999999", ls="--", lw=1)
        better.set(xlabel="probability", xlim=(-0.03, 1.03), title="Probability of improvement")
        scale = f"{len(envs)} environments: the lowest run is 0, the highest 1 in each; 95 % bootstrap intervals"
        figure.suptitle(scale, fontsize=13)
    return [f"{name}: {kind} {found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
            for kind, estimates in (("interquartile mean", means), ("probability", pairs))
            for name, found in estimates.items()]  # fmt: skip


def _colour(name: str) -> str:
    return COLOURS.get(name, "#000000")


def _bars(axes: Any, estimates: dict[str, Estimate], colours: list[str]) -> None:
    """A point and its interval on a line for each estimate, the first on top."""
    for row, (found, colour) in enumerate(zip(estimates.values(), colours, strict=True)):
        axes.plot([found.low, found.high], [row, row], color=colour, lw=6, alpha=0.35, solid_capstyle="butt")
        axes.plot([found.value], [row], "o", color=colour)
    axes.set_yticks(range(len(estimates)), list(estimates))
    axes.invert_yaxis()
