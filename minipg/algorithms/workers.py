"""What the agents with workers share, A3C and DPPO: the environments of the workers, and counting what these did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from gymnasium import Env
from gymnasium.vector import VectorEnv

from minipg.algorithms.agent import Agent
from minipg.algorithms.learning import Counts
from minipg.checks import Array
from minipg.envs import portable
from minipg.errors import ConfigError
from minipg.rollout.normalizer import Statistics, merged, restore_statistics, statistics_of


class Report(Protocol):
    """What a worker tells of its steps."""

    @property
    def episodes(self) -> Array:
        """(E, 2): return and length of those that ended."""

    @property
    def dropped(self) -> int:
        """Steps in which an environment failed."""

    @property
    def statistics(self) -> Statistics:
        """Of observations and rewards, continued from the agent's."""


def require_workers(agent: Agent[Any]) -> None:
    """Raise ConfigError for an agent whose environment or backend several workers cannot have."""
    if isinstance(agent.env, Env | VectorEnv):
        raise ConfigError("env: expected an id, an EnvSpec or a function, got an instance: each worker makes its own")
    if not agent.backend.on_host:
        raise ConfigError(f"backend: expected numba or numpy for {agent.name}, got {agent.backend.name}")


def env_of_workers(agent: Agent[Any]) -> Any:
    """What the workers make their environments from."""
    return agent.env if agent.config.vec == "envpool" else portable(agent.env)


def counted(agent: Agent[Any], reports: Sequence[Report], steps: int) -> Counts:
    """Add to the agent what its workers did in an update: their steps, episodes and statistics."""
    statistics = merged(statistics_of(agent.normalizer, agent.scaler), [report.statistics for report in reports])
    restore_statistics(agent.normalizer, agent.scaler, statistics)
    episodes = np.concatenate([report.episodes for report in reports])
    agent.steps += steps
    agent.updates += 1
    agent._recent.extend(map(tuple, episodes.tolist()))
    return Counts(len(episodes), float(episodes[:, 0].sum()), sum(report.dropped for report in reports))
