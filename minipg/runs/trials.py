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

    def advance(self, trial: int, settings: dict[str, Any], part: int, parts: int) -> float:
        """Train the agents of a trial for one of so many parts of the steps. Returns their mean evaluation.

        A new trial begins with new agents. The seed of the evaluation is the number of the part.
        """
        if trial != self._trial:
            self._close()
            self._trial = trial
            self._agents = [self._task.agent(settings, seed) for seed in self._task.seeds]
        return float(np.mean([self._advance(agent, part, parts) for agent in self._agents]))

    def _advance(self, agent: Agent[Any], part: int, parts: int) -> float:
        steps = self._task.steps
        if (left := -(-steps * part // parts) - agent.steps) > 0:
            agent.learn(left, of=steps, progress=False)
        return float(evaluate(agent, self._task.episodes, seed=part)["mean_return"])

    def _close(self) -> None:
        for agent in self._agents:
            with closed_after(agent.envs):
                getattr(agent, "close", lambda: None)()
        self._agents = []
