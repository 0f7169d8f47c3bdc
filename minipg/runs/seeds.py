"""Several runs that differ by their seed, each in a process and a folder of its own."""

from __future__ import annotations

import contextlib
import ctypes
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minipg.errors import ConfigError
from minipg.runtime.signals import signals_heard

_MOST = 10_000
_ENDS_WITH_PARENT: Callable[[], Any] | None = None
if sys.platform == "linux":
    # PR_SET_PDEATHSIG: a run whose parent is gone, however that ended, is told to save everything and end
    _ENDS_WITH_PARENT = partial(ctypes.CDLL(None).prctl, 1, signal.SIGTERM)


class Ended(NamedTuple):
    """How the run of one seed ended: its account, empty where it failed, and what it said on standard error."""

    seed: int
    status: int
    account: dict[str, Any]
    said: str


def seeds_of(text: str) -> list[int]:
    """0-9 or 0,3,5 or both. Raises ConfigError."""
    try:
        parts = [[int(bound) for bound in part.split("-")] for part in text.split(",")]
        seeds = [seed for part in parts for seed in range(part[0], min(part[-1], part[0] + _MOST) + 1)]
    except ValueError:
        seeds = []
    if not 0 < len(seeds) <= _MOST or any(len(part) > 2 for part in parts) or len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds: expected at most {_MOST} that differ, like 0-9 or 0,3,5, got {text!r}")
    return seeds


def place_of(folder: Path, seed: int, ending: str = "") -> Path:
    """Where the run of a seed is in `folder`: its own folder or, with an ending, what it said, beside it."""
    return folder / f"seed{seed}{ending}"


def train_seeds(
    commands: Mapping[int, Sequence[str]], jobs: int, folder: Path, say: Callable[[str], None]
) -> tuple[dict[str, Any], int]:
    """Run `minipg train *commands[seed]` for each seed, `jobs` at a time; an account of all, and a status.

    What each prints goes to folder/seed0.json and seed0.log; one without a command has ended before, and its account is
    there. A signal is handed on to every run, none is begun after it; on Linux they end by themselves, as after
    SIGTERM, where this process is killed. The status is that of the first run that failed.
    """
    began, ended = time.perf_counter(), []
    for end in _ends(commands, jobs, folder, say):
        ended.append(end)
        mean = end.account.get("mean_return")
        told = f"mean return {mean:.1f}" if mean is not None else "no episode ended"
        told = end.said if end.status and end.said else told
        say(f"seed {end.seed}: {told}   ({len(ended)} of {len(commands)})")
    failed = sorted({*commands} - {end.seed for end in ended if not end.status})
    if failed:
        say(f"not ended: seeds {', '.join(map(str, failed))}; minipg train --resume {folder} goes on with them")
    accounts = [end.account for end in sorted(ended) if end.account]
    returns = [account["mean_return"] for account in accounts if account["mean_return"] is not None]
    account = {
        "seeds": [account["seed"] for account in accounts],
        "steps": sum(account["steps"] for account in accounts),
        "seconds": round(time.perf_counter() - began, 3),
        "mean_return": float(np.mean(returns)) if returns else None,
        "std_return": float(np.std(returns)) if returns else None,
        "runs": [account["run"] for account in accounts],
        "failed": failed,
    }
    return account, next((end.status for end in ended if end.status), 0)


def _ends(
    commands: Mapping[int, Sequence[str]], jobs: int, folder: Path, say: Callable[[str], None]
) -> Iterator[Ended]:
    running: dict[int, subprocess.Popen[bytes]] = {}
    left, told = [seed for seed in commands if commands[seed]], 0
    for seed in sorted(commands.keys() - left):
        yield Ended(seed, 0, account_of(folder, seed), "")
    with signals_heard(say) as signal_came:
        try:
            while running or (left and not told):
                while left and len(running) < jobs and not told:
                    seed = left.pop(0)
                    running[seed] = _start(commands[seed], folder, seed)
                if signal_came() and not told:
                    told = signal_came()
                    for process in running.values():
                        process.send_signal(told)
                for seed in [seed for seed, process in running.items() if process.poll() is not None]:
                    code = running.pop(seed).returncode
                    said = place_of(folder, seed, ".log").read_text(encoding="utf-8", errors="replace").splitlines()
                    if code < 0:
                        said = [f"killed by signal {-code} ({signal.strsignal(-code)})"]
                    yield Ended(seed, code if code >= 0 else 128 - code, account_of(folder, seed), "".join(said[-1:]))
                time.sleep(0.05)
        finally:
            for process in running.values():
                process.kill()


def _start(args: Sequence[str], folder: Path, seed: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "minipg.cli", "train", *args, "--json"]
    with place_of(folder, seed, ".json").open("wb") as out, place_of(folder, seed, ".log").open("wb") as log:
        # a session of its own: a terminal's Ctrl-C comes to this process alone, which hands it on once
        return subprocess.Popen(command, stdout=out, stderr=log, start_new_session=True, preexec_fn=_ENDS_WITH_PARENT)


def account_of(folder: Path, seed: int) -> dict[str, Any]:
    """The account that a run printed, among whatever else its environment did; empty where there is none."""
    path = place_of(folder, seed, ".json")
    for line in reversed(path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []):
        with contextlib.suppress(ValueError):
            account = json.loads(line)
            if isinstance(account, dict) and {"mean_return", "run", "seed", "steps"} <= account.keys():
                return account
    return {}
