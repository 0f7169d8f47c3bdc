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
    seeds: tuple[int, ...]
    """One agent of a trial is trained with each."""
    episodes: int
    """Deterministic episodes of an evaluation."""
    env_kwargs: Sequence[str] = ()
    wrapper: Sequence[str] = ()
    imports: Sequence[str] = ()
    """Modules to import first."""
    backend: str = "numba"

    def config(self, settings: dict[str, Any]) -> Any:
        """The config of a trial, as `minipg train` makes it of these settings as flags."""
        return replace(self.base, **settings).following(settings)

    def agent(self, settings: dict[str, Any], seed: int) -> Agent[Any]:
        """A new agent, on one thread."""
        for module in self.imports:
            imported(module)
        env = env_of(self.env, self.env_kwargs, self.wrapper)
        config, algorithm = self.config(settings), algorithm_named(self.algorithm)
        return algorithm(env, seed=seed, config=config, backend=self.backend, threads=1)


class Trials:
    """A worker of an engine."""

    def __init__(self, task: Task) -> None:
        # a process of an engine may have none of its own, but A3C, DPPO and environments in processes need some
        vars(multiprocessing.current_process())["_config"]["daemon"] = False
        self._task, self._trial, self._agents = task, -1, list[Agent[Any]]()

    def advance(self, trial: int, settings: dict[str, Any], until: int) -> tuple[float, int]:
        """Train the agents of a trial until they have so many steps. Returns their mean evaluation, and their steps.

        Those may be more, as rollouts are whole. A new trial begins with new agents.
        """
        if trial != self._trial:
            self._close()
            self._trial = trial
            self._agents = [self._task.agent(settings, seed) for seed in self._task.seeds]
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
