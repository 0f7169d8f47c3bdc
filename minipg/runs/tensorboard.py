"""Metrics as TensorBoard reads them."""

from __future__ import annotations

import dataclasses
import math
import time
import weakref
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from minipg.algorithms import Agent
from minipg.errors import ConfigError, installing
from minipg.runtime.modules import installed_only

_GROUPS = {
    "rollout": ("episodes", "dropped", "batch_return", "mean_return", "mean_length", "replay"),
    "eval": ("eval_return",),
    "critic": ("value_loss", "explained_variance", "q_value", "critic_loss"),
    "workers": ("staleness", "stalest", "restarts"),
    "time": ("update", "seconds", "steps_per_second"),
}


def require_tensorboard() -> None:
    """Raise ConfigError if the package is not installed."""
    with installed_only():
        found = find_spec("tensorboard")
    if found is None:
        raise ConfigError(f"tensorboard: not installed; {installing('tensorboard')}")


class TensorBoard:
    """A callback that writes every row of metrics to `folder`, for `tensorboard --logdir FOLDER`.

    agent.learn(100_000, on_update=TensorBoard("runs/logs"))

    Numbers become scalars at the environment step of the row, in groups: rollout/mean_return, policy/kl, and so on; NaN
    is left out. The settings are written first, for the HParams tab, which compares the runs below the log folder.
    Events of steps after `since` that are in the folder already, as after a resumption, are superseded. Raises
    ConfigError if TensorBoard is not installed.
    """

    def __init__(self, folder: Path | str, since: int = 0) -> None:
        require_tensorboard()
        with installed_only():
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary, self._has_settings = event_pb2, summary_pb2.Summary, since > 0
        self._writer = EventFileWriter(str(folder), flush_secs=1)
        self.close = weakref.finalize(self, self._writer.close)
        """Write what is left; called at the latest when the process ends."""
        if since:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._writer.add_event(event_pb2.Event(wall_time=time.time(), step=since + 1, session_log=start))

    def __call__(self, agent: Agent[Any], row: dict[str, Any]) -> None:
        if not self._has_settings:
            self._add(0, [self._settings(agent)])
            self._has_settings = True
        numbers = {name: value for name, value in row.items() if isinstance(value, int | float)}
        values = [
            self._summary.Value(tag=_tag(name), simple_value=value)
            for name, value in numbers.items()
            if name != "steps" and not math.isnan(value)
        ]
        self._add(row["steps"], values)

    def _add(self, step: int, values: list[Any]) -> None:
        self._writer.add_event(self._event.Event(wall_time=time.time(), step=step, summary=self._summary(value=values)))

    def _settings(self, agent: Agent[Any]) -> Any:
        """The agent's settings, as the HParams tab reads them."""
        with installed_only():
            from tensorboard.plugins.hparams import metadata, plugin_data_pb2

        start = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
        chosen = {"algorithm": agent.name, "env": agent.env_id, "seed": agent.seed, **dataclasses.asdict(agent.config)}
        for name, value in chosen.items():
            kind = "bool_value" if isinstance(value, bool) else "number_value"
            if isinstance(value, int | float) and math.isfinite(value):  # its pages are JSON, which has no infinity
                setattr(start.hparams[name], kind, value)
            else:
                start.hparams[name].string_value = str(value)
        data = plugin_data_pb2.HParamsPluginData(session_start_info=start, version=metadata.PLUGIN_DATA_VERSION)
        about = metadata.create_summary_metadata(data)
        return self._summary.Value(tag=metadata.SESSION_START_INFO_TAG, metadata=about, tensor=metadata.NULL_TENSOR)


def _tag(name: str) -> str:
    """The name of a metric behind its group."""
    group = next((group for group, names in _GROUPS.items() if name in names), None)
    of_worker = name.rpartition("_")[2].isdigit() and not name.startswith("std_")
    return f"{group or ('workers' if of_worker else 'policy')}/{name}"
