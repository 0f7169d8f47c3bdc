"""An agent: its environments and parameters, `learn`, `predict`, `save` and `load`.

An algorithm's file defines its name, its config, `_update(batch, progress)`, and `_initial_state` if it keeps state
between updates. The loop is in learning.py, the file format in agent_file.py.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import deque
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from minipg.algorithms import learning
from minipg.algorithms.agent_file import FIXED, AgentFile, AgentState, Streams, agent_state, changed_settings, restore
from minipg.algorithms.critic import Outcome
from minipg.algorithms.images import images_of
from minipg.algorithms.presets import preset_for
from minipg.checks import Array, as_int, require
from minipg.envs import MASK, ActionCodec, ObservationCodec, make_vector, name_of, resolve, shown_choices
from minipg.envs.action_mask import allowed
from minipg.errors import AgentFileError, ConfigError, ShapeError, unknown_name
from minipg.network import MLP
from minipg.policy import PolicyAt, policy_for
from minipg.rollout import Batch, Collector, ObservationNormalizer, RewardScaler
from minipg.runtime.backend import Backend, to_host
from minipg.runtime.modules import imports_for
from minipg.runtime.progress import Progress
from minipg.runtime.storage import save_arrays
from minipg.value import ValueNetwork

ConfigT = TypeVar("ConfigT", bound=Any)
A = TypeVar("A", bound="Agent[Any]")
RECENT = 100  # episodes in `mean_return`
_LARGE = 1 << 20  # parameters
# what an agent or `learn` takes besides settings
_OTHERS = ("seed", "config", "preset", "backend", "threads", "learn(progress=True)",
           "learn(on_update=TensorBoard(folder))", "learn(total_steps=N)")  # fmt: skip


class Agent(Generic[ConfigT]):
    """An agent that learns on a Gymnasium environment.

    env: an id, an EnvSpec, a function (or class) that makes environments, a `gymnasium.Env`, or a `VectorEnv`.
    `preset` names the settings to start from, or a file (.json) that has them (default: the preset of the environment's
    id). Keyword arguments change single settings; `config` replaces all of them. The same seed gives the same bits with
    any number of `threads`.

    agent = TRPO("CartPole-v1", seed=0)
    agent.learn(total_steps=100_000)
    action, _ = agent.predict(obs, deterministic=True)
    """

    name: ClassVar[str]
    Config: ClassVar[type[Any]]

    def __init__(
        self,
        env: Any,
        *more: Any,
        seed: int = 0,
        config: ConfigT | None = None,
        preset: str | None = None,
        backend: str = "numba",
        threads: int | None = None,
        _file: AgentFile | None = None,
        **settings: Any,
    ) -> None:
        if more:  # as PPO("MlpPolicy", "CartPole-v1") in stable-baselines3
            shown = ", ".join(map(repr, (env, *more)))
            raise ConfigError(f"env: expected the environment alone, got {shown}; hidden=(64, 64) gives the network")
        self.seed = as_int("seed", seed)
        self.backend = Backend(backend) if threads is None else Backend(backend, threads)
        self.env = resolve(env)
        self.env_id = name_of(self.env)
        if config is None:
            chosen = {
                **_known(self.Config, preset_for(type(self), self.env_id, preset)),
                **_known(self.Config, settings),
            }
            if isinstance(self.env, gym.Env | VectorEnv):
                chosen["num_envs"] = settings.get("num_envs", 1)
            config = self.Config(**chosen).following(settings)
        elif settings or preset:
            raise ConfigError("config: pass either a whole config or single settings, not both")
        require(isinstance(config, self.Config), "config", f"a {self.Config.__name__}", config)
        if isinstance(self.env, VectorEnv):
            config = dataclasses.replace(config, num_envs=getattr(self.env, "num_envs", 1))
        self._config: ConfigT = config
        self.envs = make_vector(
            self.env, config.num_envs, config.vec, config.env_timeout, not self.backend.on_host, self._masks
        )
        self.observations = self._observation_codec(self.envs)
        self.actions = self._action_codec(self.envs.single_action_space)
        if _file is not None:  # it says which environment is made, so networks for that are not allocated on its word
            _file.require_spaces(self.spaces, self.env_id)
        self.actor, self.critic = self._networks()
        if _file is not None and self.actor.layout.size > _LARGE:  # `restore` refuses others by shape
            _file.require_size(self.actor.layout.size)
        init, *others = (np.random.default_rng(child) for child in np.random.SeedSequence(self.seed).spawn(5))
        self.streams = Streams(*others)
        self.theta: Array = self.actor.init(init)
        self.value: Any = self.critic.init(init)
        self.state: Any = self._initial_state()
        self.normalizer, self.scaler = self._statistics()
        self._collector: Collector | None = None
        self.steps = self.updates = 0
        self._recent: deque[tuple[float, float]] = deque(maxlen=RECENT)
        self.log_idle(settings)

    @property
    def config(self) -> ConfigT:
        """The settings. A callback may replace them by others that fit the networks and the environments."""
        return self._config

    @config.setter
    def config(self, config: ConfigT) -> None:
        require(isinstance(config, self.Config), "config", f"a {self.Config.__name__}", config)
        for name in (*FIXED, "num_envs", "vec"):
            kept, new = getattr(self._config, name, None), getattr(config, name, None)
            require(new == kept, name, f"{kept}, as the agent was made", new)
        self._config = config

    def log_idle(self, given: Collection[str]) -> None:
        """Log a line for each of the settings called `given` that has no effect."""
        self.config.log_idle(given)
        for name in ("squash", "state_dependent_std", "log_std_init"):
            if name in given and self.actions.discrete:
                logging.getLogger("minipg").warning(f"{name} has no effect with {self.actions.space}")

    @property
    def _masks(self) -> bool:
        """Whether masks of allowed actions are looked for."""
        return getattr(self.config, "mask_actions", False)

    @property
    def masked(self) -> bool:
        """True if the observations have a mask of allowed actions, which the policy obeys."""
        return self.observations.masks != ()

    def _observation_codec(self, envs: VectorEnv[Any, Any, Any]) -> ObservationCodec:
        """From the environments' observations to rows of numbers."""
        space = envs.single_observation_space
        return ObservationCodec(space, shown_choices(space, envs.single_action_space) if self._masks else ())

    def _action_codec(self, space: gym.Space[Any]) -> ActionCodec:
        """From the policy's actions to the environment's."""
        return ActionCodec(space, self.config.squash)

    def _networks(self) -> tuple[Any, Any]:
        """The policy and the critic, whose parameters are `theta` and `value`."""
        config, inputs = self.config, self.observations.size
        images = images_of(self.observations.space, inputs, config)
        layers = inputs, *(conv.rows * conv.columns * conv.filters for conv in images.convs), *config.hidden
        actor = policy_for(
            self.actions.distribution(self.backend), layers, config.activation, images=images,
            log_std_init=config.log_std_init, state_dependent_std=config.state_dependent_std,
            masked=self.masked,
        )  # fmt: skip
        return actor, ValueNetwork(MLP((*layers, 1), config.activation, self.backend, *images))

    def _statistics(self) -> tuple[ObservationNormalizer | None, RewardScaler | None]:
        """The running statistics of observations and of rewards."""
        config, inputs = self.config, self.observations.size
        mask = sum(self.observations.masks)
        normalizer = ObservationNormalizer(inputs, self.backend, mask) if config.normalize_obs else None
        scaler = RewardScaler(config.num_envs, config.gamma, self.backend) if config.normalize_reward else None
        return normalizer, scaler

    @property
    def policy(self) -> PolicyAt:
        """The current policy: `policy.model`, and its flat parameter vector `policy.theta`."""
        return PolicyAt(self.actor, self.theta)

    @property
    def recent_episodes(self) -> int:
        """The number of episodes in `mean_return`: 100, or fewer if fewer have ended."""
        return len(self._recent)

    @property
    def mid_episode(self) -> bool:
        """True if the next update continues the current episodes, False if it resets the environments."""
        return self._collector is not None

    def _initial_state(self) -> Any:
        """The algorithm's state before the first update: a NamedTuple of arrays and numbers, saved with the agent."""
        return ()

    def _collect(self, collector: Collector) -> Batch:
        """The batch of one update."""
        return collector.collect(self.theta, self.config.n_steps)

    def _update(self, batch: Batch, progress: float, measure: bool = True) -> Outcome:
        """Learn from one batch: set the new parameters at the end, and return the outcome.

        `progress` is the share of the run's steps taken before this batch. With `measure`, a row of metrics follows;
        without, PPO leaves out metrics that cost a forward pass, and the other algorithms ignore it.
        """
        raise NotImplementedError

    def start(self) -> None:
        """Start processes that take seconds to start, if it has any. Learning does so first."""
        getattr(self.envs, "start", lambda: None)()

    def one_update(self, horizon: int, measure: bool, left: int) -> tuple[Outcome, learning.Counts]:
        """One rollout and one update: the metrics, and what was counted.

        `horizon`: the step at which linear schedules reach 0. `left`: the steps that are left of this call of `learn`.
        """
        return learning.one_update(self, horizon, measure)

    def learn(
        self: A,
        total_steps: int = 0,
        *,
        of: int | None = None,
        on_update: Callable[[A, dict[str, Any]], Any] | None = None,
        every: int = 1,
        progress: bool | Progress | None = None,
        **unknown: Any,
    ) -> A:
        """Learn for `total_steps` more environment steps (whole rollouts), and return the agent.

        `of` is the step at which linear schedules reach 0, by default the end of this call: in a loop of
        `agent.learn(1000, of=60_000)` they reach 0 once, at 60 000 steps.

        `on_update(agent, row)` gets the metrics after every `every` updates; if it returns False, learning
        ends. `progress`: None shows a bar on a terminal only, True plain lines elsewhere too, False
        nothing.
        """
        callback = on_update is None or callable(on_update)
        require(callback, "on_update", "a function of the agent and a row, as in_turn(first, second)", on_update)
        for name in unknown:
            raise unknown_name("option", name, ("total_steps", "of", "on_update", "every", "progress"))
        for name, value in {"total_steps": total_steps, "every": every, "of": 1 if of is None else of}.items():
            require(isinstance(value, int | float | np.integer) and value >= 1, name, "an integer ≥ 1", value)
        learning.learn(self, self.steps + total_steps, of, on_update, every, progress)
        return self

    def _new_collector(self, state: dict[str, Array] | None = None) -> Collector:
        seed = int(np.random.SeedSequence((self.seed, self.updates)).generate_state(1)[0] >> 1)
        return Collector(
            self.envs, self.actor, seed=seed, rng=self.streams.acting, normalizer=self.normalizer, scaler=self.scaler,
            clip_reward=getattr(self.config, "clip_reward", False), state=state,
        )  # fmt: skip

    def predict(self, obs: Any, deterministic: bool = False, *, action_masks: Any = None) -> tuple[Any, None]:
        """(action, None): the action for one observation, or for a batch of them, in the form of the action space.

        A masked agent takes {"action_mask": mask, "observation": obs}, or the mask as `action_masks`. Raises ShapeError
        for an observation that is not in the space, and for one whose mask allows nothing.
        """
        if action_masks is not None:
            obs = self._with_mask(obs, action_masks)
        rows, single = self.observations.read(obs, self.theta.dtype)
        if single and self.masked and not allowed(rows[:, : sum(self.observations.masks)], self.observations.masks)[0]:
            raise ShapeError("obs['action_mask']: expected an allowed action in every choice")  # a batch may have ends
        rows = self.backend.to_device(rows)
        if self.normalizer is not None:
            rows = self.normalizer(rows)
        params, distribution = self.actor.forward(self.theta, rows).params, self.actor.distribution
        if deterministic:
            act = distribution.mode(params)
        else:
            noise = distribution.noise(self.streams.predicting, (len(rows),), params.dtype.type)
            act = distribution.sample(params, noise)
        act = self.actions.to_env(to_host(act))
        return (act[0] if single else act), None

    def _with_mask(self, obs: Any, masks: Any) -> dict[str, Any]:
        """An observation with the mask that was passed beside it."""
        require(self.masked, "action_masks", "none: this agent was trained without masks", masks)
        parts: Any = self.observations.space
        if set(parts.spaces) != {MASK, "observation"}:  # the environment's own Dict
            return {**obs, MASK: masks}
        return {MASK: masks, "observation": obs}

    def save(self, path: str | Path, notes: dict[str, Any] | None = None) -> None:
        """Write the whole state to one npz file, completely or not at all; `notes` (JSON) are stored in it.

        It holds parameters, critic, the algorithm's state, statistics, counters, random streams and config. It also
        holds the state of the environments if they can save it, as compiled ones can: then learning continues from the
        file with the same bits. Other environments start new episodes.
        """
        arrays, meta = self.whole_state()
        save_arrays(Path(path), arrays, {**meta, "notes": notes or {}})

    def whole_state(self) -> AgentState:
        """A copy of what `save` writes."""
        return agent_state(self)

    @classmethod
    def load(cls: type[A], path: str | Path, env: Any = None, **options: Any) -> A:
        """The agent that `save` wrote, on the environment it was trained on, or on `env`.

        `options` are backend, threads, and settings that are to change, as learning_rate=1e-4. On another environment,
        or on an instance of one, or with another number of environments, new episodes start.
        Raises AgentFileError for a file that is damaged, of another algorithm, or made for other shapes.
        """
        return cls.of_file(AgentFile.read(Path(path)), env, **options)

    @classmethod
    def of_file(cls: type[A], file: AgentFile, env: Any = None, **options: Any) -> A:
        """`load` from a file that has been read already."""
        with imports_for("numpy"):  # a session may be in the file's folder
            return cls._of_file(file, env, **options)

    @classmethod
    def _of_file(cls: type[A], file: AgentFile, env: Any = None, **options: Any) -> A:
        if file.algorithm != cls.name:
            raise AgentFileError(f"{file.path}: holds a {file.algorithm} agent, expected {cls.name}")
        settings = changed_settings(cls.Config, options)
        if file.meta.get("backend") == "numpy":  # a family of one's own has no other twin
            options.setdefault("backend", "numpy")
        config, trained_on, seed, steps, updates = file.description(cls.Config)
        config = dataclasses.replace(config, **settings).following(settings)
        source = resolve(file.environment(trained_on) if env is None else env)
        instance = isinstance(source, gym.Env | VectorEnv)
        if instance:
            config = dataclasses.replace(config, num_envs=getattr(source, "num_envs", 1))
        other = env is not None and not isinstance(env, str) and config.vec != "process"
        if instance or other or (config.vec == "device" and options.get("backend") != "cupy"):  # θ needs no GPU
            config = dataclasses.replace(config, vec="auto")
        file.require_room(config.hidden)
        agent = cls(source, seed=seed, config=config, _file=file, **options)
        agent.steps, agent.updates = steps, updates
        same = source == trained_on and not {"num_envs", "vec"} & settings.keys()
        restore(agent, file, continues=file.made_by_id and same)
        return agent

    why_new_episodes: ClassVar[str] = "these environments cannot be put back into the middle of one"

    @property
    def costs(self) -> str:
        """The work and memory of learning, for the first line of a run, where they are not like other agents'."""
        return ""

    def unsaved_replay(self) -> dict[str, Array]:
        """Of an agent with a replay, the part of it that is saved with the agent; {} of others."""
        return {}

    def restore_replay(self, file: AgentFile) -> None:
        """The inverse of `unsaved_replay`."""

    def keep_replay_in(self, folder: Path) -> str:
        """Keep the replay, if there is one, in files in this folder. Returns "", or why it is empty but was not."""
        return ""

    def forget_replay(self, steps: int) -> None:
        """Remove the files of the replay that the agent of so many steps ago would not need to continue."""

    @property
    def spaces(self) -> dict[str, str]:
        """What the networks depend on in the observation and the action space, as text."""
        return {"observation": self.observations.signature, "action": self.actions.signature}

    def require_spaces(self, envs: VectorEnv[Any, Any, Any]) -> None:
        """Raise ConfigError for environments of other spaces than the agent's."""
        observations, actions = self._observation_codec(envs), self._action_codec(envs.single_action_space)
        others = {"observation": observations.signature, "action": actions.signature}
        for what, space in self.spaces.items():
            if others[what] != space:
                raise ConfigError(f"env: expected the {what} space {space}, got {others[what]}")

    def forget_episodes(self) -> None:
        """Start new episodes in the next update, because something else has stepped the environments."""
        self._collector = None


def _known(config: type[Any], settings: dict[str, Any]) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(config)]
    for name in settings:
        if name not in names:
            raise unknown_name("setting", name, [*names, *_OTHERS])
    return settings
