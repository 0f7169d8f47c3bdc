"""What a process or a Ray actor does in a search of settings: it trains the agents of one trial after another."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minipg.algorithms import Agent, algorithm_named
from minipg.envs import closed_after, env_of, imported
from minipg.runs.evaluate import evaluate
from minipg.runtime.threads import OneBlasThread


@dataclass(frozen=True)
class Task:
    """What all trials of a search have in common. `base` is the config that the settings of a trial change."""

    algorithm: str
    env: str
    base: Any
    steps: int
    seed: int
    """Of the first agent of a trial; the others have the next ones."""
    agents: int
    """Agents that a trial trains in a round."""
    episodes: int
    """Deterministic episodes of an evaluation."""
    env_kwargs: Sequence[str] = ()
    wrapper: Sequence[str] = ()
    frames: str | None = None
    imports: Sequence[str] = ()
    """Modules to import first."""
    backend: str = "numba"

    def seeds(self, number: int) -> list[int]:
        """The seeds of the agents in a round of a trial; the first round is 0."""
        first = self.seed + number * self.agents
        return list(range(first, first + self.agents))

    def config(self, settings: dict[str, Any]) -> Any:
        """The config of a trial, as `minipg train` makes it of these settings as flags."""
        return replace(self.base, **settings).following(settings)

    def agent(self, settings: dict[str, Any], seed: int) -> Agent[Any]:
        """A new agent, on one thread."""
        for module in self.imports:
            imported(module)
        env = env_of(self.env, self.env_kwargs, self.wrapper, self.frames)
        config, algorithm = self.config(settings), algorithm_named(self.algorithm)
        return algorithm(env, seed=seed, config=config, backend=self.backend, threads=1)


class Trials:
    """A worker of an engine."""

    def __init__(self, task: Task) -> None:
        # a process of an engine may have none of its own, but A3C, DPPO and environments in processes need some
        vars(multiprocessing.current_process())["_config"]["daemon"] = False
        self._task, self._agents, self._of = task, list[Agent[Any]](), (-1, [0])

    def advance(self, trial: int, settings: dict[str, Any], seeds: list[int], until: int) -> tuple[float, int]:
        """Train an agent of each seed until it has so many steps. Returns their mean evaluation, and their steps.

        Those may be more, as rollouts are whole. For another trial or other seeds, new agents are made.
        """
        if self._of != (trial, seeds):
            self._close()
            self._of, self._agents = (trial, seeds), [self._task.agent(settings, seed) for seed in seeds]
        returns = [self._advance(agent, until) for agent in self._agents]
        return float(np.mean(returns)), min(agent.steps for agent in self._agents)

    def _advance(self, agent: Agent[Any], until: int) -> float:
        if agent.steps < until:
            agent.learn(until - agent.steps, of=self._task.steps, progress=False)
        with OneBlasThread():  # entered once, not in every step
            evaluation = evaluate(agent, self._task.episodes, seed=until)  # other episodes at other steps
        return float(evaluation["mean_return"])

    def _close(self) -> None:
        for agent in self._agents:
            with closed_after(agent.envs):
                getattr(agent, "close", lambda: None)()
        self._agents = []
