"""One training run into one folder, and its resumption."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minipg.algorithms import Agent
from minipg.algorithms.agent_file import AgentState
from minipg.checks import require, require_types
from minipg.envs import closed_after
from minipg.errors import ConfigError, MinipgError, RunFolderError
from minipg.runs.callbacks import Evaluation, in_turn, score, stop_at
from minipg.runs.checkpoints import Checkpoints
from minipg.runs.folder import RunFolder
from minipg.runs.precompile import compiled_by_two
from minipg.runs.recorder import Recorder
from minipg.runtime.progress import Progress
from minipg.runtime.signals import of_an_interrupt, signals_heard


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a run is kept and when it ends."""

    steps: int = 100_000
    """Environment steps to train for; whole rollouts are made, so the last may go a little beyond."""
    checkpoint_every: str = "60s"
    """How often the whole state is written: after so many steps (20000), or seconds (60s)."""
    keep_checkpoints: int = 3
    """How many of the last checkpoints are kept; the best one is kept besides."""
    eval_every: int | None = None
    """Evaluate after every so many steps; the best checkpoint is then the best evaluated."""
    eval_episodes: int = 10
    """Whole deterministic episodes of an evaluation."""
    target_return: float | None = None
    """End the run when the evaluation, or without evaluations the last 100 episodes, have this mean return."""
    tensorboard: bool = False
    """Write the metrics for TensorBoard too, into the run folder (needs the extra `tensorboard`)."""

    def __post_init__(self) -> None:
        require_types(self)
        for name in ("steps", "keep_checkpoints", "eval_every", "eval_episodes"):
            value = getattr(self, name)
            require(value is None or 1 <= value < 2**63, name, "an integer ≥ 1", value)
        target = self.target_return
        require(target is None or math.isfinite(target), "target_return", "a finite number", target)
        self.due(0)

    def due(self, since: int) -> Callable[[int], bool]:
        """A function of the steps taken, True when it is time for a checkpoint again. Raises ConfigError."""
        text = self.checkpoint_every
        seconds = text.endswith("s")
        try:
            every = float(text[:-1]) if seconds else int(text)
        except ValueError:
            every = math.nan
        if not 0 < every < math.inf:
            raise ConfigError(f"checkpoint_every: expected steps (20000) or seconds (60s), got {text!r}")
        last = time.perf_counter() if seconds else since // int(every) * int(every)

        def due(steps: int) -> bool:
            nonlocal last
            now = time.perf_counter() if seconds else steps
            if now - last < every:
                return False
            last = now if seconds else steps // int(every) * int(every)
            return True

        return due


def train(agent: Agent[Any], folder: RunFolder, display: Progress, plan: Plan) -> dict[str, Any]:
    """Learn by the plan, into a folder that was made for it. Returns an account of the run, as far as it is kept.

    Whatever ends it, the agent and the curve as they then stand are in the folder. A signal ends it early and is
    named in `signal`; a fault of the environment is raised again with what to do next in its message.
    """
    with folder.locked():
        # first of all: before there is a config there is no run
        Checkpoints(folder.path, plan.keep_checkpoints).write(agent.whole_state())
        _write_plan(agent, folder, plan)
        return _learn(agent, folder, display, plan)


def resume(folder: RunFolder, show: Callable[[Agent[Any], Plan], Progress], **changes: Any) -> dict[str, Any]:
    """Go on with a run from its newest sound checkpoint; `changes`: fields of its plan, `threads`, `backend`, or `env`.

    `show` makes the display. With compiled environments the agent becomes, to the bit, what it would have become had
    it never stopped. Raises RunFolderError where there is nothing to go on from.
    """
    with folder.locked():
        config, options = folder.config(), {name: changes.pop(name, None) for name in ("threads", "backend", "env")}
        try:
            plan = Plan(**{**{field.name: config[field.name] for field in dataclasses.fields(Plan)}, **changes})
            options["backend"] = options["backend"] or str(config["backend"])
        except KeyError as error:
            raise RunFolderError(f"{folder.path / 'config.json'}: {error} is missing") from error
        checkpoints = Checkpoints(folder.path, plan.keep_checkpoints)
        checkpoints.tidy()
        agent, wrong = checkpoints.newest_sound(**options)
        with closed_after(agent.envs):
            display = show(agent, plan)
            for line in wrong:
                display.say(f"passed over: {line}")
            _write_plan(agent, folder, plan)
            if folder.config()["config"] != config.get("config"):
                display.say("config.json was changed; the settings of the checkpoint are used, and written back")
            return _learn(agent, folder, display, plan)


def _write_plan(agent: Agent[Any], folder: RunFolder, plan: Plan) -> None:
    """config.json: everything needed to repeat the run."""
    folder.write_config(
        {
            "algorithm": agent.name,
            "env": agent.env_id,
            "seed": agent.seed,
            "backend": agent.backend.name,
            "threads": agent.backend.threads,
            **dataclasses.asdict(plan),
            "config": dataclasses.asdict(agent.config),
        }
    )


