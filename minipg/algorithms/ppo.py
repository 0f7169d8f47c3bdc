"""Proximal policy optimisation (Schulman et al. 2017), in its four forms.

The batch is met several times, a shuffled minibatch at a time, and every minibatch takes one Adam step uphill on

    unclipped     E[r Â]                              (PP-1)
    clip          E[min(r Â, clip(r, 1 ± ε) Â)]       (PP-2)
    kl            E[r Â] − β mean KL(π_old‖π_θ)       (PP-3)
    adaptive-kl   the same, with β held to a target   (PP-4)

plus an entropy bonus. The critic is fitted beside it, on parameters of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minipg.algorithms.advantages import Samples, estimate_advantages, normalize
from minipg.algorithms.ascent import AdamState, begin_adam, key_of, scheduled, shuffled
from minipg.algorithms.compiled import PER_STEP, CompiledAgent, Made, Own, in_groups
from minipg.algorithms.config import ActorCriticConfig
from minipg.algorithms.critic import CriticFit, account, fit_critic
from minipg.algorithms.proximal import Climb, Surrogate, numbers_to_climb
from minipg.checks import Array, require
from minipg.objective import adapted_beta
from minipg.policy import Policy
from minipg.rollout import Batch
from minipg.value import ValueState


@dataclass(frozen=True, kw_only=True)
class PPOConfig(ActorCriticConfig):
    """Every setting of PPO."""

    objective: str = "clip"
    """unclipped, clip, kl (fixed penalty) or adaptive-kl."""
    learning_rate: float = 3e-4
    """Adam's step size for the policy."""
    schedule: str = "constant"
    """Of both learning rates: constant, or linear down to 0 over the run."""
    n_epochs: int = 10
    """Passes of the policy over the batch; vf_epochs are the critic's."""
    minibatch_size: int = 64
    """Rows of a policy minibatch."""
    clip_range: float = 0.2
    """ε: how far the ratio may leave 1 before its gradient ends (clip)."""
    clip_schedule: str = "constant"
    """Of the clip range: constant, or linear down to 0 over the run."""
    kl_coef: float = 1.0
    """β: the penalty on the KL (kl), or its first value (adaptive-kl)."""
    target_kl: float = math.inf
    """Stop the epochs before a step once a minibatch's mean KL exceeds 1.5 times this; adaptive-kl aims β at it, by
    default at 0.01."""
    ent_coef: float = 0.0
    """Weight of the entropy bonus."""
    max_grad_norm: float = 0.5
    """Longer gradients are shortened to this norm, policy's and critic's (adam) each."""
    vf_clip_range: float = math.inf
    """How far V may leave its value before the update (adam)."""
    vf_minibatch_size: int = 64
    """Rows of a critic minibatch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.objective == "adaptive-kl":
            require(self.kl_coef > 0, "kl_coef", "a number > 0 for adaptive-kl", self.kl_coef)
            if self.target_kl == math.inf:
                object.__setattr__(self, "target_kl", 0.01)

    @property
    def stop_kl(self) -> float:
        """Beyond this mean KL of a minibatch the epochs end."""
        return 1.5 * self.target_kl if self.objective != "adaptive-kl" else math.inf

    def limits(self, beta: float, progress: float) -> tuple[float, float]:
        """What holds a policy near to the one that acted: the clip range, or the penalty `beta` on the KL."""
        clip_range = self.clip_range * scheduled(self.clip_schedule, progress)
        return clip_range if self.objective == "clip" else math.inf, beta if "kl" in self.objective else 0.0


class PPOState(NamedTuple):
    """What one update leaves for the next: Adam's moments and step count, and the penalty β."""

    first: Array
    second: Array
    step: int
    beta: float


class PPOInfo(NamedTuple):
    """What one policy update did. `status` is ok, or why it ended early."""

    status: str
    kl: float
    clip_fraction: float
    policy_steps: int
    beta: float
    entropy: float


_NOT_FINITE = PPOInfo("step not finite", 0.0, 0.0, 0, math.nan, math.nan)


def update(
    policy: Policy,
    theta: Array,
    state: PPOState,
    samples: Samples,
    config: PPOConfig,
    order: Array,
    progress: float = 0.0,
) -> tuple[Array, PPOState, PPOInfo]:
    """All epochs of one batch: θ′, the state after them, and an account. Nothing that came in is changed.

    theta (P,), order (E, B) the rows as each epoch visits them, `progress` the share of the run that is over.
    """
    adv = normalize(samples.adv) if config.normalize_advantage else samples.adv
    surrogate = Surrogate.of(policy, samples.obs, samples.act, adv, samples.params)
    found = surrogate.climb(
        theta, AdamState(*state[:3]), (*config.limits(state.beta, progress), config.ent_coef), order,
        config.minibatch_size, config.learning_rate * scheduled(config.schedule, progress),
        max_kl=config.stop_kl, max_grad_norm=config.max_grad_norm,
    )  # fmt: skip
    if not found.finite:
        return theta, state, _NOT_FINITE._replace(beta=state.beta)
    info = told_of(surrogate, found, found.adam.step - state.step, config, state.beta)
    return found.theta, PPOState(*found.adam, info.beta), info


