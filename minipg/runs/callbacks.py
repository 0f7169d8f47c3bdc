"""What may look on after every update: functions of the agent and its row of metrics; False ends learning.

agent.learn(100_000, on_update=in_turn(Evaluation(every=10_000, best="best.npz"), stop_at(475)))
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minipg.algorithms import Agent
from minipg.algorithms.learning import says_stop
from minipg.checks import require
from minipg.runs.evaluate import evaluate

OnUpdate = Callable[[Agent[Any], dict[str, Any]], Any]


def in_turn(*callbacks: OnUpdate) -> OnUpdate:
    """All of them, in this order; learning ends when any of them says so."""
    return lambda agent, row: not any([says_stop(callback(agent, row)) for callback in callbacks])


def stop_at(target: float) -> OnUpdate:
    """Ends learning when the score reaches `target`."""
    return lambda agent, row: not score(agent, row) >= target


def score(agent: Agent[Any], row: dict[str, Any]) -> float:
    """The mean return of this update's evaluation; without evaluations, of the last 100 episodes.

    NaN where there is neither yet.
    """
    if "eval_return" in row:
        return float(row["eval_return"])
    return float(row["mean_return"]) if agent.recent_episodes == 100 else math.nan


@dataclass
class Evaluation:
    """Every so many steps, the mean return of whole deterministic episodes: `eval_return` in the row, otherwise NaN.

    Training goes on as if there had been none. The best agent so far is written to `best`, if given. `since` is how
    many steps the agent has already, `highest` the score to be beaten.
    """

    every: int
    episodes: int = 10
    seed: int = 0
    best: Path | str | None = None
    since: int = 0
    highest: float = -math.inf

    def __post_init__(self) -> None:
        require(self.every >= 1, "every", "an integer ≥ 1", self.every)
        self.best = None if self.best is None else Path(self.best).absolute()  # wherever an environment goes

    def __call__(self, agent: Agent[Any], row: dict[str, Any]) -> None:
        row["eval_return"] = math.nan
        if row["steps"] // self.every > self.since // self.every:
            row["eval_return"] = evaluate(agent, self.episodes, self.seed)["mean_return"]
        self.since = row["steps"]
        if row["eval_return"] > self.highest:
            self.highest = row["eval_return"]
            if self.best is not None:
                agent.save(self.best, {"score": self.highest})
