"""Distributed proximal policy optimisation (Heess et al. 2017): PPO whose every gradient is a mean over W workers.

The chief has the parameters, Adam and β. Each worker has environments and a batch of its own, of which nothing is sent.
A step of Adam goes along

    g = (1/W) Σ_w g_w      (PP-5),

where g_w is the gradient of PPO's objective (PP-1 to PP-4) on a minibatch of worker w: for batches of equal size, the
gradient on their union. The critic's gradient is a mean in the same way. A step waits for W − D gradients. What comes
later is discarded, because it was taken at another θ.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product, zip_longest
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from minipg.algorithms.agent import Agent
from minipg.algorithms.critic import CriticFit, Outcome
from minipg.algorithms.dppo_calls import Alone, Calls
from minipg.algorithms.dppo_worker import CriticGradient, Part, Worker
from minipg.algorithms.learning import Counts
from minipg.algorithms.optimizers import AdamState, adam_step, all_finite, mean, new_adam, scheduled
from minipg.algorithms.ppo import PPOConfig, PPOInfo, PPOState
from minipg.algorithms.workers import counted, env_of_workers, require_workers
from minipg.checks import Array, require
from minipg.field_docs import documented
from minipg.objective import adapted_beta
from minipg.rollout import Batch
from minipg.rollout.normalizer import statistics_of
from minipg.runtime.engine import ENGINES, Engine
from minipg.value import ValueState

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from minipg.algorithms.settings import DPPOSettings


@documented
@dataclass(frozen=True, kw_only=True)
class DPPOConfig(PPOConfig):
    """Every setting of DPPO. num_envs, n_steps and minibatch_size are of each worker."""

    num_envs: int = 8
    """Environments of each worker."""
    n_steps: int = 256
    """Steps of each environment of each worker per update."""
    objective: Literal["unclipped", "clip", "kl", "adaptive-kl"] = "adaptive-kl"
    """unclipped, clip, kl (fixed penalty) or adaptive-kl."""
    minibatch_size: int = 64
    """Rows of each worker in a minibatch. If it is set and vf_minibatch_size is not, the critic's follow it."""
    vf_minibatch_size: int = 64
    """Rows of each worker in a critic minibatch."""
    workers: int = 2
    """W: workers, each with environments and a batch of its own."""
    drop: int = 0
    """D: a step waits for W − D workers; what the others send later is discarded. With D > 0 two runs of the same seed
    differ, as which workers are late is a matter of time."""
    engine: Literal["processes", "threads", "ray"] = "processes"
    """Where they are: in processes, on threads (kernels compute side by side there), or on ray (several machines)."""
    ray_address: str = "auto"
    """With ray: auto (the cluster of this machine, or else a new one on it), local (a new one), or ray://HOST:PORT."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.drop < self.workers, "drop", f"an integer from 0 to workers − 1 = {self.workers - 1}", self.drop)
        require(self.vec != "process", "vec", "any but process: the workers are processes already", self.vec)
        require(self.vf_optimizer == "adam", "vf_optimizer", "adam, whose gradients have a mean", self.vf_optimizer)


class Updated(NamedTuple):
    """The parameters and the state after an update, its metrics, and how many gradients of each worker were used."""

    theta: Array
    state: PPOState
    info: PPOInfo
    fit: CriticFit
    used: Counter[int]


def update(
    calls: Calls | Alone, agent: DPPO, steps: Sequence[tuple[Part | None, Part | None]], progress: float
) -> Updated:
    """All epochs over the workers' batches. If not finite, the agent's own parameters and state are returned.

    steps: the minibatch of the policy and the one of the critic in each step; `progress`: the share of the run that
    has passed. The agent is not changed.
    """
    config, rate = agent.config, scheduled(agent.config.schedule, progress)
    theta, adam, beta = agent.theta, AdamState(*agent.state[:3]), agent.state.beta
    value, vf_adam = agent.value.theta, AdamState(*agent.value[1:])
    step, terms, adaptive = partial(_step, agent), config.terms(beta, progress), config.objective == "adaptive-kl"
    clipped, last_epoch, used, stopped = list[float](), list[CriticGradient](), Counter[int](), False
    for part, vf_part in steps:
        part = None if stopped else part
        if part is None and vf_part is None:
            break
        answers = calls.all("gradient", part, theta, terms, vf_part, value)  # of W − D workers, all at this θ
        gradients, vf_gradients = zip(*answers.values(), strict=True)
        used.update(answers.keys())
        if part is not None:
            stopped = not adaptive and mean([g.kl for g in gradients]) > 1.5 * config.target_kl
        if part is not None and not stopped:
            theta, adam = step(theta, adam, gradients, config.learning_rate * rate)  # PP-5, AC-3
            theta = agent.actor.project(theta)
            clipped.append(mean([g.clip_fraction for g in gradients]))
        if vf_part is not None:
            value, vf_adam = step(value, vf_adam, vf_gradients, config.vf_learning_rate * rate)
            last_epoch += vf_gradients if vf_part.epoch == config.vf_epochs - 1 else []
    fit = _fit(agent, value, vf_adam, last_epoch)
    if not all_finite(theta, *adam[:2]):
        info = PPOInfo("step not finite", 0.0, 0.0, 0, beta, math.nan)
        return Updated(agent.theta, agent.state, info, fit, used)
    kl, entropy = map(mean, zip(*((one.kl, one.entropy) for one in calls.all("measure", theta).values()), strict=True))
    if adaptive and clipped:  # without a step the KL is no evidence about β
        beta = adapted_beta(beta, kl, config.target_kl)  # PP-4
    clip_fraction = mean(clipped) if clipped else 0.0
    info = PPOInfo("target KL" if stopped else "ok", kl, clip_fraction, len(clipped), beta, entropy)
    return Updated(theta, PPOState(*adam, beta), info, fit, used)


def _step(
    agent: DPPO, theta: Array, adam: AdamState, gradients: Sequence[Any], learning_rate: float
) -> tuple[Array, AdamState]:
    """One step of Adam along the mean of the workers' gradients, which is clipped after it  (PP-5, AC-3)."""
    g = mean([one.gradient for one in gradients])
    with np.errstate(over="ignore", invalid="ignore"):  # checked at the end
        return adam_step(agent.backend, theta, adam, g, learning_rate, agent.config.max_grad_norm)


