"""The file of an agent: arrays and a description, all checked before use."""

from __future__ import annotations

import dataclasses
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minipg.checks import Array, require
from minipg.envs import NotRepeatable, describe, rebuild
from minipg.envs.problems import generator_of, stream_of
from minipg.envs.spaces import layout_of
from minipg.errors import AgentFileError, ConfigError, ShapeError, unknown_name
from minipg.rollout.normalizer import restore_statistics, statistics_of
from minipg.runtime.backend import to_host
from minipg.runtime.storage import load_arrays

if TYPE_CHECKING:
    from minipg.algorithms.agent import Agent

FILE_FORMAT = 2
_BY_ID: dict[str, Any] = {"id": {}}
_BEFORE_MASKS = {"mask_actions": False}  # files of old know no masks


_LOAD_OPTIONS = ("env", "backend", "threads")
# settings that networks, statistics, saved states or a replay depend on
FIXED = frozenset({
    "hidden", "activation", "conv", "squash", "state_dependent_std", "log_std_init", "normalize_obs",
    "normalize_reward", "mask_actions", "baseline", "solver", "buffer_size", "replay_on_disk",
})  # fmt: skip


def changed_settings(config: type[Any], options: dict[str, Any]) -> dict[str, Any]:
    """Take the settings out of the options of `load`. Raises for those that cannot change, and for unknown names."""
    fields = {field.name for field in dataclasses.fields(config)}
    for name in options:
        if name in {"config", "preset", "seed"}:
            raise ConfigError(f"{name}: load keeps that of the file; single settings can change, as learning_rate=1e-4")
        if name in fields & FIXED or (name == "num_envs" and "buffer_size" in fields):
            raise ConfigError(f"{name}: load keeps that of the file, which depends on it; only a new agent has another")
        if name not in fields and name not in _LOAD_OPTIONS:
            raise unknown_name("option", name, (*_LOAD_OPTIONS, *sorted(fields - FIXED)))
    return {name: options.pop(name) for name in fields & options.keys()}


class Streams(NamedTuple):
    """The agent's random generators, one for each use, so that the uses do not affect each other."""

    acting: np.random.Generator
    shuffling: np.random.Generator
    predicting: np.random.Generator
    branching: np.random.Generator


def unknown_module(env: str) -> str | None:
    """The module that making this environment would import and execute; None if there is none or it is loaded."""
    module, colon, _ = env.partition(":")
    return module if colon and module not in sys.modules else None


def words_of(stream: np.random.Generator) -> Array:
    """The state of a generator → (6,) uint64: PCG64's four words, has_uint32 and uinteger."""
    state = stream.bit_generator.state
    return np.append(stream_of(stream), np.array([state["has_uint32"], state["uinteger"]], np.uint64))


def set_stream(stream: np.random.Generator, words: Array) -> None:
    """The inverse of `words_of`, in place. Raises OverflowError for words that no generator has."""
    state = generator_of(words[:4]).bit_generator.state
    stream.bit_generator.state = {**state, "has_uint32": int(words[4]), "uinteger": int(words[5])}


class AgentState(NamedTuple):
    """The whole state of an agent between two updates: arrays by name, and a description (JSON)."""

    arrays: dict[str, Array]
    meta: dict[str, Any]


class Description(NamedTuple):
    """The settings, environment id, seed and counters in a file."""

    config: Any
    env: str
    seed: int
    steps: int
    updates: int


