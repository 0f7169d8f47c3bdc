"""The natural gradient of a batch: what TRPO and NPG have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minipg.algorithms.config import ActorCriticConfig
from minipg.algorithms.optimizers import all_finite
from minipg.checks import Array
from minipg.conjugate_gradient import CGResult, conjugate_gradient
from minipg.fisher import fisher_operator
from minipg.objective import policy_gradient
from minipg.policy import Policy
from minipg.runtime.backend import told


@dataclass(frozen=True, kw_only=True)
class NaturalConfig(ActorCriticConfig):
    """The settings of a natural gradient, and of the KL that it is measured in."""

    max_kl: float = 0.01
    """Trust-region radius δ: the mean KL(old‖new) that an update goes to (npg), or never beyond (trpo)."""
    damping: float = 0.1
    """Added to the diagonal of the Fisher matrix inside its product."""
    cg_iters: int = 15
    """Conjugate-gradient iterations."""
    fisher_subsample: int = 1
    """The Fisher product uses one row in k, chosen at random."""


class NaturalGradient(NamedTuple):
    """g (P,) the policy gradient, old (B, D) the distributions that acted, cg with x ≈ (F + damping)⁻¹ g."""

    g: Array
    old: Array
    cg: CGResult


def why_no_step(g: Array, cg: CGResult) -> str:
    """What an update says that has no direction to go in."""
    finite, some = told(all_finite(g), g.any())
    if not finite:
        return "gradient not finite"
    return f"conjugate gradient: {cg.status}" if some else "zero gradient"


def natural_gradient(
    policy: Policy, theta: Array, obs: Array, act: Array, adv: Array, config: NaturalConfig
) -> NaturalGradient:
    """x = F⁻¹g  (TR-7) by conjugate gradient over Fisher–vector products  (TR-9, TR-10).

    theta (P,), obs (B, O), act (B, …), adv (B,).
    """
    tape = policy.forward(theta, obs)
    old, g = tape.params, policy_gradient(policy, theta, tape, act, adv)
    if config.fisher_subsample > 1:
        # a fixed random choice: a stride might meet some of the environments only
        some = np.random.default_rng(0).permutation(len(obs))[: max(1, len(obs) // config.fisher_subsample)]
        tape = policy.forward(theta, obs[policy.backend.to_device(some)])
    fisher = fisher_operator(policy, theta, tape, config.damping)
    return NaturalGradient(g, old, conjugate_gradient(fisher, g, config.cg_iters))
