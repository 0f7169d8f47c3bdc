"""The natural policy gradient (Kakade 2001): a step along x = A⁻¹g, without a line search.

normalized    θ + √(2δ/xᵀA x) · x     as far as the quadratic model of the KL allows  (TR-6, TR-7)
fixed         θ + α · x

A = F + damping·I is the damped Fisher matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from minipg.algorithms.advantages import Samples, estimate_advantages, normalize
from minipg.algorithms.agent import Agent
from minipg.algorithms.critic import Outcome, fit_critic
from minipg.algorithms.natural_gradient import NaturalConfig, fisher_rows, why_no_step
from minipg.algorithms.optimizers import all_finite, norm, shuffled
from minipg.checks import Array
from minipg.conjugate_gradient import conjugate_gradient
from minipg.field_docs import documented
from minipg.fisher import fisher_operator
from minipg.line_search import step_scale
from minipg.objective import policy_gradient, surrogate_and_kl
from minipg.policy import Policy
from minipg.rollout import Batch
from minipg.runtime.backend import fetch

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from minipg.algorithms.settings import NPGSettings


@documented
@dataclass(frozen=True, kw_only=True)
class NPGConfig(NaturalConfig):
    """Every setting of NPG."""

    step_rule: Literal["normalized", "fixed"] = "normalized"
    """The length of the step along x: normalized (to a KL of max_kl) or fixed (learning_rate times x)."""
    learning_rate: float = 0.1
    """α of a fixed step."""


class NPGInfo(NamedTuple):
    """Metrics of one policy update; `kl` and `improvement` are after the step, `entropy` is before it."""

    status: str
    improvement: float
    kl: float
    grad_norm: float
    cg_iterations: int
    cg_residual: float
    entropy: float


def update(policy: Policy, theta: Array, samples: Samples, config: NPGConfig) -> tuple[Array, NPGInfo]:
    """One natural gradient step: θ′ and its metrics. If there is no finite step, θ′ is θ itself."""
    adv = normalize(samples.adv, policy.backend) if config.normalize_advantage else samples.adv
    tape = policy.forward(theta, samples.obs)
    g = policy_gradient(policy, theta, tape, samples.act, adv)  # PG-9
    fisher_tape = fisher_rows(policy, theta, tape, config.fisher_subsample)
    A = fisher_operator(policy, theta, fisher_tape, config.damping)  # v ↦ (F + damping·I) v  (TR-9)
    cg = conjugate_gradient(A, g, config.cg_iters)  # x ≈ A⁻¹g  (TR-10)
    scale = step_scale(cg.curvature, config.max_kl) if config.step_rule == "normalized" else config.learning_rate
    candidate = policy.project(theta + theta.dtype.type(scale) * cg.x)
    value, kl = surrogate_and_kl(policy, samples.obs, samples.act, adv, tape.params)(candidate)
    entropy = policy.distribution.entropy(tape.params).mean()
    finite, nonzero, before, grad_norm, entropy = fetch(
        all_finite(candidate), cg.x.any(), adv.mean(dtype=np.float64), norm(g), entropy
    )
    finite = finite and math.isfinite(value) and math.isfinite(kl)
    improvement, kl = (value - float(before), kl) if finite else (0.0, 0.0)
    status = why_no_step(g, cg) if not nonzero else "ok" if finite else "step not finite"
    info = NPGInfo(status, improvement, kl, float(grad_norm), cg.iterations, cg.residual, float(entropy))
    return (candidate if status == "ok" else theta), info


class NPG(Agent[NPGConfig]):
    """The natural policy gradient on a Gymnasium environment. See `Agent`."""

    name = "npg"
    Config = NPGConfig

    if TYPE_CHECKING:

        def __init__(self, env: Any, **settings: Unpack[NPGSettings]) -> None: ...

    def _update(self, batch: Batch, progress: float, measure: bool = True) -> Outcome:
        config = self.config
        samples = estimate_advantages(self.critic, self.value.theta, batch, config.gamma, config.gae_lambda)
        order = shuffled(self.backend, self.streams.shuffling, config.vf_epochs, len(samples.obs))
        (self.theta, info), fit = self.backend.both(
            lambda: update(self.actor, self.theta, samples, config),
            lambda: fit_critic(self.critic, self.value, samples, config, order, learning_rate=config.vf_rate(progress)),
        )
        self.value = fit.value
        return Outcome(info, fit, samples)
