"""Trust region policy optimisation (Schulman et al. 2015), single path or vine.

Each update solves   max_θ E[r Â]  subject to  mean KL(π_old‖π_θ) ≤ δ   (TR-5)   in five lines: the policy gradient g,
x ≈ F⁻¹g by conjugate gradient over Fisher–vector products, the step √(2δ/xᵀF x)·x, and a backtracking line search
that holds it to the true objective and the true KL. The critic is fitted beside it, on parameters of its own.

`solver="dual"` answers the same problem by a penalty whose weight is a dual variable (dual.py). `sampling="vine"` gets
the rows (s, a, Â) of the policy's update from branches of the trajectories (rollout/vine.py); all else is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minipg.algorithms.advantages import Samples, estimate_advantages, normalize
from minipg.algorithms.agent import Agent
from minipg.algorithms.critic import account, fit_critic
from minipg.algorithms.dual import DualState, dual_update
from minipg.algorithms.natural_gradient import NaturalConfig, natural_gradient, why_no_step
from minipg.algorithms.optimizers import begin_adam, norm, shuffled
from minipg.checks import Array
from minipg.line_search import line_search, step_scale
from minipg.objective import surrogate_and_kl
from minipg.policy import Policy
from minipg.rollout import Batch, Collector
from minipg.rollout.vine import Vine, collect_with_vine
from minipg.runtime.backend import told


@dataclass(frozen=True, kw_only=True)
class TRPOConfig(NaturalConfig):
    """Every setting of TRPO."""

    backtrack_coeff: float = 0.8
    """Factor by which the line search shortens a rejected step."""
    backtrack_iters: int = 10
    """Steps that the line search tries before it gives up."""
    accept_ratio: float = 0.0
    """Smallest improvement accepted, as a fraction of what the linear model expects."""
    sampling: str = "single-path"
    """single-path (trajectories, GAE) or vine (branches from their states, whose steps count too; TR-13)."""
    vine_states: int = 128
    """States of a rollout that are branched in (vine)."""
    vine_branches: int = 4
    """Actions tried in each: draws from the policy, or every one there is where those are no more (vine)."""
    vine_length: int = 50
    """Steps for which a branch is followed before the critic says the rest (vine)."""
    solver: str = "conjugate-gradient"
    """conjugate-gradient (natural step and line search) or dual (penalty whose weight λ is adapted, dual.py)."""
    learning_rate: float = 1e-3
    """Adam's step size for the policy (dual)."""
    n_epochs: int = 10
    """Passes over the batch, each followed by a step of λ (dual)."""
    minibatch_size: int = 256
    """Rows of a policy minibatch (dual)."""
    dual_init: float = 1.0
    """The first λ (dual)."""
    dual_learning_rate: float = 20.0
    """α: by how much λ follows KL − δ after every pass (dual)."""


class TRPOInfo(NamedTuple):
    """What one policy update did. `status` is ok, or why θ was left as it was."""

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
    """One trust-region step: θ′, and an account of it. Where no step is found, the very θ that came in.

    theta (P,); of `samples`, the first three: obs (B, O), act (B, …), adv (B,).
    """
    obs, act, adv = samples.obs, samples.act, samples.adv
    if config.normalize_advantage:
        adv = normalize(adv)

    g, old, cg = natural_gradient(policy, theta, obs, act, adv, config)
    step = theta.dtype.type(step_scale(cg.curvature, config.max_kl)) * cg.x

    objective = surrogate_and_kl(policy, obs, act, adv, old)
    entropy = policy.distribution.entropy(old).mean()
    before, expected, moves, length, entropy = map(
        float, told(adv.mean(dtype=np.float64), g @ step, step.any(), norm(g), entropy)
    )

    def evaluate(candidate: Array) -> tuple[float, float]:
        value, kl = objective(candidate)
        return value - before, kl  # r is 1 at θ

    found = line_search(
        evaluate,
        theta,
        step,
        max_kl=config.max_kl,
        expected=expected,
        accept_ratio=config.accept_ratio,
        backtrack_coeff=config.backtrack_coeff,
        backtrack_iters=config.backtrack_iters if moves else 0,
        project=policy.project,
    )
    status = "ok" if found.accepted else "line search" if moves else why_no_step(g, cg)
    info = TRPOInfo(
        status=status,
        improvement=found.improvement,
        kl=found.kl,
        step_fraction=found.fraction,
        line_search_trials=found.trials,
        grad_norm=length,
        cg_iterations=cg.iterations,
        cg_residual=cg.residual,
        entropy=entropy,
    )
    return found.theta, info


class TRPO(Agent[TRPOConfig]):
    """Trust region policy optimisation on a Gymnasium environment.

    agent = TRPO("CartPole-v1", seed=0)
    agent.learn(total_steps=100_000)
    action, _ = agent.predict(obs, deterministic=True)
    """

    name = "trpo"
    Config = TRPOConfig

    def _begin(self) -> DualState | tuple[()]:
        self._vine: Vine | None = None
        if self.config.sampling == "vine":
            from minipg.envs.snapshots import snapshots_of  # it loads the compiled environments

            self._snapshots = snapshots_of(self.envs)
        return DualState(*begin_adam(self.theta), self.config.dual_init) if self.config.solver == "dual" else ()

    def _collect(self, collector: Collector) -> Batch:
        if self.config.sampling == "single-path":
            return super()._collect(collector)
        value = lambda obs: self.critic.predict(self.value.theta, obs)
        batch, self._vine = collect_with_vine(
            collector, self._snapshots, self.theta, value, self.config, self.streams.branching
        )
        return batch

    def _update(self, batch: Batch, progress: float) -> dict[str, Any]:
        config, vine = self.config, self._vine
        samples = estimate_advantages(self.critic, self.value.theta, batch, config.gamma, config.gae_lambda)
        rows = samples
        if vine is not None:
            params = self.actor.forward(self.theta, vine.obs).params
            rows = Samples(vine.obs, vine.act, vine.adv, vine.q, vine.q - vine.adv, params)
        (self.theta, self.state, info), fit = self.backend.both(
            self._dual_step(rows) if config.solver == "dual" else lambda: self._natural_step(rows),
            lambda: fit_critic(self.critic, self.value, samples, config, self.streams.shuffling),
        )
        self.value = fit.value
        self.steps += 0 if vine is None else vine.steps
        return account(info, fit, samples)

    def _natural_step(self, samples: Samples) -> tuple[Array, Any, Any]:
        theta, info = update(self.actor, self.theta, samples, self.config)
        return theta, self.state, info

    def _dual_step(self, samples: Samples) -> Callable[[], tuple[Array, Any, Any]]:
        # the order is drawn before the critic draws its own, so that neither depends on which thread is first
        config, rows = self.config, len(samples.obs)
        order = shuffled(self.backend, self.streams.shuffling, config.n_epochs, rows)
        weighed = samples._replace(adv=normalize(samples.adv)) if config.normalize_advantage else samples
        return lambda: dual_update(self.actor, self.theta, self.state, weighed, config, order)
