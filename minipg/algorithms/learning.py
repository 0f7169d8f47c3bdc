"""The training loop: rollout, update, metrics, until enough steps have been taken."""

from __future__ import annotations

import math
import operator
import sys
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minipg.algorithms.agent_file import own_class_of
from minipg.algorithms.critic import Outcome
from minipg.checks import Array, require
from minipg.envs import silence_noticed
from minipg.rollout import with_valid_rows
from minipg.runtime.backend import to_host
from minipg.runtime.compiling import announce_compiling, working_time
from minipg.runtime.progress import Progress, lasting_console
from minipg.runtime.threads import OneBlasThread

if TYPE_CHECKING:
    from minipg.algorithms.agent import Agent

_ADVICE = "Ctrl-C, twice, ends the run, or kill -9 where it does not: the last checkpoint is kept"
_REDRAW = 0.1  # seconds between two updates of the progress bar


def learn(
    agent: Agent[Any],
    until: int,
    of: int | None,
    on_update: Callable[[Any, dict[str, Any]], Any] | None,
    every: int,
    progress: bool | Progress | None,
) -> None:
    """Update the agent until it has taken `until` steps; linear schedules reach 0 at step `of`. See Agent.learn."""
    if of is None and agent.updates and "linear" in vars(agent.config).values():
        share = agent.steps / until
        warnings.warn(f"linear schedules had ended and start again at {share:.0%} of a run of {until} steps: "
                      "learn(steps, of=all_steps) lets them run once", stacklevel=3)  # fmt: skip
    per_update = agent.config.num_envs * agent.config.n_steps
    if of is not None and until >= of + per_update and "linear" in vars(agent.config).values():
        warnings.warn(f"linear schedules end at step {of} of {until}: after it their rates are 0", stacklevel=3)
    with _display(progress, f"{agent.name} {agent.env_id}", until) as display:
        bar = display if isinstance(display, Progress) else None
        say = bar.say if bar else lambda line: None
        with OneBlasThread(), announce_compiling(say), silence_noticed(_ADVICE):
            agent.start()
            start, first_step, drawn, counts = working_time(), agent.steps, 0.0, Counts()
            while agent.steps < until:
                due = on_update is not None and (agent.updates + 1) % every == 0
                draws = bar is not None and working_time() - drawn > _REDRAW
                measure = due or draws or agent.steps + per_update >= until
                outcome, new = agent.one_update(of or until, measure, until - agent.steps)
                counts = Counts(*map(operator.add, counts, new)) if any(new) else counts
                if agent.steps >= until:
                    due, draws = on_update is not None, bar is not None
                if not (due or draws):
                    continue
                now = working_time()
                row = metrics(agent, outcome, counts)
                seconds = max(now - start, 1e-9)
                row |= {"seconds": seconds, "steps_per_second": (agent.steps - first_step) / seconds}
                if bar:
                    bar.update(row)
                    drawn = now
                if due:
                    counts = Counts()
                    if on_update is not None and says_stop(on_update(agent, row)):
                        break


class Counts(NamedTuple):
    """Since the last row of metrics: episodes that ended, the sum of their returns, and dropped steps."""

    episodes: int = 0
    returns: float = 0.0
    dropped: int = 0


def one_update(agent: Agent[Any], horizon: int, measure: bool = True) -> tuple[Outcome, Counts]:
    """One rollout and one update; `horizon` is the step at which linear schedules reach 0.

    An interrupted rollout is discarded, and the next one resets the environments.
    """
    collector, agent._collector = agent._collector or agent._new_collector(), None
    batch, dropped = with_valid_rows(lambda: agent._collect(collector))
    agent._collector = collector
    outcome = agent._update(batch, agent.steps / horizon, measure)
    if own_class_of(type(agent)):
        _require_sense(agent, outcome)
    agent.steps += batch.rew.size + (0 if batch.branches is None else batch.branches.steps)
    agent.updates += 1
    if not len(batch.episode_returns):
        return outcome, Counts(0, 0.0, dropped)
    agent._recent.extend(zip(batch.episode_returns.tolist(), batch.episode_lengths.tolist(), strict=True))
    return outcome, Counts(len(batch.episode_returns), float(batch.episode_returns.sum()), dropped)


def _require_sense(agent: Agent[Any], outcome: Any) -> None:
    """Raise ConfigError unless an algorithm that is none of minipg's has learnt what can be used."""
    what = f"{type(agent).__name__}._update"
    usable = isinstance(outcome, Outcome) and "status" in getattr(outcome.info, "_fields", ())
    require(usable, what, "an Outcome with a NamedTuple that has a status", outcome)
    theta = agent.theta
    fits = theta.dtype == np.float32 and theta.shape == (agent.actor.layout.size,)
    require(fits, what, f"parameters ({agent.actor.layout.size},) of float32", f"{theta.shape} of {theta.dtype}")
    require(bool(np.isfinite(to_host(theta)).all()), what, "finite parameters", "others")


def metrics(agent: Agent[Any], outcome: Outcome, counts: Counts) -> dict[str, Any]:
    """The row of metrics after an update."""
    recent: Array = np.array(agent._recent).reshape(-1, 2)
    mean_return, mean_length = recent.mean(axis=0).tolist() if len(recent) else (math.nan, math.nan)
    return {
        "update": agent.updates,
        "steps": agent.steps,
        "episodes": counts.episodes,
        "dropped": counts.dropped,
        "batch_return": counts.returns / counts.episodes if counts.episodes else math.nan,
        "mean_return": mean_return,
        "mean_length": mean_length,
        **outcome.metrics(agent.backend),
        **agent.actor.spread(agent.theta),
    }


def says_stop(answer: Any) -> bool:
    """True if a callback's return value ends learning: only False does."""
    return isinstance(answer, bool | np.bool_) and not answer


def _display(progress: bool | Progress | None, title: str, total: int) -> AbstractContextManager[Any]:
    if isinstance(progress, Progress):
        return progress
    if progress is False or (progress is None and not sys.stderr.isatty()):
        return nullcontext()
    return Progress(title, total, lasting_console(stderr=True))