def told_of(surrogate: Surrogate, found: Climb, taken: int, config: PPOConfig, beta: float) -> PPOInfo:
    """The account of so many steps, with the next penalty β  (PP-4)."""
    after = surrogate.worth(found.theta)
    if config.objective == "adaptive-kl" and taken:  # a batch that moved nothing says nothing about β
        beta = adapted_beta(beta, after.kl, config.target_kl)
    return PPOInfo(found.status, after.kl, found.clip_fraction, taken, beta, after.entropy)


class PPO(CompiledAgent[PPOConfig]):
    """Proximal policy optimisation on a Gymnasium environment.

    agent = PPO("CartPole-v1", seed=0)
    agent.learn(total_steps=100_000)
    action, _ = agent.predict(obs, deterministic=True)
    """

    name = "ppo"
    Config = PPOConfig

    def _begin(self) -> PPOState:
        return PPOState(*begin_adam(self.theta), self.config.kl_coef)

    def _update(self, batch: Batch, progress: float) -> dict[str, Any]:
        config, state = self.config, self.state
        samples = estimate_advantages(self.critic, self.value.theta, batch, config.gamma, config.gae_lambda)
        order = shuffled(self.backend, self.streams.shuffling, config.n_epochs, len(samples.obs))
        share = scheduled(config.schedule, progress)
        (self.theta, self.state, info), fit = self.backend.both(
            lambda: update(self.actor, self.theta, state, samples, config, order, progress),
            lambda: fit_critic(
                self.critic, self.value, samples, config, self.streams.shuffling, share=share,
                clip_range=config.vf_clip_range, max_grad_norm=config.max_grad_norm,
            ),
        )  # fmt: skip
        self.value = fit.value
        return account(info, fit, samples)

    def _learnt(self) -> tuple[Array, ...]:
        state, value = self.state, self.value
        steps = np.array([state.step, value.step])
        return self.theta, value.theta, state.first, state.second, value.first, value.second, steps

    def _own(self) -> Own | None:
        config, actor, critic = self.config, self.actor, self.critic
        if config.vf_optimizer != "adam" or not config.vf_epochs:
            return None
        from minipg.kernels.cpu.classic_control.ppo import tasks  # kernels that other agents need not load

        family, rows = actor.distribution, config.num_envs * config.n_steps
        sizes = min(config.minibatch_size, rows), min(config.vf_minibatch_size, rows)
        limits = config.stop_kl, config.max_grad_norm, config.vf_clip_range, config.ent_coef
        kind = np.int64 if family.discrete else np.float32
        room = np.empty((3, rows), np.float32), np.empty((sizes[0], *family.act_shape), kind)
        params, epochs = (actor.layout.size, critic.mlp.layout.size), (config.n_epochs, config.vf_epochs)
        orders = [np.empty((e, rows), np.int64) for e in epochs]
        met = [p * e * (rows + PER_STEP * -(-rows // m)) for p, e, m in zip(params, epochs, sizes, strict=True)]
        return Own(
            tasks(family.name), (sizes, tuple(map(float, limits)), config.normalize_advantage),
            (*room, np.empty(2), np.empty(config.vf_epochs), in_groups(config.num_envs, config.n_steps), *orders),
            max(numbers_to_climb(actor, sizes[0]), critic.numbers_to_fit(sizes[1])), sum(met),
        )  # fmt: skip

    def _given(self, shares: Sequence[float]) -> tuple[Array, ...]:
        config, rates = self.config, np.empty((len(shares), 4))
        for k, share in enumerate(shares):
            left = scheduled(config.schedule, share)
            rates[k, :2] = config.learning_rate * left, config.vf_learning_rate * left
            rates[k, 2:] = config.limits(self.state.beta, share)
        keys = [key_of(self.streams.shuffling) for _ in range(2 * len(shares))]
        return rates, np.array(keys, np.uint64).reshape(-1, 2)

    def _take(self, made: Made, samples: Samples) -> dict[str, Any]:
        (taken, beyond, failed), (loss, _, missed) = made.record.tolist()
        self.theta, value_theta, first, second, v_first, v_second, (step, v_step) = made.learnt
        config, beta = self.config, self.state.beta
        self.value = ValueState(value_theta, v_first, v_second, int(v_step))
        fit = CriticFit(self.value, math.nan if missed else loss, "critic not finite" if missed else "ok")
        adam, wanted = AdamState(first, second, int(step)), config.n_epochs * -(-len(samples.obs) // config.minibatch_size)
        found = Climb(self.theta, adam, beyond / max(taken, 1), "ok" if taken == wanted else "target KL", not failed)
        info = _NOT_FINITE._replace(beta=beta)
        if found.finite:
            surrogate = Surrogate.of(self.actor, samples.obs, samples.act, samples.adv, samples.params)
            info = told_of(surrogate, found, int(taken), config, beta)
        self.state = PPOState(*adam, info.beta)
        return account(info, fit, samples)
