"""The length of a trust-region step: the initial scale, and the backtracking line search."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from minipg.checks import Array


def step_scale(curvature: float, max_kl: float) -> float:
    """β = √(2δ/xᵀA x)  (TR-6, TR-7), 0 if there is no finite β.

    ½ (βx)ᵀA(βx) is δ. With A = F + damping·I the quadratic model of the KL alone, ½ (βx)ᵀF(βx), is below δ.
    """
    scale = math.sqrt(2 * max_kl / curvature) if curvature > 0 else 0.0
    return scale if math.isfinite(scale) else 0.0


class LineSearchResult(NamedTuple):
    """θ′, a flag: accepted, the improvement, the KL, the accepted fraction of the step, and the number of trials.

    If all trials were rejected: `theta` is the given array itself, and improvement, KL and fraction are 0.
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

    α is `backtrack_coeff`. `expected` is gᵀ·step, the improvement of the whole step by the linear model.
    evaluate: θ′ → (improvement over θ, KL(old‖θ′)).   A trial is accepted if the improvement is > 0 and at least
    accept_ratio × αʲ × expected, and the KL is ≤ max_kl; NaN and infinity in either reject it. `project` maps a trial
    onto the feasible set before it is evaluated.   theta, step (P,).
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
