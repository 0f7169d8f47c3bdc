"""Shared by TRPO and NPG: the settings of the natural gradient, and the rows of the Fisher matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from minipg.algorithms.config import ActorCriticConfig
from minipg.algorithms.optimizers import all_finite, scheduled
from minipg.checks import Array
from minipg.conjugate_gradient import CGResult
from minipg.field_docs import documented
from minipg.policy import Policy, PolicyTape
from minipg.runtime.backend import fetch


@documented
@dataclass(frozen=True, kw_only=True)
class NaturalConfig(ActorCriticConfig):
    """The settings of a natural gradient step."""

    max_kl: float = 0.01
    """Trust-region radius δ: ½ ΔᵀAΔ of a step (npg, A = F + damping·I), or a bound on the mean KL (trpo)."""
    damping: float = 0.1
    """Conjugate gradient solves (F + damping·I) x = g."""
    cg_iters: int = 15
    """Conjugate-gradient iterations."""
    fisher_subsample: int = 1
    """k: the Fisher product uses one row of every k, a fixed random choice, the same in every update."""
    vf_schedule: Literal["constant", "linear"] = "constant"
    """Of the critic's learning rate (adam): constant, or linear down to 0 over the run."""

    def vf_rate(self, progress: float) -> float:
        """The critic's learning rate after a share `progress` of the run."""
        return self.vf_learning_rate * scheduled(self.vf_schedule, progress)


def fisher_rows(policy: Policy, theta: Array, tape: PolicyTape, every: int) -> PolicyTape:
    """The forward pass of one row in `every`, by a fixed random choice.   theta (P,), tape of B rows."""
    if every == 1:
        return tape
    obs = tape.mlp.obs
    # a fixed random choice, because a stride might select only some of the environments
    chosen = np.random.default_rng(0).permutation(len(obs))[: max(1, len(obs) // every)]
    return policy.forward(theta, obs[policy.backend.to_device(chosen)])


def why_no_step(g: Array, cg: CGResult) -> str:
    """The status of an update without a step: the reason."""
    finite, nonzero = fetch(all_finite(g), g.any())
    if not finite:
        return "gradient not finite"
    return f"conjugate gradient: {cg.status}" if nonzero else "zero gradient"