class AgentFile(NamedTuple):
    """The content of the file at `path`. Every method raises AgentFileError for invalid content."""

    path: Path
    arrays: dict[str, Array]
    meta: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> AgentFile:
        """Read the file of an agent of any algorithm."""
        arrays, meta = load_arrays(path)
        if meta.get("format") != FILE_FORMAT:
            raise AgentFileError(f"{path}: file format {meta.get('format')!r}, this version reads {FILE_FORMAT}")
        return cls(path, arrays, meta)

    def for_playing(self) -> AgentFile:
        """The agent with a single environment, in no episode: playing makes those that it needs itself."""
        config, arrays = self.meta.get("config"), {k: v for k, v in self.arrays.items() if not k.startswith("place.")}
        meta = {**self.meta, "config": {**config, "num_envs": 1}} if isinstance(config, dict) else self.meta
        return AgentFile(self.path, arrays, meta)

    @property
    def own_class(self) -> str | None:
        """MODULE:CLASS of an agent that is none of minipg's own."""
        own = self.meta.get("class")
        return own if isinstance(own, str) else None

    @property
    def algorithm(self) -> Any:
        """The algorithm's name in the file, not checked."""
        return self.meta.get("algorithm")

    def description(self, config: type[Any]) -> Description:
        """Settings and counters.   config: the algorithm's config class."""
        meta = self.meta
        try:
            seed, steps, updates = int(meta["seed"]), int(meta["steps"]), int(meta["updates"])
            require(min(seed, steps, updates) >= 0, "seed, steps, updates", "integers ≥ 0", (seed, steps, updates))
            env, names = meta["env"], {field.name for field in dataclasses.fields(config)}
            require(isinstance(env, str) and env != "", "env", "the id of an environment", env)
            settings = {**_BEFORE_MASKS, **meta["config"]} if "mask_actions" in names else meta["config"]
            return Description(config(**settings), env, seed, steps, updates)
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise AgentFileError(f"{self.path}: damaged description ({error})") from error

    @property
    def made_by_id(self) -> bool:
        """Whether an id is all that the agent's environment was made from."""
        made = self.meta.get("made", _BY_ID)
        return isinstance(made, dict) and set(made) == set(_BY_ID)

    def environment(self, env: str) -> Any:
        """What makes the environment that the agent was trained on, named `env`. Files of old hold the name alone."""
        if self.made_by_id:
            self.require_known_module(env)
        try:
            return rebuild(env, self.meta.get("made", _BY_ID))
        except NotRepeatable as error:
            raise AgentFileError(
                f"{self.path}: {env} cannot be made again: {error.reason}; pass one: load(path, env=…), or --env"
            ) from error
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise AgentFileError(f"{self.path}: damaged description of its environment ({error!r})") from error

    def require_spaces(self, spaces: dict[str, str], env: str) -> None:
        """Refuse an environment of other spaces than the agent was trained on. Files of old do not hold them."""
        trained = self.meta.get("spaces", spaces)
        for what, space in spaces.items():
            was = trained.get(what) if isinstance(trained, dict) else None
            if was != space:
                raise AgentFileError(f"{self.path}: trained on the {what} space {was}, and {env} has {space}")

    def require_known_module(self, env: str) -> None:
        """Raise unless the module of the environment is loaded already: nothing in a file is executed."""
        if (module := unknown_module(env)) is not None:
            raise AgentFileError(
                f"{self.path}: its environment is {env}, and nothing in a file is executed; if you trust the module "
                f"{module}, say so: env={env!r} (--env {env})"
            )

    def require_room(self, hidden: tuple[int, ...]) -> None:
        """Raise if the file has fewer parameters than hidden layers of these widths need, before they are allocated."""
        # the hidden layers' biases, and the weights between them; the first and the last depend on the environment
        self.require_size(sum(hidden) + sum(n * m for n, m in pairwise(hidden)))

    def require_size(self, needed: int) -> None:
        """Raise if the file has fewer than `needed` parameters."""
        if needed > (there := self._named("theta").size):
            raise AgentFileError(f"{self.path}: theta: its networks have {needed} parameters or more, the file {there}")

    def array(self, name: str, like: Array, env: str) -> Array:
        """The array `name`. Raises unless it is finite and has the shape and dtype of `like`, an agent's on `env`."""
        array = self._named(name)
        if array.shape != like.shape or array.dtype != like.dtype:
            raise AgentFileError(
                f"{self.path}: {name}: {env} expects {like.dtype}{like.shape}, the file has "
                f"{array.dtype}{array.shape}; was it trained on another environment?"
            )
        self._finite(name, array)
        if name.endswith(("step", "count", "square", "second", "beta", "multiplier")) and (array < 0).any():
            raise AgentFileError(f"{self.path}: {name} has negative numbers")
        return array

    def rows(self, name: str, width: int, most: int) -> Array:
        """The array `name`. Raises unless it is finite float64 of shape (K, width) with K ≤ `most`."""
        array = self._named(name)
        if array.ndim != 2 or array.shape[1] != width or len(array) > most or array.dtype != np.float64:
            raise AgentFileError(
                f"{self.path}: {name}: an agent expects at most {most} × {width} of float64, the file has "
                f"{array.dtype}{array.shape}"
            )
        self._finite(name, array)
        return array

    def count(self, name: str) -> int:
        """The array `name`, one integer ≥ 0. Raises for anything else."""
        array = self._named(name)
        if array.shape != () or array.dtype.kind not in "iu" or array < 0:
            raise AgentFileError(f"{self.path}: {name}: expected one integer ≥ 0")
        return int(array)

    def part(self, prefix: str) -> dict[str, Array]:
        """The arrays named `prefix`.NAME, by NAME."""
        return {name[len(prefix) + 1 :]: array for name, array in self.arrays.items() if name.startswith(f"{prefix}.")}

    def _named(self, name: str) -> Array:
        if name not in self.arrays:
            raise AgentFileError(f"{self.path}: {name} is missing")
        return self.arrays[name]

    def _finite(self, name: str, array: Array) -> None:
        if not np.isfinite(array).all():
            raise AgentFileError(f"{self.path}: {name} has numbers that are not finite")


