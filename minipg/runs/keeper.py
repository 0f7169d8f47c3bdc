"""Saving a run while it learns: rows of metrics, checkpoints, and a state to save if learning is interrupted."""

from __future__ import annotations

import math
import time
from typing import Any

from minipg.algorithms import Agent
from minipg.runs.callbacks import Evaluation, score
from minipg.runs.checkpoints import Checkpoints
from minipg.runs.plan import Plan
from minipg.runs.recorder import Recorder

# the fewest steps per row of metrics, for algorithms whose updates are very short
ROW_STEPS = {"a2c": 500, "ddpg": 1000, "td3": 1000}
_SHARE = 200  # copying the state takes at most one part in so many of the time


def updates_per_row(agent: Agent[Any]) -> int:
    """The number of updates per row of metrics: 1; of A2C, DDPG and TD3, as many as take ROW_STEPS steps.

    An update of A2C takes less than 0.1 ms, and writing a row takes a fifth of that.
    """
    steps = agent.config.num_envs * getattr(agent.config, "n_steps", 1)
    return -(-ROW_STEPS.get(agent.name, 0) // steps) or 1


class Keeper:
    """A callback that saves rows and checkpoints of a run, and keeps a copy of the agent's whole state.

    If learning is interrupted within an update, the agent is inconsistent. Then `state` is saved: a copy made between
    two updates, at most some hundredths of a second before.
    """

    def __init__(self, agent: Agent[Any], plan: Plan, checkpoints: Checkpoints, metrics: Recorder) -> None:
        self.seconds, self.state = 0.0, agent.whole_state()
        self._plan, self._checkpoints, self._metrics = plan, checkpoints, metrics
        self._before, self._first, self._due = metrics.last.get("seconds", 0.0), agent.steps, plan.due(agent.steps)
        self._taken, self._cost = time.perf_counter(), 0.0
        self.evaluation: Evaluation | None = None
        if plan.eval_every is not None:
            self.evaluation = Evaluation(
                plan.eval_every, plan.eval_episodes, 0, checkpoints.best, agent.steps, checkpoints.best_score()
            )

    def __call__(self, agent: Agent[Any], row: dict[str, Any]) -> None:
        self.seconds = row["seconds"]
        if self.evaluation is not None:
            self.seconds -= self.evaluation.seconds
            row["steps_per_second"] = (agent.steps - self._first) / self.seconds
        row["seconds"] = self._before + self.seconds
        self._metrics.append(row)
        if (now := time.perf_counter()) - self._taken >= _SHARE * self._cost:
            self.take(agent)
            self._taken = time.perf_counter()
            self._cost = self._taken - now
        if self._due(agent.steps):
            self._metrics.sync()
            self.take(agent)
            self._checkpoints.write(self.state)
            if kept := self._checkpoints.files():
                agent.forget_replay(agent.steps - int(kept[-1].stem))
            if self.evaluation is None and math.isfinite(value := score(agent, row)):
                self._checkpoints.write_best(agent, value)

    def take(self, agent: Agent[Any]) -> None:
        """Copy the agent's state, between two updates."""
        if self.state.meta["steps"] < agent.steps:
            self.state = agent.whole_state()
