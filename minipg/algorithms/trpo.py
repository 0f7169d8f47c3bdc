"""Trust region policy optimisation (Schulman et al. 2015), single path.

Each update solves   max_θ E[r Â]  subject to  mean KL(π_old‖π_θ) ≤ δ   (TR-5)   in five lines: the policy gradient g,
x ≈ F⁻¹g by conjugate gradient over Fisher–vector products, the step √(2δ/xᵀF x)·x, and a backtracking line search
that holds it to the true objective and the true KL. The critic is fitted beside it, on parameters of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minipg.algorithms.advantages import Samples, estimate_advantages, explained_variance, normalize
from minipg.algorithms.agent import Agent
from minipg.checks import Array, require, require_types
from minipg.conjugate_gradient import conjugate_gradient
from minipg.fisher import fisher_operator, forward_tiles
from minipg.line_search import line_search, step_scale
from minipg.objective import policy_gradient, surrogate_and_kl
from minipg.policy import Policy
from minipg.rollout import Batch


@dataclass(frozen=True, kw_only=True)
class TRPOConfig:
    """Every setting of TRPO."""

    num_envs: int = 8
    """Environments stepped side by side."""
    n_steps: int = 256
    """Steps of each environment per update."""
    gamma: float = 0.99
    """Discount γ."""
    gae_lambda: float = 0.95
    """Trace λ of the advantage estimate: 0 trusts the critic, 1 trusts the returns."""
    max_kl: float = 0.01
    """Trust-region radius δ: the largest mean KL(old‖new) of an update."""
    damping: float = 0.1
    """Added to the diagonal of the Fisher matrix inside its product."""
    cg_iters: int = 15
    """Conjugate-gradient iterations."""
    backtrack_coeff: float = 0.8
    """Factor by which the line search shortens a rejected step."""
    backtrack_iters: int = 10
    """Steps that the line search tries before it gives up."""
    accept_ratio: float = 0.0
    """Smallest improvement accepted, as a fraction of what the linear model expects."""
    fisher_subsample: int = 1
    """The Fisher product uses one row in k, chosen at random."""
    normalize_advantage: bool = True
    """Centre the advantages and divide by their standard deviation."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers, of policy and critic alike."""
    activation: str = "tanh"
    """Of the hidden layers: tanh or relu."""
    log_std_init: float = 0.0
    """First log σ of a Gaussian policy."""
    vf_optimizer: str = "adam"
    """How the critic is fitted: adam (minibatches) or lbfgs (whole batch, L2 penalty)."""
    vf_learning_rate: float = 1e-3
    """Adam's step size for the critic."""
    vf_epochs: int = 10
    """Passes over the batch (adam) or iterations (lbfgs) of a critic fit."""
    vf_minibatch_size: int = 128
    """Rows of a critic minibatch."""
    vf_l2: float = 1e-3
    """L2 penalty of the lbfgs critic fit."""
    normalize_obs: bool = False
    """Standardise observations with running statistics."""
    normalize_reward: bool = False
    """Divide rewards by the running standard deviation of the discounted return."""

    def __post_init__(self) -> None:
        if isinstance(self.hidden, list):
            object.__setattr__(self, "hidden", tuple(self.hidden))
        require_types(self)
        for name in ("num_envs", "n_steps", "cg_iters", "backtrack_iters", "fisher_subsample", "vf_minibatch_size"):
            require(getattr(self, name) >= 1, name, "an integer ≥ 1", getattr(self, name))
        require(self.vf_epochs >= 0, "vf_epochs", "an integer ≥ 0", self.vf_epochs)
        for name in ("gamma", "gae_lambda"):
            require(0 <= getattr(self, name) <= 1, name, "a number from 0 to 1", getattr(self, name))
        for name in ("max_kl", "vf_learning_rate"):
            require(0 < getattr(self, name) < np.inf, name, "a finite number > 0", getattr(self, name))
        for name in ("damping", "vf_l2"):
            require(0 <= getattr(self, name) < np.inf, name, "a finite number ≥ 0", getattr(self, name))
        require(0 < self.backtrack_coeff < 1, "backtrack_coeff", "a number between 0 and 1", self.backtrack_coeff)
        require(0 <= self.accept_ratio < 1, "accept_ratio", "a number from 0 to 1", self.accept_ratio)
        require(all(n >= 1 for n in self.hidden), "hidden", "layer widths ≥ 1", self.hidden)
        require(self.activation in ("tanh", "relu"), "activation", "tanh or relu", self.activation)
        require(self.vf_optimizer in ("adam", "lbfgs"), "vf_optimizer", "adam or lbfgs", self.vf_optimizer)
        require(-20 <= self.log_std_init <= 2, "log_std_init", "a number from -20 to 2", self.log_std_init)


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

    tapes = forward_tiles(policy, theta, obs)
    old = np.concatenate([tape.params for tape in tapes])
    g = policy_gradient(policy, theta, tapes, act, adv)

    if config.fisher_subsample > 1:
        # a fixed random choice: a stride might meet some of the environments only
        some = np.random.default_rng(0).permutation(len(obs))[: max(1, len(obs) // config.fisher_subsample)]
        tapes = forward_tiles(policy, theta, obs[some])
    fisher = fisher_operator(policy, theta, tapes, config.damping)
    cg = conjugate_gradient(fisher, g, config.cg_iters)
    step = theta.dtype.type(step_scale(cg.curvature, config.max_kl)) * cg.x

    objective = surrogate_and_kl(policy, obs, act, adv, old)
    before = float(adv.mean(dtype=np.float64))  # r is 1 at θ

    def evaluate(candidate: Array) -> tuple[float, float]:
        value, kl = objective(candidate)
        return value - before, kl

    found = line_search(
        evaluate,
        theta,
        step,
        max_kl=config.max_kl,
        expected=float(g @ step),
        accept_ratio=config.accept_ratio,
        backtrack_coeff=config.backtrack_coeff,
        backtrack_iters=config.backtrack_iters if step.any() else 0,
        project=policy.project,
    )
    status = "ok" if found.accepted else _reason(g, cg.status, step)
    info = TRPOInfo(
        status=status,
        improvement=found.improvement,
        kl=found.kl,
        step_fraction=found.fraction,
        line_search_trials=found.trials,
        grad_norm=float(np.sqrt(g @ g)),
        cg_iterations=cg.iterations,
        cg_residual=cg.residual,
        entropy=float(policy.distribution.entropy(old).mean()),
    )
    return found.theta, info


def _reason(g: Array, cg_status: str, step: Array) -> str:
    if not np.isfinite(g).all():
        return "gradient not finite"
    if not g.any():
        return "zero gradient"
    return "line search" if step.any() else f"conjugate gradient: {cg_status}"


class TRPO(Agent[TRPOConfig]):
    """Trust region policy optimisation on a Gymnasium environment.

    agent = TRPO("CartPole-v1", seed=0)
    agent.learn(total_steps=100_000)
    action, _ = agent.predict(obs, deterministic=True)
    """

    name = "trpo"
    Config = TRPOConfig

    def _update(self, batch: Batch) -> dict[str, Any]:
        config = self.config
        samples = estimate_advantages(self.critic, self.value.theta, batch, config.gamma, config.gae_lambda)

        def fit_critic() -> tuple[Any, Array]:
            if config.vf_epochs == 0:
                return self.value, np.full(1, np.nan)
            if config.vf_optimizer == "lbfgs":
                return self.critic.fit_lbfgs(self.value, samples.obs, samples.ret, config.vf_epochs, config.vf_l2)
            order = np.stack([self._shuffle.permutation(len(samples.obs)) for _ in range(config.vf_epochs)])
            return self.critic.fit_adam(
                self.value, samples.obs, samples.ret, order, config.vf_minibatch_size, config.vf_learning_rate
            )

        (theta, info), (value, losses) = self.backend.both(
            lambda: update(self.actor, self.theta, samples, config), fit_critic
        )
        if not all(np.isfinite(part).all() for part in value):
            value, info = self.value, info._replace(status=f"{info.status}, critic not finite")
        self.theta, self.value = theta, value
        spread = explained_variance(samples.value, samples.ret)
        return {**info._asdict(), "value_loss": float(losses[-1]), "explained_variance": spread}
