"""Asynchronous advantage actor-critic (Mnih et al. 2016, algorithm S3): workers share θ, and nobody waits for a lock.

Each worker has environments of its own. It copies the shared parameters, θ′ ← θ and θ′_v ← θ_v, takes t_max steps under
π(a|s; θ′), sums R backwards from V(s; θ′_v), and steps from the *shared* parameters along the gradient at its copies:

    θ   ← θ   + α g/√(s + ε),     g = E[∇log π(a|s; θ′) Â] + c ∇H,            s ← ρ s + (1 − ρ) g²        (AC-2, AC-3)
    θ_v ← θ_v − α_v g_v/√(s_v + ε),  g_v = ∇E[(V(s; θ′_v) − R)²].

Others may have moved θ between a worker's copy and its step. How many steps they took is the step's staleness. With one
worker this is A2C, to the bit. With several, the same seed gives other bits in every run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from minipg.algorithms.a2c import A2C, A2CConfig, A2CState, critic_step, step
from minipg.algorithms.advantages import Samples, estimate_advantages
from minipg.algorithms.critic import Outcome
from minipg.algorithms.learning import Counts
from minipg.algorithms.optimizers import all_finite
from minipg.algorithms.trace import Trace
from minipg.algorithms.workers import counted, env_of_workers, require_workers
from minipg.checks import Array, require
from minipg.field_docs import documented
from minipg.rollout import Collector, with_valid_rows
from minipg.rollout.normalizer import Statistics, restore_statistics, statistics_of
from minipg.runtime.child import exit_if_unguarded
from minipg.runtime.engine import ENGINES, Engine, Losses, answers_of_all
from minipg.runtime.shared_arrays import SharedArrays, Spec

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from minipg.algorithms.settings import A3CSettings

_LINE = 8  # integers of a cache line: two workers' counters on one line would slow both


@documented
@dataclass(frozen=True, kw_only=True)
class A3CConfig(A2CConfig):
    """Every setting of A3C. With more than one worker, the same seed gives other bits in every run."""

    num_envs: int = 1
    """Environments of each worker."""
    schedule: Literal["constant", "linear"] = "linear"
    """Of both learning rates, over the steps of all workers: constant, or linear down to 0 over the run."""
    ent_coef: float = 0.01
    """Weight of the entropy bonus."""
    workers: int = 2
    """Workers that share the parameters."""
    engine: Literal["processes", "threads"] = "processes"
    """Where they work: processes, or threads, which wait for Python's lock between kernels: for large networks."""
    interval: int = 5000
    """Steps of all workers from one row of metrics to the next. At its end they wait for each other, and callbacks,
    evaluations and checkpoints have their turn."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.vec not in ("process", "device"), "vec", "auto, compiled, gymnasium or envpool", self.vec)


class Shared(NamedTuple):
    """What all workers read and write, without a lock."""

    theta: Array  # (P,)
    second: Array  # (P,), RMSProp's running squares
    value: Array  # (P_v,), θ_v
    value_second: Array  # (P_v,)
    steps: Array  # (W, 8): [w, 0] counts the steps of worker w in this interval; only w writes it
    updates: Array  # (W, 8): [w, 0] counts its updates
    until: Array  # (1,): the interval ends when the workers have taken so many steps together
    made: Array  # (W,): how often worker w has been made


class Report(NamedTuple):
    """What a worker did in an interval."""

    episodes: Array  # (E, 2): return and length of those that ended
    dropped: int  # steps in which an environment failed
    updates: Array  # (K, 4): ‖g‖, entropy, the critic's loss, staleness; NaN where a gradient was not finite
    statistics: Statistics


class Worker:
    """Worker `number` of an agent: its environments, and its copies θ′ and θ′_v of the shared parameters.

    `turn` gives a context around each moment in which it touches what is shared.
    """

    def __init__(
        self,
        number: int,
        env: Any,
        config: A3CConfig,
        seed: int,
        backend: str,
        block: SharedArrays,
        turn: Callable[[int, str], AbstractContextManager[Any]] = lambda number, moment: nullcontext(),
    ) -> None:
        self._block, self.shared = block, Shared(*block.arrays)
        self.number, self.config, self.turn = number, config, turn
        made = int(self.shared.made[number])
        self.shared.made[number] += 1
        if (number, made) != (0, 0):  # the first one has the agent's own seed, so that alone it is A2C
            seed = int(np.random.SeedSequence((seed, number, made)).generate_state(1)[0])
        self.agent = A2C(env, seed=seed, config=config, backend=backend, threads=1)
        self.collector: Collector | None = None
        self.theta, self.value = self.shared.theta.copy(), self.shared.value.copy()

    def run(self, steps: int, horizon: int, statistics: Statistics, config: A3CConfig) -> Report:
        """Learn until all workers together have taken `shared.until` steps  (AC-2).

        `steps` were taken before this interval, and learning rates reach 0 at step `horizon`. `statistics` are those
        of the observations and rewards of all workers; `config` is the agent's, which a callback may have replaced.
        """
        self.begin(steps, horizon, statistics, config)
        while _total(self.shared.steps) < self.shared.until[0]:
            with self.turn(self.number, "copy"):
                self.copy()
            samples = self.experience()
            with self.turn(self.number, "apply"):
                self.apply(samples)
        with self.turn(self.number, "report"):
            return self.report()

    def begin(self, steps: int, horizon: int, statistics: Statistics, config: A3CConfig) -> None:
        """Begin an interval. See `run`."""
        self.config = config
        self._first, self._horizon, self._dropped = steps, horizon, 0
        self._episodes: list[Array] = []
        self._updates: list[tuple[float, float, float, float]] = []
        restore_statistics(self.agent.normalizer, self.agent.scaler, statistics)
        self.collector = self.collector or self.agent._new_collector()  # it counts the first observations

    def copy(self) -> None:
        """θ′ ← θ, θ′_v ← θ_v."""
        self._taken, self._updates_before = _total(self.shared.steps), _total(self.shared.updates)
        self.theta[:], self.value[:] = self.shared.theta, self.shared.value

    def experience(self) -> Samples:
        """t_max steps under π(a|s; θ′), then R backwards: 0 after a terminal state, else from V(s; θ′_v)  (AC-2)."""
        config, collector = self.config, self.collector
        assert collector is not None  # `begin` made it
        batch, dropped = with_valid_rows(lambda: collector.collect(self.theta, config.n_steps))
        self._dropped += dropped
        if len(batch.episode_returns):
            self._episodes.append(np.stack([batch.episode_returns, batch.episode_lengths], axis=1))
        return estimate_advantages(self.agent.critic, self.value, batch, config.gamma, config.gae_lambda)

    def apply(self, samples: Samples) -> None:
        """Step from the shared θ and θ_v along the gradients at θ′ and θ′_v, without a lock  (AC-2, AC-3)."""
        agent, shared, config, me = self.agent, self.shared, self.config, self.number
        progress = (self._first + self._taken) / self._horizon
        info = step(agent.actor, self.theta, samples, config, progress, shared.theta, shared.second)
        loss, finite = critic_step(
            agent.critic, self.value, samples, config, progress, shared.value, shared.value_second
        )
        staleness = _total(shared.updates) - self._updates_before
        shared.updates[me, 0] += 1
        shared.steps[me, 0] += config.num_envs * config.n_steps
        ok = info.status == "ok" and finite
        self._updates.append((info.grad_norm, info.entropy, loss, staleness) if ok else (math.nan,) * 4)

    def report(self) -> Report:
        """End an interval."""
        return Report(
            np.concatenate([np.empty((0, 2)), *self._episodes]), self._dropped,
            np.array(self._updates, float).reshape(-1, 4),
            statistics_of(self.agent.normalizer, self.agent.scaler),
        )  # fmt: skip


class A3CInfo(NamedTuple):
    """Metrics of an interval: means over the updates of all workers, and the greatest staleness."""

    status: str
    grad_norm: float
    entropy: float
    value_loss: float
    staleness: float
    stalest: float


class A3C(A2C):
    """Asynchronous advantage actor-critic on a Gymnasium environment. See `Agent`.

    With more than one worker the same seed gives other bits in every run. `env` may not be an instance: every worker
    makes environments of its own.
    """

    name = "a3c"
    why_new_episodes = "each worker starts its own, and they interleave anew"
    Config: ClassVar[type[A3CConfig]] = A3CConfig
    config: A3CConfig
    _engine: Engine | None = None
    trace: Trace | None = None

    if TYPE_CHECKING:

        def __init__(self, env: Any, **settings: Unpack[A3CSettings]) -> None: ...

    def _initial_state(self) -> A2CState:
        require_workers(self)
        return super()._initial_state()

    def __getstate__(self) -> dict[str, Any]:
        """Of a copy: it starts workers of its own."""
        of_workers = "_shared", "_block", "_losses"
        state = {name: value for name, value in self.__dict__.items() if name not in of_workers}
        return {**state, "_engine": None}

    @property
    def costs(self) -> str:
        """Where the workers are, and what that means for the bits."""
        count, engine = self.config.workers, self.config.engine
        if count == 1:
            return f"1 worker, engine {engine}"
        return f"{count} workers, engine {engine}, without a lock: the same seed gives other bits in every run"

    def start(self) -> None:
        """Start the workers, unless they are there."""
        self._engine = self._engine or self._new_engine()

    def one_update(self, horizon: int, measure: bool, left: int) -> tuple[Outcome, Counts]:
        """An interval: all workers run until they have taken `interval` steps together, or as many as are left."""
        self.start()
        engine, shared = self._engine, self._shared
        assert engine is not None
        state = shared.theta, shared.second, shared.value, shared.value_second
        before = self.theta, self.state.second, self.value.theta, self.value.second
        for array, own in zip(state, before, strict=True):
            array[:] = own
        shared.steps[:] = shared.updates[:] = 0
        shared.until[0] = min(self.config.interval, left)
        try:
            statistics = statistics_of(self.normalizer, self.scaler)
            reports = answers_of_all(engine, self._losses, "run", self.steps, horizon, statistics, self.config)
        except BaseException:
            shared.until[0] = 0  # the workers end, too
            self._engine = None
            engine.close()
            raise
        after = [array.copy() for array in state]
        finite = all_finite(*after)
        if finite:
            self.theta, self.state, step = after[0], A2CState(after[1]), self.value.step + _total(shared.updates)
            self.value = self.value._replace(theta=after[2], second=after[3], step=step)
        return self._outcome(reports, finite)

    def _outcome(self, reports: list[Report], finite: bool) -> tuple[Outcome, Counts]:
        """Count what the workers did: the metrics of the interval, and its episodes."""
        updates = np.concatenate([report.updates for report in reports])
        steps = self._shared.steps[:, 0].tolist()
        good = updates[~np.isnan(updates[:, 0])]
        means = good.mean(axis=0) if len(good) else np.full(4, np.nan)
        status = "ok" if len(good) == len(updates) else f"{len(updates) - len(good)} gradients not finite"
        norm, entropy, loss, staleness = means.tolist()
        stalest = float(good[:, 3].max(initial=0))
        info = A3CInfo(status if finite else "step not finite", norm, entropy, loss, staleness, stalest)
        of_workers = tuple((f"steps_{number}", count) for number, count in enumerate(steps))
        return Outcome(info, more=of_workers), counted(self, reports, sum(steps))

    def _new_engine(self) -> Engine:
        workers, sizes = self.config.workers, (self.theta, self.state.second, self.value.theta, self.value.second)
        exit_if_unguarded()  # before there is a block that it would leave behind
        counters = Spec((workers, _LINE), "int64"), Spec((workers, _LINE), "int64")
        block = SharedArrays(
            [*(Spec(a.shape, a.dtype.str) for a in sizes), *counters, Spec((1,), "int64"), Spec((workers,), "int64")]
        )
        self._shared, self._block, self._losses = Shared(*block.arrays), block, Losses(workers)
        seed = self.seed  # of a run that continues, other episodes than those before
        if self.steps:
            seed = int(np.random.SeedSequence((self.seed, self.steps)).generate_state(1)[0])
        env, backend = env_of_workers(self), self.backend.name
        make = partial(Worker, env=env, config=self.config, seed=seed, backend=backend, block=block)
        if self.trace is not None:
            return self.trace.engine(make, workers)
        return ENGINES[self.config.engine](make, workers)


def _total(counters: Array) -> int:
    """The sum of what the workers have counted.   counters (W, 8)."""
    return sum(counters[:, 0].tolist())