def own_class_of(kind: type[Any]) -> dict[str, str]:
    """The entry for the class of an agent that is none of minipg's own; {} for those."""
    ours = kind.__module__.partition(".")[0] == "minipg"
    return {} if ours else {"class": f"{kind.__module__}:{kind.__qualname__}"}


def agent_state(agent: Agent[Any]) -> AgentState:
    """A copy of the agent's whole state."""
    arrays = {f"{part}.{k}": v for part, fields in _parts(agent).items() for k, v in fields.items()}
    arrays |= {f"stream.{name}": words_of(stream) for name, stream in agent.streams._asdict().items()}
    arrays["recent"] = np.array(agent._recent, np.float64).reshape(-1, 2)
    arrays |= {f"replay.{name}": array for name, array in agent.unsaved_replay().items()}
    if agent._collector is not None:
        arrays |= {f"place.{name}": array for name, array in agent._collector.state().items()}
    meta = {
        "format": FILE_FORMAT,
        "algorithm": agent.name,
        **own_class_of(type(agent)),
        "env": agent.env_id,
        "made": describe(agent.env),
        "spaces": agent.spaces,
        "layout": _layout(agent),
        "config": dataclasses.asdict(agent.config),
        "seed": agent.seed,
        "backend": agent.backend.name,
        "steps": agent.steps,
        "updates": agent.updates,
    }
    return AgentState({"theta": to_host(agent.theta), **arrays}, meta)


def _layout(agent: Agent[Any]) -> dict[str, Any]:
    """What the numbers are, for readers without minipg (docs/agent_file.md); nothing here reads it."""
    action = agent.actions.space
    bounds = {name: np.ravel(getattr(action, name)).tolist() for name in ("low", "high") if hasattr(action, name)}
    observation = layout_of(agent.observations.space, "observation")
    return {"theta": agent.actor.layout.entries, "observation": observation, "action": bounds}


def restore(agent: Agent[Any], file: AgentFile, continues: bool) -> None:
    """Set the agent's arrays from the file, and with `continues` the state of its environments, if the file has it."""
    found = {
        part: {name: file.array(f"{part}.{name}", like, agent.env_id) for name, like in fields.items()}
        for part, fields in _parts(agent).items()
    }
    up = agent.backend.to_device
    agent.theta = up(file.array("theta", agent.theta, agent.env_id))
    for part in {"value", "state"} & set(found):
        numbers = {name: up(array) if array.shape else array.item() for name, array in found[part].items()}
        setattr(agent, part, type(getattr(agent, part))(**numbers))
    restore_statistics(agent.normalizer, agent.scaler, found)
    agent.restore_replay(file)
    agent._recent.extend(map(tuple, file.rows("recent", 2, agent._recent.maxlen or 0).tolist()))
    try:
        for name, stream in agent.streams._asdict().items():
            set_stream(stream, file.array(f"stream.{name}", words_of(stream), agent.env_id))
        place = file.part("place")
        # environments on the device and on the host have different states
        if continues and place and ("env.episode" in place) == hasattr(agent.envs, "tally"):
            agent._collector = agent._new_collector(place)
    except (ShapeError, OverflowError) as error:
        raise AgentFileError(f"{file.path}: {error}") from error


def _parts(agent: Agent[Any]) -> dict[str, dict[str, Array]]:
    """The arrays that learning changes, without θ, on the host: of the critic, the algorithm and the statistics."""
    tuples = {"value": agent.value, "state": agent.state or None}
    parts = {k: {n: np.asarray(to_host(v)) for n, v in t._asdict().items()} for k, t in tuples.items() if t is not None}
    return parts | statistics_of(agent.normalizer, agent.scaler)
