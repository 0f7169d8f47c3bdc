"""One training run into one folder."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from minipg.algorithms import Agent
from minipg.errors import EnvironmentFault
from minipg.progress import Progress
from minipg.runs.folder import RunFolder

_SAVE_EVERY = 60.0  # seconds


def train(agent: Agent[Any], steps: int, folder: RunFolder, display: Progress) -> dict[str, Any]:
    """Learn for `steps` steps. Whatever ends it, the agent and the curve as they then stand are in the folder.

    Ctrl-C ends it early and is said so in `interrupted`; a fault of the environment is raised again with the place of
    the saved agent in its message.
    """
    folder.write_config(
        {
            "algorithm": agent.name,
            "env": agent.env_id,
            "seed": agent.seed,
            "steps": steps,
            "backend": agent.backend.name,
            "threads": agent.backend.threads,
            "config": dataclasses.asdict(agent.config),
        }
    )
    began = saved = time.perf_counter()
    last: dict[str, Any] = {"steps": 0, "mean_return": math.nan, "mean_length": math.nan}

    def record(agent: Agent[Any], row: dict[str, Any]) -> None:
        nonlocal last, saved
        folder.append(row)
        last = row
        if heard():
            raise KeyboardInterrupt
        if time.perf_counter() - saved > _SAVE_EVERY:
            agent.save(folder.agent)
            saved = time.perf_counter()

    interrupted = False
    try:
        with _ctrl_c() as heard:
            agent.learn(steps, callback=record, progress=display)
    except KeyboardInterrupt:
        interrupted = True
    except BaseException as error:
        _keep(agent, folder)
        if isinstance(error, EnvironmentFault):
            raise EnvironmentFault(f"{error}; the agent is saved in {folder.path}") from error
        raise
    seconds = time.perf_counter() - began
    _keep(agent, folder)
    return {
        "algorithm": agent.name,
        "env": agent.env_id,
        "seed": agent.seed,
        "steps": last["steps"],
        "seconds": round(seconds, 3),
        "steps_per_second": round(last["steps"] / seconds, 1),
        "mean_return": _number(last["mean_return"]),
        "mean_length": _number(last["mean_length"]),
        "updates": agent.updates,
        "run": str(folder.path),
        "interrupted": interrupted,
    }


@contextlib.contextmanager
def _ctrl_c() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C came: Python ignores the exception it raises inside a finalizer, and it would be lost."""
    before, came = signal.getsignal(signal.SIGINT), False

    def handler(number: int, frame: Any) -> None:
        nonlocal came
        came = True
        raise KeyboardInterrupt

    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield lambda: False  # whoever handles it otherwise goes on doing so
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGINT, before)


def _number(value: float) -> float | None:
    """None where there is no number yet: JSON has no NaN."""
    return value if math.isfinite(value) else None


def _keep(agent: Agent[Any], folder: RunFolder) -> None:
    from minipg.runs.curve import draw_curve

    agent.save(folder.agent)
    if rows := folder.rows():
        draw_curve(rows, f"{agent.name} on {agent.env_id}, seed {agent.seed}", folder.curve)