def _learn(agent: Agent[Any], folder: RunFolder, display: Progress, plan: Plan) -> dict[str, Any]:
    checkpoints, due = Checkpoints(folder.path, plan.keep_checkpoints), plan.due(agent.steps)
    began, first, interrupted = time.perf_counter(), agent.steps, False
    # what ends learning in the midst of an update leaves the agent in the midst of one: then this is kept
    state, taken, cost = agent.whole_state(), began, 0.0
    words = f"ended by force; minipg train --resume {folder.shown} goes on from the last checkpoint"
    with Recorder(folder.metrics, agent.updates) as metrics, signals_heard(display.say, words) as signal_came:

        def record(agent: Agent[Any], row: dict[str, Any]) -> None:
            nonlocal state, taken, cost
            row["seconds"] += before
            metrics.append(row)
            if (now := time.perf_counter()) - taken >= 50 * cost:
                state = agent.whole_state()
                taken = time.perf_counter()
                cost = taken - now

        def keep(agent: Agent[Any], row: dict[str, Any]) -> None:
            nonlocal state
            if due(agent.steps):
                metrics.sync()
                if state.meta["steps"] < agent.steps:
                    state = agent.whole_state()
                checkpoints.write(state)
                if plan.eval_every is None and math.isfinite(value := score(agent, row)):
                    checkpoints.write_best(agent, value)

        if ended := _ended(agent, plan, metrics.last):
            display.say(f"{folder.shown} {ended}")
        elif first:
            what = f"{agent.name} on {agent.env_id}, seed {agent.seed}"
            display.say(f"{what}: {folder.shown} goes on from step {first:,}")
            if not agent.mid_episode:
                display.say("new episodes begin: these environments cannot say where they stood")

        before = metrics.last.get("seconds", 0.0)
        callbacks = [record, keep, lambda agent, row: not signal_came()]
        if plan.eval_every is not None:
            highest = checkpoints.best_score()
            callbacks.insert(0, Evaluation(plan.eval_every, plan.eval_episodes, 0, checkpoints.best, first, highest))
        if plan.target_return is not None:
            callbacks.append(stop_at(plan.target_return))
        if plan.tensorboard:
            from minipg.runs.events import Events

            callbacks.append(Events(folder.path, first))
        try:
            if not ended:
                with compiled_by_two(agent):
                    agent.learn(plan.steps - first, on_update=in_turn(*callbacks), progress=display)
            state = agent.whole_state()
        except MinipgError as error:
            raise type(error)(f"{error}; {_what_is_left(agent, state, folder, checkpoints)}") from error
        except BaseException as error:
            interrupted = of_an_interrupt(error)
            if not interrupted:
                _what_is_left(agent, state, folder, checkpoints)
                raise
        metrics.sync()
        checkpoints.write(state)
        _draw(agent, folder)
        number = signal_came() or 2 * interrupted
    seconds, steps = time.perf_counter() - began, state.meta["steps"]
    returns, lengths = state.arrays["recent"].T.tolist()
    return {
        "algorithm": agent.name,
        "env": agent.env_id,
        "seed": agent.seed,
        "steps": steps,
        "seconds": round(seconds, 3),
        "steps_per_second": round((steps - first) / seconds, 1),
        "mean_return": _mean(returns),
        "mean_length": _mean(lengths),
        "updates": state.meta["updates"],
        "run": str(folder.shown),
        "signal": number,
        "learnt": steps > first,
    }


def _ended(agent: Agent[Any], plan: Plan, last: dict[str, float]) -> str:
    """Why there is nothing more to learn, after the `last` row; empty where there is."""
    if agent.steps >= plan.steps:
        return f"has its {plan.steps:,} steps; --steps with a larger number goes on"
    if last and plan.target_return is not None and score(agent, last) >= plan.target_return:
        return f"has reached its target, a return of {plan.target_return:g}"
    return ""


def _draw(agent: Agent[Any], folder: RunFolder) -> None:
    from minipg.runs.curve import draw_curve

    if rows := folder.rows():
        draw_curve(rows, f"{agent.name} on {agent.env_id}, seed {agent.seed}", folder.curve)


def _what_is_left(agent: Agent[Any], state: AgentState, folder: RunFolder, checkpoints: Checkpoints) -> str:
    """Keep what can be kept after an error, and say how to go on from it."""
    with contextlib.suppress(Exception):  # a picture is no reason to hide what went wrong
        _draw(agent, folder)
    try:
        checkpoints.write(state)
    except RunFolderError as error:
        kept = checkpoints.files()
        return f"{error}; " + (f"the last checkpoint is {kept[0]}" if kept else "nothing is saved")
    steps = int(checkpoints.newest().stem)
    return f"the agent is saved, minipg train --resume {folder.shown} goes on from step {steps:,}"


def _mean(values: list[float]) -> float | None:
    """None where there is no number yet: JSON has no NaN."""
    mean = sum(values) / len(values) if values else math.nan
    return mean if math.isfinite(mean) else None
