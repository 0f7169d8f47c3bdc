"""Callbacks for `learn`: functions of the agent and its row of metrics. One that returns False ends learning.

agent.learn(100_000, on_update=in_turn(Evaluation(every=10_000, best="best.npz"), stop_at(475)))
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minipg.algorithms import Agent
from minipg.algorithms.learning import says_stop
from minipg.checks import require
from minipg.runs.evaluate import evaluate
from minipg.runtime.compiling import working_time

OnUpdate = Callable[[Agent[Any], dict[str, Any]], Any]


def in_turn(*callbacks: OnUpdate) -> OnUpdate:
    """One callback that calls all of these, in this order. Learning ends when any of them returns False."""
    return lambda agent, row: not any([says_stop(callback(agent, row)) for callback in callbacks])


def stop_at(target: float) -> OnUpdate:
    """A callback that ends learning when the score reaches `target`."""
    return lambda agent, row: not score(agent, row) >= target


def score(agent: Agent[Any], row: dict[str, Any]) -> float:
    """The mean return of the evaluation after this update; without evaluations, of the last 100 episodes.

    NaN if this update was not followed by an evaluation, or if fewer than 100 episodes have ended.
    """
    if "eval_return" in row:
        return float(row["eval_return"])
    return float(row["mean_return"]) if agent.recent_episodes == 100 else math.nan


@dataclass
class Evaluation:
    """A callback that evaluates the agent after every `every` steps, over `episodes` whole deterministic episodes.

    The mean return is `eval_return` in the row, which is NaN for the other updates. Training is not affected. The agent
    with the highest mean return so far is saved to `best`, if that is given. To continue earlier evaluations, pass how
    many steps the agent has (`since`) and the return to be exceeded (`highest`). `env`: see `evaluate`. `seconds`
    counts their time.
    """

    every: int
    episodes: int = 10
    seed: int = 0
    best: Path | str | None = None
    since: int = 0
    highest: float = -math.inf
    env: Any = None
    seconds: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        require(self.every >= 1, "every", "an integer ≥ 1", self.every)
        self.best = None if self.best is None else Path(self.best).absolute()  # an environment may change the folder

    def __call__(self, agent: Agent[Any], row: dict[str, Any]) -> None:
        row["eval_return"] = math.nan
        if row["steps"] // self.every > self.since // self.every:
            start = working_time()
            options = {} if self.env is None else {"env": self.env}
            row["eval_return"] = evaluate(agent, self.episodes, self.seed, **options)["mean_return"]
            self.seconds += working_time() - start
        self.since = row["steps"]
        if row["eval_return"] > self.highest:
            self.highest = row["eval_return"]
            if self.best is not None:
                agent.save(self.best, {"score": self.highest})
