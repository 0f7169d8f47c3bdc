"""Train an agent into a run folder, or continue a run that was stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable
from typing import Any

from minipg.algorithms import Agent
from minipg.algorithms.agent_file import AgentState
from minipg.envs import closed_after, describe
from minipg.envs.recipe import Recipe
from minipg.errors import MinipgError, RunFolderError
from minipg.runs.callbacks import OnUpdate, in_turn, score, stop_at
from minipg.runs.checkpoints import Checkpoints
from minipg.runs.folder import RunFolder
from minipg.runs.keeper import Keeper, updates_per_row
from minipg.runs.metrics import read_columns
from minipg.runs.plan import Plan
from minipg.runs.precompile import compiling_in_two_processes, import_kernels
from minipg.runs.recorder import Recorder
from minipg.runs.tensorboard import TensorBoard
from minipg.runtime.progress import Progress, printable
from minipg.runtime.signals import of_an_interrupt, signals_deferred


def train(agent: Agent[Any], folder: RunFolder, display: Progress, plan: Plan) -> dict[str, Any]:
    """Train by the plan into a new folder. Returns the summary that `minipg train --json` prints.

    Whatever ends the run, the agent and its curve are in the folder. A signal ends it early; its number is `signal` in
    the summary. An error of the environment is raised again, with what to do next in its message.
    """
    with folder.locked():
        # a folder with a config is a run, so the first checkpoint is written before the config
        Checkpoints(folder.path, plan.keep_checkpoints).write(agent.whole_state())
        _write_plan(agent, folder, plan)
        return _learn(agent, folder, display, plan)


def resume(
    folder: RunFolder,
    show: Callable[[Agent[Any], Plan], Progress],
    settings: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Continue a run from its newest intact checkpoint. Returns the summary, as `train` does.

    `settings` of the algorithm change from here on. `changes` replace fields of the run's plan, `threads`, `backend`,
    or `env`; `show` makes the display. Without changes and with compiled environments the agent is, to the bit, what
    it would have been without the stop. Raises RunFolderError if there is no intact checkpoint, or if the run has the
    `steps` of `changes` already.
    """
    with folder.locked():
        config, options = folder.config(), {name: changes.pop(name, None) for name in ("threads", "backend", "env")}
        try:
            planned = Plan(**{field.name: config[field.name] for field in dataclasses.fields(Plan)})
            options["backend"] = options["backend"] or str(config["backend"])
        except KeyError as error:
            raise RunFolderError(f"{folder.path / 'config.json'}: {error} is missing") from error
        plan = dataclasses.replace(planned, **changes)
        checkpoints = Checkpoints(folder.path, plan.keep_checkpoints)
        checkpoints.tidy()
        agent, damages = checkpoints.newest_intact(**options, **(settings or {}))
        with closed_after(agent.envs):
            if plan.steps < planned.steps and plan.steps <= agent.steps:
                raise RunFolderError(f"{folder.shown}: has {agent.steps:,} steps already; --steps is the number in all")
            display = show(agent, plan)
            for line in damages:
                display.say(f"skipped: {line}")
            for name in settings or {}:
                display.say(f"{name} is {getattr(agent.config, name)} from here on")
            _write_plan(agent, folder, plan)
            if not settings and folder.config()["config"] != config.get("config"):
                display.say("config.json was changed; the settings of the checkpoint are used, and written back")
            return _learn(agent, folder, display, plan)


def _write_plan(agent: Agent[Any], folder: RunFolder, plan: Plan) -> None:
    """Write config.json: everything needed to repeat the run."""
    folder.write_config(
        {
            "algorithm": agent.name,
            "env": agent.env_id,
            **({"made": describe(agent.env)} if isinstance(agent.env, Recipe) else {}),  # its arguments and wrappers
            "seed": agent.seed,
            "backend": agent.backend.name,
            "threads": agent.backend.threads,
            **dataclasses.asdict(plan),
            "config": dataclasses.asdict(agent.config),
        }
    )


