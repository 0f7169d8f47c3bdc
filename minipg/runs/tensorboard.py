"""Metrics as TensorBoard reads them."""

from __future__ import annotations

import math
import time
import weakref
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from minipg.algorithms import Agent
from minipg.errors import ConfigError, installing
from minipg.runtime.modules import installed_only


def require_tensorboard() -> None:
    """Raise ConfigError if the package is not installed."""
    with installed_only():
        found = find_spec("tensorboard")
    if found is None:
        raise ConfigError(f"tensorboard: not installed; {installing('tensorboard')}")


class TensorBoard:
    """A callback that writes every row of metrics to `folder`, for `tensorboard --logdir FOLDER`.

    agent.learn(100_000, on_update=TensorBoard("runs/logs"))

    Numbers become scalars of their own names, at the environment step of the row; NaN is left out. Events of steps
    after `since` that are in the folder already, as after a resumption, are superseded. Raises ConfigError if
    TensorBoard is not installed.
    """

    def __init__(self, folder: Path | str, since: int = 0) -> None:
        require_tensorboard()
        with installed_only():
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = event_pb2, summary_pb2.Summary
        self._writer = EventFileWriter(str(folder), flush_secs=1)
        self.close = weakref.finalize(self, self._writer.close)
        """Write what is left; called at the latest when the process ends."""
        if since:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._writer.add_event(event_pb2.Event(wall_time=time.time(), step=since + 1, session_log=start))

    def __call__(self, agent: Agent[Any], row: dict[str, Any]) -> None:
        numbers = {name: value for name, value in row.items() if isinstance(value, int | float)}
        values = [
            self._summary.Value(tag=name, simple_value=value)
            for name, value in numbers.items()
            if name != "steps" and not math.isnan(value)
        ]
        self._writer.add_event(
            self._event.Event(wall_time=time.time(), step=row["steps"], summary=self._summary(value=values))
        )
