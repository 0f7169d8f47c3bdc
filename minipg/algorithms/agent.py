"""The shell around an algorithm: environments, parameters, and the calls that people know.

An algorithm supplies its name, its config class, `_update(batch, progress)` and, where it has any, the state that one
update leaves for the next (`_begin`); the pure mathematics of an update stands in the
algorithm's own file.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from minipg.algorithms.agent_file import FILE_FORMAT, AgentFile, AgentState, Streams, set_stream, words_of
from minipg.algorithms.presets import preset_for
from minipg.checks import Array, require
from minipg.envs import ActionCodec, ObservationCodec, make_vector, silence_noticed
from minipg.errors import AgentFileError, ConfigError, ShapeError, unknown_name
from minipg.network import MLP
from minipg.policy import Policy, PolicyAt, policy_for
from minipg.rollout import Batch, Collector, ObservationNormalizer, RewardScaler
from minipg.runtime.backend import Backend, to_host
from minipg.runtime.compiling import announce_compiling
from minipg.runtime.progress import Progress, lasting_console
from minipg.runtime.storage import save_arrays
from minipg.runtime.threads import OneBlasThread
from minipg.value import ValueNetwork, ValueState

ConfigT = TypeVar("ConfigT", bound=Any)
A = TypeVar("A", bound="Agent[Any]")
_RECENT = 100  # episodes
_ADVICE = "Ctrl-C, twice, ends the run, or kill -9 where it does not: what was checkpointed is kept"


class Agent(Generic[ConfigT]):
    """An agent that learns on a Gymnasium environment.

    env: an id, a `gymnasium.Env`, or a `VectorEnv`. `preset` names the settings to begin with (by default those of the
    environment's id), keyword arguments change single fields of them, and `config` replaces them all. The same seed
    gives the same bits, whatever the number of `threads`.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Any]]

    def __init__(
        self,
        env: str | gym.Env[Any, Any] | VectorEnv[Any, Any, Any],
        *,
        seed: int = 0,
        config: ConfigT | None = None,
        preset: str | None = None,
        backend: str = "numba",
        threads: int | None = None,
        **settings: Any,
    ) -> None:
        require(seed >= 0, "seed", "an integer ≥ 0", seed)
        self.backend = Backend(backend) if threads is None else Backend(backend, threads)
        self.seed, self.env_id = seed, env if isinstance(env, str) else _id_of(env)
        if config is None:
            chosen = {**preset_for(self.name, self.env_id, preset), **_known(self.Config, settings)}
            if not isinstance(env, str):
                chosen["num_envs"] = settings.get("num_envs", 1)
            config = self.Config(**chosen)
        elif settings or preset:
            raise ConfigError("config: pass either a whole config or single settings, not both")
        if isinstance(env, VectorEnv):
            config = dataclasses.replace(config, num_envs=env.num_envs)
        self.config: ConfigT = config
        self.envs = make_vector(
            env, config.num_envs, config.vec, config.env_timeout, on_device=not self.backend.on_host
        )
        self.observations = ObservationCodec(self.envs.single_observation_space)
        self.actions = ActionCodec(self.envs.single_action_space, config.squash)

        inputs = self.observations.size
        self.actor: Policy = policy_for(
            self.actions.distribution(self.backend), (inputs, *config.hidden), config.activation,
            log_std_init=config.log_std_init, state_dependent_std=config.state_dependent_std,
        )  # fmt: skip
        self.critic = ValueNetwork(MLP((inputs, *config.hidden, 1), config.activation, self.backend))
        init, *others = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(5))
        self.streams = Streams(*others)
        self.theta: Array = self.actor.init(init)
        self.value: ValueState = self.critic.init(init)
        self.state: Any = self._begin()
        self.normalizer = ObservationNormalizer(inputs, self.backend) if config.normalize_obs else None
        self.scaler = RewardScaler(config.num_envs, config.gamma, self.backend) if config.normalize_reward else None
        self._collector: Collector | None = None
        self.steps = self.updates = 0
        self._recent: deque[tuple[float, float]] = deque(maxlen=_RECENT)

    @property
    def policy(self) -> PolicyAt:
        """The policy as it stands: `policy.theta` is the flat parameter vector, `policy.model` what it parametrises."""
        return PolicyAt(self.actor, self.theta)

    @property
    def recent_episodes(self) -> int:
        """How many episodes `mean_return` is the mean of: 100, or as many as have ended yet."""
        return len(self._recent)

    @property
    def mid_episode(self) -> bool:
        """Whether learning goes on in the midst of the episodes that were last seen, rather than in new ones."""
        return self._collector is not None

    def _begin(self) -> Any:
        """What the first update finds: a NamedTuple of arrays and numbers, saved with the agent."""
        return ()

    def _collect(self, collector: Collector) -> Batch:
        """The experience of one update."""
        return collector.collect(self.theta, self.config.n_steps)

    def _update(self, batch: Batch, progress: float) -> dict[str, Any]:
        """Learn from one batch: set the new parameters, all at once, and return what happened.

        `progress` is the share of the run's steps that had been taken before this batch.
        """
        raise NotImplementedError

    def learn(
        self: A,
        total_steps: int,
        *,
        on_update: Callable[[A, dict[str, Any]], Any] | None = None,
        progress: bool | Progress | None = None,
    ) -> A:
        """Learn until `total_steps` more environment steps have been taken (whole rollouts), and return the agent.

        `on_update(agent, row)` sees the metrics of every update; returning False ends learning. `progress` None shows
        a bar on a terminal only, True plain lines elsewhere too, False nothing.
        """
        require(total_steps >= 1, "total_steps", "an integer ≥ 1", total_steps)
        until = self.steps + total_steps
        with _shown(progress, f"{self.name} {self.env_id}", until) as display:
            say = display.say if isinstance(display, Progress) else lambda line: None
            with OneBlasThread(), announce_compiling(say), silence_noticed(_ADVICE):
                began, first = time.perf_counter(), self.steps
                while self.steps < until:
                    row = self._updates(until, 1 if on_update is not None else sys.maxsize)
                    row["seconds"] = time.perf_counter() - began
                    row["steps_per_second"] = (self.steps - first) / row["seconds"]
                    if isinstance(display, Progress):
                        display.update(row)
                    if on_update is not None and says_stop(on_update(self, row)):
                        break
        return self

    def _updates(self, until: int, most: int) -> dict[str, Any]:
        """One update or, of an algorithm that can make more in one go, up to `most`: the metrics after the last."""
        return self._one_update(until)

    def _one_update(self, until: int) -> dict[str, Any]:
        # a rollout that is interrupted leaves environments midway, so its collector is not kept: the next one resets
        collector, self._collector = self._collector or self._new_collector(), None
        batch = self._collect(collector)
        dropped = np.count_nonzero(batch.dropped)
        while not np.count_nonzero(batch.valid):  # nothing but resets, as a short rollout of few environments may be
            batch = self._collect(collector)
            dropped += np.count_nonzero(batch.dropped)
        self._collector = collector
        info = self._update(batch, self.steps / until)
        return self._row(1, batch.rew.size, int(dropped), batch.episode_returns, batch.episode_lengths, info)

    def _row(
        self, updates: int, steps: int, dropped: int, returns: Array, lengths: Array, info: dict[str, Any]
    ) -> dict[str, Any]:
        """Count so many updates and steps and the episodes that ended in them; the metrics after the last update."""
        self.steps += steps
        self.updates += updates
        self._recent.extend(zip(returns.tolist(), lengths.tolist(), strict=True))
        ended, recent = len(returns), len(self._recent)
        gained, lasted = map(sum, zip(*self._recent, strict=True)) if recent else (math.nan, math.nan)
        return {
            "update": self.updates,
            "steps": self.steps,
            "episodes": ended,
            "dropped": dropped,
            "batch_return": float(returns.sum()) / ended if ended else math.nan,
            "mean_return": gained / max(recent, 1),
            "mean_length": lasted / max(recent, 1),
            **info,
            **self.actor.spread(self.theta),
        }

    def _new_collector(self, place: dict[str, Array] | None = None) -> Collector:
        return Collector(
            self.envs,
            self.actor,
            seed=int(np.random.SeedSequence((self.seed, self.updates)).generate_state(1)[0] >> 1),
            rng=self.streams.acting,
            normalizer=self.normalizer,
            scaler=self.scaler,
            place=place,
        )

    def predict(self, obs: Any, deterministic: bool = False) -> tuple[Any, None]:
        """The action for one observation, or for a batch of them: `(action, None)`, as the environment takes it."""
        rows, single = self.observations.read(obs)
        rows = self.backend.to_device(np.array(rows, self.theta.dtype))
        if self.normalizer is not None:
            rows = self.normalizer(rows)
        params, distribution = self.actor.forward(self.theta, rows).params, self.actor.distribution
        if deterministic:
            act = distribution.mode(params)
        else:
            act = distribution.sample(
                params, distribution.noise(self.streams.predicting, (len(rows),), params.dtype.type)
            )
        act = self.actions.to_env(to_host(act))
        return (act[0] if single else act), None

    def save(self, path: str | Path, notes: dict[str, Any] | None = None) -> None:
        """The whole state → one npz file, written whole or not at all; `notes` (JSON) go with it.

        Parameters, critic, the algorithm's own state, statistics, counters, random streams, config; and where the
        environments stand, if they can say so (compiled ones can): learning goes on from the file as if there had been
        no file. Other environments begin new episodes.
        """
        arrays, meta = self.whole_state()
        save_arrays(Path(path), arrays, {**meta, "notes": notes or {}})

    def whole_state(self) -> AgentState:
        """What `save` writes, as it stands: what is learnt afterwards does not change it."""
        arrays = {f"{part}.{k}": v for part, fields in self._parts().items() for k, v in fields.items()}
        arrays |= {f"stream.{name}": words_of(stream) for name, stream in self.streams._asdict().items()}
        arrays["recent"] = np.array(self._recent, np.float64).reshape(-1, 2)
        if self._collector is not None:
            arrays |= {f"place.{name}": array for name, array in self._collector.place().items()}
        meta = {
            "format": FILE_FORMAT,
            "algorithm": self.name,
            "env": self.env_id,
            "config": dataclasses.asdict(self.config),
            "seed": self.seed,
            "steps": self.steps,
            "updates": self.updates,
        }
        return AgentState({"theta": to_host(self.theta), **arrays}, meta)

    @classmethod
    def load(cls: type[A], path: str | Path, env: Any = None, **options: Any) -> A:
        """The agent that `save` wrote, on the environment it was trained on or on `env`.

        On another one than it was trained on, and on any instance, new episodes begin.
        Raises AgentFileError for a file that is damaged, of another algorithm, or made for other shapes.
        """
        return cls.of_file(AgentFile.read(Path(path)), env, **options)

    @classmethod
    def of_file(cls: type[A], file: AgentFile, env: Any = None, **options: Any) -> A:
        """`load`, of a file that has been read."""
        if file.algorithm != cls.name:
            raise AgentFileError(f"{file.path}: holds a {file.algorithm} agent, expected {cls.name}")
        config, trained_on, seed, steps, updates = file.description(cls.Config)
        if env is not None and not isinstance(env, str):
            config = dataclasses.replace(config, num_envs=getattr(env, "num_envs", 1), vec="auto")
        if config.vec == "device" and options.get("backend") != "cupy":  # what it learnt needs no GPU
            config = dataclasses.replace(config, vec="auto")
        if env is None:
            file.require_known_module(trained_on)
        file.require_room(config.hidden)
        agent = cls(trained_on if env is None else env, seed=seed, config=config, **options)
        agent.steps, agent.updates = steps, updates
        agent._restore(file, in_place=env is None or env == trained_on)
        return agent

    def _parts(self) -> dict[str, dict[str, Array]]:
        """The arrays that learning changes, besides θ, on the host: of critic, algorithm, and statistics."""
        tuples = {"value": self.value, "state": self.state or None}
        parts = {
            k: {n: np.asarray(to_host(v)) for n, v in t._asdict().items()} for k, t in tuples.items() if t is not None
        }
        statistics = {"obs": self.normalizer, "reward": self.scaler}
        return parts | {k: s.moments.state() for k, s in statistics.items() if s is not None}

    def _restore(self, file: AgentFile, in_place: bool) -> None:
        found = {
            part: {name: file.array(f"{part}.{name}", like, self.env_id) for name, like in fields.items()}
            for part, fields in self._parts().items()
        }
        up = self.backend.to_device
        self.theta = up(file.array("theta", self.theta, self.env_id))
        for part in {"value", "state"} & set(found):
            numbers = {name: up(array) if array.shape else array.item() for name, array in found[part].items()}
            setattr(self, part, type(getattr(self, part))(**numbers))
        for part, statistics in (("obs", self.normalizer), ("reward", self.scaler)):
            if statistics is not None:
                statistics.moments.restore(found[part])
        self._recent.extend(map(tuple, file.rows("recent", 2, _RECENT).tolist()))
        try:
            for name, stream in self.streams._asdict().items():
                set_stream(stream, file.array(f"stream.{name}", words_of(stream), self.env_id))
            place = file.part("place")
            # those of the device and those of the host are not begun alike: one takes up no place of the other
            if in_place and place and ("env.episode" in place) == hasattr(self.envs, "tally"):
                self._collector = self._new_collector(place)
        except (ShapeError, OverflowError) as error:
            raise AgentFileError(f"{file.path}: {error}") from error


def says_stop(answer: Any) -> bool:
    """Whether a callback's answer ends learning: False does, and nothing else."""
    return isinstance(answer, bool | np.bool_) and not answer


def _id_of(env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> str:
    return env.spec.id if env.spec is not None else type(env).__name__


def _known(config: type[Any], settings: dict[str, Any]) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(config)]
    for name in settings:
        if name not in names:
            raise unknown_name("setting", name, names)
    return settings


def _shown(progress: bool | Progress | None, title: str, total: int) -> AbstractContextManager[Any]:
    if isinstance(progress, Progress):
        return progress
    if progress is False or (progress is None and not sys.stderr.isatty()):
        return nullcontext()
    return Progress(title, total, lasting_console(stderr=True))
