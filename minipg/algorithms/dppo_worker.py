"""A worker of DPPO: environments, a batch of its own, and the gradients on it.

It is the environments, the collector and the random streams of a PPO agent. The chief sends it the parameters with
every call, and it sends back numbers and gradients: its batch stays where it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minipg.algorithms.advantages import estimate_advantages, explained_variance, normalize
from minipg.algorithms.agent import Agent
from minipg.algorithms.optimizers import shuffled
from minipg.algorithms.ppo import PPO, PPOConfig
from minipg.algorithms.surrogate_epochs import SurrogateGradient, surrogate_gradient
from minipg.checks import Array
from minipg.errors import EnvironmentFault, MinipgError
from minipg.kernels.arguments import SurrogateTerms
from minipg.objective import SurrogateValue, surrogate_value
from minipg.rollout import Batch, with_valid_rows
from minipg.rollout.normalizer import Statistics, restore_statistics, statistics_of
from minipg.runtime.threads import OneBlasThread


class Answer(NamedTuple):
    """What a call returned, and the version that the call was given. An error of the environment is `content` too."""

    version: int
    content: Any


class Report(NamedTuple):
    """What a worker tells of its batch."""

    rows: int
    """Rows that gradients are taken on."""
    steps: int
    """Environment steps taken."""
    dropped: int
    """Steps in which an environment failed."""
    episodes: Array
    """(K, 2): return and length of those that ended."""
    statistics: Statistics
    """After this batch."""
    explained_variance: float


class Part(NamedTuple):
    """A minibatch: the epoch, and its number within the epoch."""

    epoch: int
    number: int


class CriticGradient(NamedTuple):
    """Minus the gradient of the critic's loss (P,), the sum of the squared errors, and the rows."""

    gradient: Array
    squares: float
    rows: int


def _answering(method: Callable[..., Any]) -> Callable[..., Answer]:
    """The method with a version as its first argument, which the answer has too."""

    @functools.wraps(method)
    def answer(self: Worker, version: int, *args: Any) -> Answer:
        try:
            with OneBlasThread():
                return Answer(version, method(self, *args))
        except MinipgError as error:
            return Answer(version, EnvironmentFault(str(error)))  # not every kind can be pickled

    return answer


class Worker:
    """Environments of PPO's kind, and gradients of its objective. An engine makes it and calls it.

    env: what makes the environments; not an instance of one. `agent`: whose networks and streams are used, by default
    those of a new PPO agent.
    """

    def __init__(self, env: Any, config: PPOConfig, backend: str, agent: Agent[Any] | None = None) -> None:
        self._env, self._config, self._backend, self._agent = env, config, backend, agent

    @_answering
    def collect(self, seed: int, theta: Array, value_theta: Array, statistics: Statistics, config: PPOConfig) -> Report:
        """Take a batch under π_θ, estimate its advantages, and shuffle its rows for the epochs.

        `seed` counts in the first call; `config` is the chief's, which a callback may have replaced. The advantages are
        normalised over this worker's batch, as PPO does.
        """
        self._config = config
        if self._agent is None:
            self._agent = PPO(self._env, seed=seed, config=self._config, backend=self._backend, threads=1)
        agent = self._agent
        restore_statistics(agent.normalizer, agent.scaler, statistics)
        collector, agent._collector = agent._collector or agent._new_collector(), None
        batch, dropped = with_valid_rows(lambda: collector.collect(theta, config.n_steps))
        agent._collector = collector
        return self.take(batch, value_theta, dropped)

    def take(self, batch: Batch, value_theta: Array, dropped: int = 0) -> Report:
        """Make a batch the worker's own. `dropped`: steps in which an environment failed."""
        agent, config = self._agent, self._config
        assert agent is not None
        samples = estimate_advantages(agent.critic, value_theta, batch, config.gamma, config.gae_lambda)
        self._order = shuffled(agent.backend, agent.streams.shuffling, config.n_epochs, len(samples.obs))
        self._vf_order = shuffled(agent.backend, agent.streams.shuffling, config.vf_epochs, len(samples.obs))
        adv = normalize(samples.adv, agent.backend) if config.normalize_advantage else samples.adv
        self._samples, self._acted = samples, samples.acted._replace(adv=adv)
        self._logp_old = agent.actor.distribution.log_prob(samples.params, samples.act)
        return Report(
            len(samples.obs), batch.rew.size, dropped,
            np.stack([batch.episode_returns, batch.episode_lengths], axis=1),
            statistics_of(agent.normalizer, agent.scaler),
            explained_variance(samples.value, samples.ret, agent.backend),
        )  # fmt: skip

    @_answering
    def gradient(
        self, part: Part | None, theta: Array, terms: SurrogateTerms, vf_part: Part | None, value_theta: Array
    ) -> tuple[SurrogateGradient | None, CriticGradient | None]:
        """The gradient of the objective in θ on one minibatch, and of the critic in θ_v on another one.

        A part that is None is left out. An epoch that has fewer minibatches here than elsewhere starts again.
        """
        agent, config, policy, critic = self._agent, self._config, None, None
        assert agent is not None
        if part is not None:
            rows = _minibatch(self._order, config.minibatch_size, part)
            policy = surrogate_gradient(agent.actor, theta, self._acted, terms, rows, self._logp_old)
        if vf_part is not None:
            rows, samples = _minibatch(self._vf_order, config.vf_minibatch_size, vf_part), self._samples
            g, squares = agent.critic.minibatch_gradient(
                value_theta, samples.obs, samples.ret, samples.value, rows, config.vf_clip_range
            )
            critic = CriticGradient(g, squares, len(rows))
        return policy, critic

    @_answering
    def measure(self, theta: Array) -> SurrogateValue:
        """The KL from the policy that acted to π_θ and the entropy of π_θ, each a mean over all rows of the batch."""
        assert self._agent is not None
        return surrogate_value(self._agent.actor, theta, self._acted, self._logp_old)


def _minibatch(order: Array, size: int, part: Part) -> Array:
    """The rows (M,) of a minibatch."""
    count = -(-order.shape[1] // size)
    start = part.number % count * size
    return order[part.epoch, start : start + size]