def _fit(agent: DPPO, theta: Array, adam: AdamState, last_epoch: Sequence[CriticGradient]) -> CriticFit:
    """The critic after its steps, and the mean squared error of the last epoch."""
    if not all_finite(theta, *adam[:2]):
        return CriticFit(agent.value, math.nan, "critic not finite")
    rows = sum(one.rows for one in last_epoch)
    loss = sum(one.squares for one in last_epoch) / rows if rows else math.nan
    return CriticFit(ValueState(theta, *adam), loss, "ok")


class DPPO(Agent[DPPOConfig]):
    """Distributed PPO: the chief of W workers, which begin with the first update. See `Agent`."""

    name = "dppo"
    why_new_episodes = "each worker starts its own"
    Config = DPPOConfig
    _calls: Calls | None = None

    if TYPE_CHECKING:

        def __init__(self, env: Any, **settings: Unpack[DPPOSettings]) -> None: ...

    def _initial_state(self) -> PPOState:
        return PPOState(*new_adam(self.theta), self.config.kl_coef)

    def __getstate__(self) -> dict[str, Any]:
        """Of a copy: it starts workers of its own."""
        return {**self.__dict__, "_calls": None}

    @property
    def costs(self) -> str:
        """How many workers there are, and where."""
        return f"{self.config.workers} workers, engine {self.config.engine}"

    def start(self) -> None:
        """Start the workers, unless they are there."""
        self._calls = self._calls or self._new_calls()

    def one_update(self, horizon: int, measure: bool, left: int) -> tuple[Outcome, Counts]:
        """One batch of each worker, and one update. `horizon`: where linear schedules reach 0."""
        self.start()
        calls = self._calls
        assert calls is not None
        try:
            calls.collect(self.theta, self.value.theta, statistics_of(self.normalizer, self.scaler), self.config)
            outcome = self._learn_from(calls, self.steps / horizon)
        except BaseException:  # the answers that are on their way belong to no update
            self.close()
            raise
        return outcome, counted(self, calls.reports, sum(report.steps for report in calls.reports))

    def _learn_from(self, calls: Calls | Alone, progress: float) -> Outcome:
        steps = _minibatches(self.config, max(report.rows for report in calls.reports))
        updated = update(calls, self, steps, progress)
        self.theta, self.state, self.value = updated.theta, updated.state, updated.fit.value
        return Outcome(updated.info, updated.fit, more=tuple(_columns(calls, updated.used).items()))

    def _update(self, batch: Batch, progress: float, measure: bool = True) -> Outcome:
        """An update on a batch of this process, as with one worker: so that its kernels can be compiled."""
        worker = Worker(None, self.config, self.backend.name, self)
        return self._learn_from(Alone(worker, worker.take(batch, self.value.theta)), progress)

    def _new_calls(self) -> Calls:
        config, backend = self.config, self.backend.name
        require_workers(self)
        env = env_of_workers(self)
        engine = _engine(config, lambda worker: Worker(env, config, backend))
        return Calls(engine, config.drop, partial(_seed_of, self.seed, self.updates))

    def close(self) -> None:
        """End the workers. The next update starts new ones, with new episodes."""
        calls, self._calls = self._calls, None
        if calls is not None:
            calls.close()


def _engine(config: DPPOConfig, make: Callable[[int], Worker]) -> Engine:
    if config.engine == "ray":
        from minipg.runtime.ray_engine import RayEngine

        return RayEngine(make, config.workers, config.ray_address)
    return ENGINES[config.engine](make, config.workers)


def _seed_of(seed: int, updates: int, worker: int, restarts: int) -> int:
    """The seed of a worker that begins: of worker 0 the agent's, so that W = 1 is PPO; then always another one."""
    if not (updates or worker or restarts):
        return seed
    return int(np.random.SeedSequence((seed, updates, worker, restarts)).generate_state(1, np.uint64)[0] >> 1)


def _minibatches(config: DPPOConfig, rows: int) -> list[tuple[Part | None, Part | None]]:
    """The minibatches of the policy's and of the critic's steps, side by side."""

    def parts(epochs: int, size: int) -> list[Part]:
        return [Part(*where) for where in product(range(epochs), range(-(-rows // size)))]

    policy, critic = parts(config.n_epochs, config.minibatch_size), parts(config.vf_epochs, config.vf_minibatch_size)
    return list(zip_longest(policy, critic))


def _columns(calls: Calls | Alone, used: Counter[int]) -> dict[str, float]:
    """The columns of the workers: the share of each in this update's gradients, and the counts since they began."""
    explained, total = [report.explained_variance for report in calls.reports], sum(used.values())
    workers = range(len(calls.drops))
    return {
        "explained_variance": sum(explained) / len(explained),
        **{f"share_{k}": used[k] / total for k in workers},
        **{f"drops_{k}": calls.drops[k] for k in workers},
        "restarts": calls.losses.total,
    }