def _learn(agent: Agent[Any], folder: RunFolder, display: Progress, plan: Plan) -> dict[str, Any]:
    checkpoints, first, interrupted = Checkpoints(folder.path, plan.keep_checkpoints), agent.steps, False
    resumption = folder.command("train --resume", agent.env_id)
    forced_end = f"ended by force; {resumption} continues from the last checkpoint"
    with Recorder(folder.metrics, agent.updates) as metrics, signals_deferred(display.say, forced_end) as signal_came:
        if why := agent.keep_replay_in(folder.path / "replay"):
            display.say(f"the replay fills again before the agent learns on: {why}")
        keeper = Keeper(agent, plan, checkpoints, metrics)
        if ended := _ended(agent, plan, metrics.last):
            display.say(f"{folder.shown} {ended}")
        elif first:
            what = f"{agent.name} on {agent.env_id}, seed {agent.seed}"
            display.say(f"{what}: {folder.shown} continues from step {first:,}")
            if not agent.mid_episode:
                display.say(f"new episodes begin: {agent.why_new_episodes}")
        callbacks: list[OnUpdate] = [keeper, lambda agent, row: not signal_came()]
        if keeper.evaluation is not None:
            callbacks.insert(0, keeper.evaluation)
        if plan.target_return is not None:
            callbacks.append(stop_at(plan.target_return))
        if plan.tensorboard:
            callbacks.append(TensorBoard(folder.path, first))
        try:
            if not ended:
                import_kernels(agent)
                with compiling_in_two_processes(agent):
                    every, on_update = updates_per_row(agent), in_turn(*callbacks)
                    left, whole = plan.steps - first, plan.steps
                    agent.learn(left, of=whole, on_update=on_update, every=every, progress=display)
            keeper.take(agent)
        except MinipgError as error:
            saved = _save_after_error(agent, keeper.state, folder, checkpoints, metrics)
            raise type(error)(f"{error}; {saved}") from error
        except BaseException as error:
            interrupted = of_an_interrupt(error)
            if not interrupted:
                _save_after_error(agent, keeper.state, folder, checkpoints, metrics)
                raise
        metrics.sync()
        checkpoints.write(keeper.state)
        _draw(agent, folder)
        number = signal_came() or 2 * interrupted
    steps, seconds = keeper.state.meta["steps"], keeper.seconds
    returns, lengths = keeper.state.arrays["recent"].T.tolist()
    return {
        "algorithm": agent.name,
        "env": agent.env_id,
        "seed": agent.seed,
        "steps": steps,
        "seconds": round(seconds, 4),
        "steps_per_second": round((steps - first) / seconds, 1) if seconds else 0.0,
        "mean_return": _mean(returns),
        "mean_length": _mean(lengths),
        "updates": keeper.state.meta["updates"],
        "run": str(folder.shown),
        "signal": number,
        "trained": steps > first,
    }


def _ended(agent: Agent[Any], plan: Plan, last: dict[str, float]) -> str:
    """Why a run whose last row is `last` is finished; empty if it is not."""
    if agent.steps >= plan.steps:
        return f"is finished: {agent.steps:,} of {plan.steps:,} steps; a larger --steps continues it"
    if last and plan.target_return is not None and score(agent, last) >= plan.target_return:
        return f"is finished: it has reached its target, a return of {plan.target_return:g}"
    return ""


def _draw(agent: Agent[Any], folder: RunFolder) -> None:
    from minipg.runs.curve import draw_curve

    columns = read_columns(folder.metrics, "steps", "batch_return", "mean_return")
    if "steps" in columns:
        title = printable(f"{agent.name} on {agent.env_id}, seed {agent.seed}", 100)
        draw_curve(columns, title, folder.curve)


def _save_after_error(
    agent: Agent[Any], state: AgentState, folder: RunFolder, checkpoints: Checkpoints, metrics: Recorder
) -> str:
    """Save what can be saved after an error. Returns what was saved and how to continue."""
    with contextlib.suppress(Exception):  # a picture that fails must not hide the error
        metrics.flush()
        _draw(agent, folder)
    try:
        checkpoints.write(state)
    except RunFolderError as error:
        kept = checkpoints.files()
        return f"{error}; " + (f"the last checkpoint is {kept[0]}" if kept else "nothing is saved")
    steps = int(checkpoints.newest().stem)
    return f"the agent is saved; {folder.command('train --resume', agent.env_id)} continues from step {steps:,}"


def _mean(values: list[float]) -> float | None:
    """None where there is no number yet: JSON has no NaN."""
    mean = sum(values) / len(values) if values else math.nan
    return mean if math.isfinite(mean) else None
