"""Laws of the objectives: the surrogate, its clipped and penalised forms, and the adaptive penalty."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minipg.checks import Array
from minipg.objective import adapted_beta
from minipg.theory.case import Case, error_ratio, slope_error_ratio
from minipg.theory.distributions import draw


class Draw(NamedTuple):
    """Log-probabilities of actions under the new and the old policy, and advantages, each (B,)."""

    logp: Array
    logp_old: Array
    adv: Array


def _draw(case: Case) -> Draw:
    rows = case.count(8)
    old = case.normal(rows)
    return Draw(old + case.normal(rows, scale=case.one_of(0.1, 1.0)), old, case.normal(rows))


def _run(case: Case, kernel: str, *inputs: object, like: Array) -> Array:
    out = np.empty_like(like)
    getattr(case.backend.kernels("surrogate"), kernel)(*inputs, out)
    return out


def _terms(logp: Array, logp_old: Array, adv: Array) -> Array:
    return np.exp(logp.astype(float) - logp_old) * np.abs(adv) * (1 + np.abs(logp) + np.abs(logp_old))


def the_surrogate_is_the_ratio_times_the_advantage_and_its_own_derivative_IS3_PP1(case: Case) -> float:
    """r Â, and ∂(r Â)/∂log π = r Â."""
    logp, logp_old, adv = _draw(case)
    value, size = _run(case, "surrogate", logp, logp_old, adv, like=logp), _terms(logp, logp_old, adv)
    f = lambda x: _run(case, "surrogate", x, logp_old.astype(float), adv.astype(float), like=x)
    expected = np.exp(logp.astype(float)) / np.exp(logp_old.astype(float)) * adv
    slope = slope_error_ratio(case, value, f, logp, np.ones_like(logp), size)
    return max(error_ratio(case, value, expected, size), slope)


def the_clipped_objective_is_the_lesser_of_two_and_the_advantage_at_ratio_1_PP2(case: Case) -> float:
    """min(r Â, clip(r, 1 ± ε) Â) ≤ r Â, and Â at r = 1."""
    logp, logp_old, adv = _draw(case)
    epsilon, size = case.one_of(0.1, 0.2, 0.5), _terms(logp, logp_old, adv)
    value = _run(case, "clipped", logp, logp_old, adv, epsilon, like=logp)
    r = np.exp(logp.astype(float) - logp_old)
    lesser = np.minimum(r * adv, np.clip(r, 1 - epsilon, 1 + epsilon) * adv)
    above = np.maximum(value - _run(case, "surrogate", logp, logp_old, adv, like=logp), 0)
    home = _run(case, "clipped", logp_old, logp_old, adv, epsilon, like=logp)
    return max(
        error_ratio(case, value, lesser, size),
        error_ratio(case, above, 0, size),
        error_ratio(case, home, adv, np.abs(adv)),
    )


def the_clipped_gradient_is_zero_where_the_clip_binds_against_the_advantage_PP2(case: Case) -> float:
    """∂/∂log π: r Â inside, and 0 exactly where r > 1 + ε and Â > 0, or r < 1 − ε and Â < 0."""
    logp, logp_old, adv = _draw(case)
    epsilon, size = case.one_of(0.1, 0.2, 0.5), _terms(logp, logp_old, adv)
    gradient = _run(case, "clipped_gradient", logp, logp_old, adv, epsilon, like=logp)
    r = np.exp(logp.astype(float) - logp_old)
    binds = ((r > 1 + epsilon) & (adv > 0)) | ((r < 1 - epsilon) & (adv < 0))
    f = lambda x: _run(case, "clipped", x, logp_old.astype(float), adv.astype(float), epsilon, like=x)
    return max(
        math.inf if (gradient[binds] != 0).any() else 0.0,
        error_ratio(case, gradient, np.where(binds, 0, r * adv), size),
        slope_error_ratio(case, gradient, f, logp, np.ones_like(logp), size),
    )


def the_penalised_gradient_is_that_of_the_ratio_less_beta_kl_PP3(case: Case) -> float:
    """∇_p [r Â − β KL(old‖p)] = r Â ∇log π − β ∇KL."""
    d, old, new, _, v = draw(case)
    adv, beta, new = case.normal(len(old)), case.one_of(0.0, 1.0, 3.0), old + case.dtype(0.1) * new
    act = d.sample(old, d.noise(case.rng, (len(old),), case.dtype))
    logp, logp_old = d.log_prob(new, act), d.log_prob(old, act)
    weight = _run(case, "surrogate", logp, logp_old, adv, like=logp)
    gradient = weight[:, None] * d.score(new, act) - beta * d.kl_gradient(old, new)
    acted = act if act.dtype == np.int64 else act.astype(float)

    def objective(p: Array) -> Array:
        ratio = np.exp(d.log_prob(p, acted) - d.log_prob(old.astype(float), acted))
        return ratio * adv - beta * d.kl(old.astype(float), p)

    amplified = math.exp(4 * float(max(np.abs(old).max(), np.abs(new).max())))
    size = amplified * (1 + np.abs(weight)) * (1 + np.abs(v).sum(1)) * (1 + np.abs(logp))
    return slope_error_ratio(case, (gradient * v).sum(1, dtype=float), objective, new, v, size)


def beta_halves_below_the_target_doubles_above_and_stays_between_PP4(case: Case) -> float:
    """KL < d/1.5 ⇒ β/2; KL > 1.5 d ⇒ 2β; else β."""
    beta, target = float(np.exp(case.rng.normal())), float(np.exp(case.rng.normal() - 4))
    expected = {0.0: 0.5, 0.6: 0.5, 0.7: 1.0, 1.0: 1.0, 1.4: 1.0, 1.6: 2.0, 9.0: 2.0}
    return max(error_ratio(case, adapted_beta(beta, k * target, target), f * beta, 0) for k, f in expected.items())
