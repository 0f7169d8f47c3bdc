"""The shell around an algorithm: environments, parameters, and the calls that people know.

An algorithm supplies its name, its config class, `_update(batch, progress)` and, where it has any, the state that one
update leaves for the next (`_begin`); the pure mathematics of an update stands in the
algorithm's own file.
"""

from __future__ import annotations

import dataclasses
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

from minipg.algorithms.presets import preset_for
from minipg.backend import Backend, announce_compiling, one_blas_thread
from minipg.checks import Array, require
from minipg.envs import ActionCodec, ObservationCodec, make_vector, silence_noticed
from minipg.errors import AgentFileError, ConfigError, unknown_name
from minipg.mlp import MLP
from minipg.policy import Policy, PolicyAt, policy_for
from minipg.progress import Progress
from minipg.rollout import Batch, Collector, ObservationNormalizer, RewardScaler
from minipg.storage import load_arrays, save_arrays
from minipg.value import ValueNetwork, ValueState

ConfigT = TypeVar("ConfigT", bound=Any)
A = TypeVar("A", bound="Agent[Any]")
FILE_FORMAT = 1


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
        self.envs = make_vector(env, config.num_envs, config.vec, config.env_timeout)
        self.observations = ObservationCodec(self.envs.single_observation_space)
        self.actions = ActionCodec(self.envs.single_action_space, config.squash)

        inputs = self.observations.size
        self.actor: Policy = policy_for(
            self.actions.distribution(self.backend), (inputs, *config.hidden), config.activation,
            log_std_init=config.log_std_init, state_dependent_std=config.state_dependent_std,
        )  # fmt: skip
        self.critic = ValueNetwork(MLP((inputs, *config.hidden, 1), config.activation, self.backend))
        # one stream for each use, so that no use shifts another's numbers
        init, acting, shuffling, predicting = (
            np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4)
        )
        self.theta: Array = self.actor.init(init)
        self.value: ValueState = self.critic.init(init)
        self.state: Any = self._begin()
        self._acting, self._shuffle, self._predicting = acting, shuffling, predicting
        self.normalizer = ObservationNormalizer(inputs, self.backend) if config.normalize_obs else None
        self.scaler = RewardScaler(config.num_envs, config.gamma, self.backend) if config.normalize_reward else None
        self._collector: Collector | None = None
        self.steps = self.updates = 0
        self._recent: deque[tuple[float, int]] = deque(maxlen=100)

    @property
    def policy(self) -> PolicyAt:
        """The policy as it stands: `policy.theta` is the flat parameter vector, `policy.model` what it parametrises."""
        return PolicyAt(self.actor, self.theta)

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
        callback: Callable[[A, dict[str, Any]], Any] | None = None,
        progress: bool | Progress | None = None,
    ) -> A:
        """Learn until `total_steps` more environment steps have been taken (whole rollouts), and return the agent.

        `callback(agent, row)` sees the metrics of every update; returning False ends learning. `progress` None shows
        a bar on a terminal only, True plain lines elsewhere too, False nothing.
        """
        require(total_steps >= 1, "total_steps", "an integer ≥ 1", total_steps)
        until = self.steps + total_steps
        with _shown(progress, f"{self.name} {self.env_id}", until) as display:
            say = display.say if isinstance(display, Progress) else lambda line: None
            with one_blas_thread(), announce_compiling(say), silence_noticed():
                began, first = time.perf_counter(), self.steps
                while self.steps < until:
                    row = self._one_update(until)
                    row["seconds"] = time.perf_counter() - began
                    row["steps_per_second"] = (self.steps - first) / row["seconds"]
                    if isinstance(display, Progress):
                        display.update(row)
                    if callback is not None and callback(self, row) is False:
                        break
        return self

    def _one_update(self, until: int) -> dict[str, Any]:
        # a rollout that is interrupted leaves environments midway, so its collector is not kept: the next one resets
        collector, self._collector = self._collector or self._new_collector(), None
        batch = self._collect(collector)
        dropped = int(batch.dropped.sum())
        while not batch.valid.any():  # nothing but resets, as a short rollout of few environments may be
            batch = self._collect(collector)
            dropped += int(batch.dropped.sum())
        self._collector = collector
        info = self._update(batch, self.steps / until)
        self.steps += batch.rew.size
        self.updates += 1
        self._recent.extend(zip(batch.episode_returns.tolist(), batch.episode_lengths.tolist(), strict=True))
        returns, lengths = zip(*self._recent, strict=True) if self._recent else ((np.nan,), (np.nan,))
        ended = len(batch.episode_returns)
        return {
            "update": self.updates,
            "steps": self.steps,
            "episodes": ended,
            "dropped": dropped,
            "batch_return": float(np.mean(batch.episode_returns)) if ended else float("nan"),
            "mean_return": float(np.mean(returns)),
            "mean_length": float(np.mean(lengths)),
            **info,
        }

    def _new_collector(self) -> Collector:
        return Collector(
            self.envs,
            self.actor,
            seed=int(np.random.SeedSequence((self.seed, self.updates)).generate_state(1)[0] >> 1),
            rng=self._acting,
            normalizer=self.normalizer,
            scaler=self.scaler,
        )

    def predict(self, obs: Any, deterministic: bool = False) -> tuple[Any, None]:
        """The action for one observation, or for a batch of them: `(action, None)`, as the environment takes it."""
        rows, single = self.observations.read(obs)
        rows = np.array(rows, self.theta.dtype)
        if self.normalizer is not None:
            rows = self.normalizer(rows)
        params, distribution = self.actor.forward(self.theta, rows).params, self.actor.distribution
        if deterministic:
            act = distribution.mode(params)
        else:
            act = distribution.sample(params, distribution.noise(self._predicting, (len(rows),), params.dtype.type))
        act = self.actions.to_env(act)
        return (act[0] if single else act), None

    def save(self, path: str | Path) -> None:
        """Parameters, critic, normaliser state and config → one npz file, written whole or not at all."""
        arrays = {"theta": self.theta, **{f"value.{k}": np.asarray(v) for k, v in self.value._asdict().items()}}
        arrays |= {f"state.{k}": np.asarray(v) for k, v in self._state_fields().items()}
        if self.normalizer is not None:
            arrays |= {f"obs.{name}": array for name, array in self.normalizer.moments.state().items()}
        if self.scaler is not None:
            arrays |= {f"reward.{name}": array for name, array in self.scaler.moments.state().items()}
        meta = {
            "format": FILE_FORMAT,
            "algorithm": self.name,
            "env": self.env_id,
            "config": dataclasses.asdict(self.config),
            "seed": self.seed,
            "steps": self.steps,
            "updates": self.updates,
        }
        save_arrays(Path(path), arrays, meta)

    @classmethod
    def load(cls: type[A], path: str | Path, env: Any = None, **options: Any) -> A:
        """The agent that `save` wrote, on the environment it was trained on or on `env`.

        Raises AgentFileError for a file that is damaged, of another algorithm, or made for other shapes.
        """
        arrays, meta = load_arrays(Path(path))
        if meta.get("format") != FILE_FORMAT:
            raise AgentFileError(f"{path}: file format {meta.get('format')!r}, this version reads {FILE_FORMAT}")
        if meta.get("algorithm") != cls.name:
            raise AgentFileError(f"{path}: holds a {meta.get('algorithm')} agent, expected {cls.name}")
        try:
            config = cls.Config(**meta["config"])
            seed, steps, updates = int(meta["seed"]), int(meta["steps"]), int(meta["updates"])
            env = meta["env"] if env is None else env
            require(min(seed, steps, updates) >= 0, "seed, steps, updates", "integers ≥ 0", (seed, steps, updates))
            require(env != "" and not isinstance(env, int | float | list | dict | None), "env", "an environment", env)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise AgentFileError(f"{path}: damaged description ({error})") from error
        if not isinstance(env, str):
            config = dataclasses.replace(config, num_envs=getattr(env, "num_envs", 1), vec="auto")
        agent = cls(env, seed=seed, config=config, **options)
        agent._restore(Path(path), arrays)
        agent.steps, agent.updates = steps, updates
        return agent

    def _state_fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = self.state._asdict() if self.state else {}
        return fields

    def _restore(self, path: Path, arrays: dict[str, Array]) -> None:
        def take(name: str, like: Array) -> Array:
            if name not in arrays:
                raise AgentFileError(f"{path}: {name} is missing")
            array = arrays[name]
            if array.shape != like.shape or array.dtype != like.dtype:
                raise AgentFileError(
                    f"{path}: {name}: {self.env_id} expects {like.dtype}{like.shape}, the file has "
                    f"{array.dtype}{array.shape}; was it trained on another environment?"
                )
            if not np.isfinite(array).all():
                raise AgentFileError(f"{path}: {name} has numbers that are not finite")
            if name.endswith(("step", "count", "square", "second", "beta", "multiplier")) and (array < 0).any():
                raise AgentFileError(f"{path}: {name} has negative numbers")
            return array

        self.theta = take("theta", self.theta)
        value = {k: take(f"value.{k}", np.asarray(v)) for k, v in self.value._asdict().items()}
        self.value = ValueState(value["theta"], value["first"], value["second"], int(value["step"]))
        state = {k: take(f"state.{k}", np.asarray(v)) for k, v in self._state_fields().items()}
        if state:
            self.state = type(self.state)(**{k: v if v.shape else v.item() for k, v in state.items()})
        for prefix, statistics in (("obs", self.normalizer), ("reward", self.scaler)):
            if statistics is not None:
                moments = statistics.moments
                moments.restore({name: take(f"{prefix}.{name}", like) for name, like in moments.state().items()})


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
    from rich.console import Console

    return Progress(title, total, Console(stderr=True))
