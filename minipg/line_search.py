"""The step of a trust region: how long to begin with, and how far to come back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from minipg.checks import Array


def step_scale(curvature: float, max_kl: float) -> float:
    """β = √(2δ/xᵀA x): the quadratic model puts the KL of β x at δ  (TR-6, TR-7). 0 where there is no such step."""
    scale = math.sqrt(2 * max_kl / curvature) if curvature > 0 else 0.0
    return scale if math.isfinite(scale) else 0.0


class LineSearchResult(NamedTuple):
    """Where the search ended: θ′, whether it moved, what it gained, its KL, the fraction of the step, the trials made.

    A search that failed holds the very θ it was given, gain 0, KL 0 and fraction 0.
    """

    theta: Array
    accepted: bool
    improvement: float
    kl: float
    fraction: float
    trials: int


def line_search(
    evaluate: Callable[[Array], tuple[float, float]],
    theta: Array,
    step: Array,
    *,
    max_kl: float,
    expected: float = 0.0,
    accept_ratio: float = 0.0,
    backtrack_coeff: float = 0.8,
    backtrack_iters: int = 10,
    project: Callable[[Array], Array] = lambda theta: theta,
) -> LineSearchResult:
    """θ + αʲ·step for the smallest j < backtrack_iters that improves and stays within the trust region  (TR-11).

    evaluate: θ′ → (improvement over θ, KL(old‖θ′)).   A trial is accepted where the improvement is > 0 and at least
    accept_ratio × αʲ × expected, and the KL is ≤ max_kl; NaN and infinity in either reject it. `project` maps a trial
    into the set of allowed parameters before it is evaluated.   theta, step (P,).
    """
    fraction = 1.0
    for trial in range(1, backtrack_iters + 1):
        candidate = project(theta + theta.dtype.type(fraction) * step)
        improvement, kl = evaluate(candidate)
        enough = improvement > 0 and improvement >= accept_ratio * fraction * expected
        if enough and math.isfinite(improvement) and kl <= max_kl:
            return LineSearchResult(candidate, True, improvement, kl, fraction, trial)
        fraction *= backtrack_coeff
    return LineSearchResult(theta, False, 0.0, 0.0, 0.0, backtrack_iters)
