"""The metrics as TensorBoard reads them."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from minipg.algorithms import Agent
from minipg.errors import ConfigError


class Events:
    """After every update, its row as events in `folder`; those of steps after `since` that are there do not count."""

    def __init__(self, folder: Path, since: int = 0) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise ConfigError("tensorboard: not installed; pip install 'minipg-rl[tensorboard]'") from error
        self._event, self._summary, self._writer = event_pb2, summary_pb2.Summary, EventFileWriter(str(folder))
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
        self._writer.flush()
