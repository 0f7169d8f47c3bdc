"""Train several runs that differ by their seed, each in a process and a folder of its own."""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minipg.checks import require
from minipg.errors import ConfigError
from minipg.runtime.files import last_lines, open_new
from minipg.runtime.modules import python_command
from minipg.runtime.signals import signals_deferred

_MOST = 10_000
_MINIPG = "sys.argv[0] = 'minipg'; from minipg.cli import run_module; run_module()"
_END_WITH_PARENT: Callable[[], Any] | None = None
if sys.platform == "linux":
    # PR_SET_PDEATHSIG: when the parent ends in any way, the run receives SIGTERM, saves its state and ends
    _END_WITH_PARENT = partial(ctypes.CDLL(None).prctl, 1, signal.SIGTERM)


class Ended(NamedTuple):
    """How the run of one seed ended: its summary, empty if it failed, and the last line of its standard error."""

    seed: int
    status: int
    summary: dict[str, Any]
    message: str


# runs the commands of seeds into a folder, and tells how each ended
Ends: TypeAlias = Callable[[Mapping[int, Sequence[str]], Path, Callable[[str], None]], Iterator[Ended]]


def seeds_of(text: str) -> list[int]:
    """The seeds in a text like 0-9 or 0,3,5. Raises ConfigError."""
    try:
        parts = [[int(bound) for bound in part.split("-")] for part in text.split(",")]
        seeds = [*islice(chain.from_iterable(range(part[0], part[-1] + 1) for part in parts), _MOST + 1)]
    except ValueError:
        seeds = []
    if not 0 < len(seeds) <= _MOST or any(len(part) > 2 for part in parts) or len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds: expected at most {_MOST} that differ, like 0-9 or 0,3,5, got {text!r}")
    return seeds


def path_of(folder: Path, seed: int, ending: str = "") -> Path:
    """The run folder of a seed in `folder`; with an ending, the file beside it with what the run printed."""
    return folder / f"seed{seed}{ending}"


def jobs_of(text: str) -> int | str:
    """The number of runs at the same time in a text, or "ray". Raises ConfigError."""
    if text == "ray":
        return text
    require(text.isdecimal() and int(text) >= 1, "jobs", "an integer ≥ 1, or ray", text)
    return int(text)


def run_seeds(
    commands: Mapping[int, Sequence[str]], ends: Ends, folder: Path, say: Callable[[str], None]
) -> tuple[dict[str, Any], int]:
    """Run `minipg train *commands[seed]` for each seed by `ends`. Returns a summary of all, and a status.

    Each run prints to folder/seed0.json and seed0.log. A seed without a command has been trained before; its summary is
    there. A signal is sent to every run, and no other run is started. If this process is killed on Linux, the runs end
    as after SIGTERM. The status is that of the first run that failed.
    """
    began, all_ended = time.perf_counter(), []
    for end in chain(
        _ended_before(commands, folder), ends({seed: args for seed, args in commands.items() if args}, folder, say)
    ):
        all_ended.append(end)
        mean = end.summary.get("mean_return")
        result = f"mean return {mean:.1f}" if mean is not None else "no episode ended"
        result = end.message if end.status and end.message else result
        say(f"seed {end.seed}: {result}   ({len(all_ended)} of {len(commands)})")
    failed = sorted({*commands} - {end.seed for end in all_ended if not end.status})
    if failed:
        say(f"not finished: seeds {', '.join(map(str, failed))}; minipg train --resume {folder} continues them")
    summaries = [end.summary for end in sorted(all_ended) if end.summary]
    returns = [summary["mean_return"] for summary in summaries if summary["mean_return"] is not None]
    summary = {
        "seeds": [summary["seed"] for summary in summaries],
        "steps": sum(summary["steps"] for summary in summaries),
        "seconds": round(time.perf_counter() - began, 3),
        "mean_return": float(np.mean(returns)) if returns else None,
        "std_return": float(np.std(returns)) if returns else None,
        "runs": [str(path_of(folder, end.seed)) for end in sorted(all_ended) if end.summary],
        "failed": failed,
    }
    return summary, next((end.status for end in all_ended if end.status), 0)


def _ended_before(commands: Mapping[int, Sequence[str]], folder: Path) -> Iterator[Ended]:
    for seed in sorted(commands):
        if not commands[seed]:
            yield Ended(seed, 0, summary_of(folder, seed), "")


def ends_here(
    commands: Mapping[int, Sequence[str]], folder: Path, say: Callable[[str], None], *, jobs: int
) -> Iterator[Ended]:
    """Run the commands in processes of this machine, `jobs` at a time. A signal is sent to every run.

    If this process is killed on Linux, the runs end as after SIGTERM.
    """
    running: dict[int, subprocess.Popen[bytes]] = {}
    waiting, sent = list(commands), 0
    with signals_deferred(say) as signal_came:
        try:
            while running or (waiting and not sent):
                while waiting and len(running) < jobs and not sent:
                    seed = waiting.pop(0)
                    running[seed] = start(commands[seed], folder, seed)
                if signal_came() and not sent:
                    sent = signal_came()
                    for process in running.values():
                        process.send_signal(sent)
                for seed in [seed for seed, process in running.items() if process.poll() is not None]:
                    yield ended(folder, seed, running.pop(seed).returncode)
                time.sleep(0.05)
        finally:
            for process in running.values():
                process.kill()


def ended(folder: Path, seed: int, code: int) -> Ended:
    """How the run of a seed in `folder` ended, whose process had this return code."""
    lines = last_lines(path_of(folder, seed, ".log"))
    if code < 0:
        lines = [f"killed by signal {-code} ({signal.strsignal(-code)})"]
    return Ended(seed, code if code >= 0 else 128 - code, summary_of(folder, seed), "".join(lines[-1:]))


def start(args: Sequence[str], folder: Path, seed: int, cwd: Path | None = None) -> subprocess.Popen[bytes]:
    """Start `minipg train *args`, which prints to the files of the seed in `folder`. It ends with this process."""
    command = python_command(_MINIPG, "train", *args, "--json")
    with open_new(path_of(folder, seed, ".json")) as out, open_new(path_of(folder, seed, ".log")) as log:
        # in a session of its own, so that Ctrl-C in a terminal reaches this process alone, which sends it on once
        return subprocess.Popen(
            command, stdout=out, stderr=log, start_new_session=True, preexec_fn=_END_WITH_PARENT, cwd=cwd
        )


def summary_of(folder: Path, seed: int) -> dict[str, Any]:
    """The summary that a run printed, which is not always its last line; empty if there is none."""
    for line in reversed(last_lines(path_of(folder, seed, ".json"))):
        with contextlib.suppress(ValueError, RecursionError):
            summary = json.loads(line)
            if isinstance(summary, dict) and summary.get("seed") == seed and isinstance(summary.get("steps"), int):
                mean = summary.get("mean_return", "")
                if mean is None or (isinstance(mean, int | float) and abs(mean) < math.inf):
                    return summary
    return {}
