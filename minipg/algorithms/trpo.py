"""Trust region policy optimisation (Schulman et al. 2015).

Each update solves   max_θ E[r Â]  subject to  mean KL(π_old‖π_θ) ≤ δ   (TR-5)   in four steps: the policy gradient g;
x ≈ A⁻¹g by conjugate gradient on Fisher–vector products, A = F + damping·I; the step √(2δ/xᵀA x)·x; and a backtracking
line search on the surrogate and the KL of the batch themselves, not on their linear and quadratic models. The critic
has separate parameters and is fitted at the same time.

Two variants are in other files: `solver="dual"` (dual.py) solves the same problem by a penalty weighted by a dual
variable; `sampling="vine"` (vine.py) takes the rows (s, a, Â) from branches of the trajectories.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minipg.algorithms import vine
from minipg.algorithms.advantages import Samples, estimate_advantages, normalize
from minipg.algorithms.agent import Agent
from minipg.algorithms.critic import Outcome, fit_critic
from minipg.algorithms.dual import DualConfig, DualState, dual_update, new_dual
from minipg.algorithms.natural_gradient import NaturalConfig, fisher_rows, why_no_step
from minipg.algorithms.optimizers import norm, shuffled
from minipg.checks import Array
from minipg.conjugate_gradient import conjugate_gradient
from minipg.field_docs import documented
from minipg.fisher import fisher_operator
from minipg.line_search import line_search, step_scale
from minipg.objective import policy_gradient, surrogate_and_kl
from minipg.policy import Policy
from minipg.rollout import Batch, Collector
from minipg.runtime.backend import fetch

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from minipg.algorithms.settings import TRPOSettings


@documented
@dataclass(frozen=True, kw_only=True)
class TRPOConfig(NaturalConfig, vine.VineConfig, DualConfig):
    """Every setting of TRPO."""

    backtrack_coeff: float = 0.8
    """Factor of the step after a rejected trial of the line search."""
    backtrack_iters: int = 10
    """The most trials of the line search."""
    accept_ratio: float = 0.0
    """Smallest accepted improvement, as a fraction of the linear model's gᵀΔ."""


class TRPOInfo(NamedTuple):
    """Metrics of one policy update; `entropy` is before it. `status` is ok, or the reason why θ did not change."""

    status: str
    improvement: float
    kl: float
    step_fraction: float
    line_search_trials: int
    grad_norm: float
    cg_iterations: int
    cg_residual: float
    entropy: float


def update(policy: Policy, theta: Array, samples: Samples, config: TRPOConfig) -> tuple[Array, TRPOInfo]:
    """One trust-region step: θ′ and its metrics. If no step is accepted, θ′ is θ itself.

    theta (P,); of `samples`: obs (B, O), act (B, …), adv (B,).
    """
    obs, act, adv = samples.obs, samples.act, samples.adv
    if config.normalize_advantage:
        adv = normalize(adv, policy.backend)

    tape = policy.forward(theta, obs)
    g = policy_gradient(policy, theta, tape, act, adv)  # PG-9
    fisher_tape = fisher_rows(policy, theta, tape, config.fisher_subsample)
    A = fisher_operator(policy, theta, fisher_tape, config.damping)  # v ↦ (F + damping·I) v  (TR-9)
    cg = conjugate_gradient(A, g, config.cg_iters)  # x ≈ A⁻¹g  (TR-10)
    step = theta.dtype.type(step_scale(cg.curvature, config.max_kl)) * cg.x  # √(2δ/xᵀA x) x  (TR-7)

    value_and_kl = surrogate_and_kl(policy, obs, act, adv, tape.params)  # IS-3, TR-5
    entropy = policy.distribution.entropy(tape.params).mean()
    before, expected, nonzero, grad_norm, entropy = map(
        float, fetch(adv.mean(dtype=np.float64), g @ step, step.any(), norm(g), entropy)
    )

    def improvement_and_kl(candidate: Array) -> tuple[float, float]:
        value, kl = value_and_kl(candidate)
        return value - before, kl  # at θ the ratio is 1, so L(θ) is the mean of Â

    found = line_search(  # TR-11
        improvement_and_kl, theta, step, max_kl=config.max_kl, expected=expected, accept_ratio=config.accept_ratio,
        backtrack_coeff=config.backtrack_coeff,
        backtrack_iters=config.backtrack_iters if nonzero else 0,  # no step: nothing to try
        project=policy.project,
    )  # fmt: skip
    status = "ok" if found.accepted else "line search" if nonzero else why_no_step(g, cg)
    return found.theta, TRPOInfo(
        status, found.improvement, found.kl, found.fraction, found.trials,
        grad_norm, cg.iterations, cg.residual, entropy,
    )  # fmt: skip


class TRPO(Agent[TRPOConfig]):
    """Trust region policy optimisation on a Gymnasium environment. See `Agent`."""

    name = "trpo"
    Config = TRPOConfig

    if TYPE_CHECKING:

        def __init__(self, env: Any, **settings: Unpack[TRPOSettings]) -> None: ...

    def _initial_state(self) -> DualState | tuple[()]:
        if self.config.sampling == "vine":
            self._snapshots = vine.new_snapshots(self)
        return new_dual(self.theta, self.config) if self.config.solver == "dual" else ()

    def _collect(self, collector: Collector) -> Batch:
        if self.config.sampling == "vine":
            return vine.collect(self, self._snapshots, collector)
        return super()._collect(collector)

    def _update(self, batch: Batch, progress: float, measure: bool = True) -> Outcome:
        config = self.config
        samples = estimate_advantages(self.critic, self.value.theta, batch, config.gamma, config.gae_lambda)
        rows = samples if batch.branches is None else vine.samples_of(self.actor, self.theta, batch.branches)
        vf_order = shuffled(self.backend, self.streams.shuffling, config.vf_epochs, len(samples.obs))

        def update_policy() -> tuple[Array, Any, Any]:
            if config.solver == "dual":
                order = shuffled(self.backend, self.streams.shuffling, config.n_epochs, len(rows.obs))
                return dual_update(self.actor, self.theta, self.state, rows, config, order)
            theta, info = update(self.actor, self.theta, rows, config)
            return theta, self.state, info

        (self.theta, self.state, info), fit = self.backend.both(
            update_policy,
            lambda: fit_critic(
                self.critic, self.value, samples, config, vf_order, learning_rate=config.vf_rate(progress)
            ),
        )
        self.value = fit.value
        return Outcome(info, fit, samples)
