"""Several runs that differ by their seed, each in a process and a folder of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minipg.errors import ConfigError
from minipg.runs.signals import signals_heard

_MOST = 10_000


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


def train_seeds(
    args: Sequence[str], seeds: Sequence[int], jobs: int, folder: Path, say: Callable[[str], None]
) -> tuple[dict[str, Any], int]:
    """Run `minipg train *args` once a seed, `jobs` at a time, into folder/seed0 …; an account of all, and a status.

    A signal is handed on to every run, none is begun after it. The status is that of the first run that failed.
    """
    began, ended = time.perf_counter(), []
    for end in _ends(args, seeds, jobs, folder, say):
        ended.append(end)
        mean = end.account.get("mean_return")
        told = f"mean return {mean:.1f}" if mean is not None else "no episode ended"
        told = end.said if end.status and end.said else told
        say(f"seed {end.seed}: {told}   ({len(ended)} of {len(seeds)})")
    if left := [str(seed) for seed in seeds if seed not in {end.seed for end in ended}]:
        say(f"not begun: --seeds {','.join(left)}")
    accounts = [end.account for end in sorted(ended) if end.account]
    returns = [account["mean_return"] for account in accounts if account["mean_return"] is not None]
    account = {
        "seeds": [account["seed"] for account in accounts],
        "steps": sum(account["steps"] for account in accounts),
        "seconds": round(time.perf_counter() - began, 3),
        "mean_return": float(np.mean(returns)) if returns else None,
        "std_return": float(np.std(returns)) if returns else None,
        "runs": [account["run"] for account in accounts],
    }
    return account, next((end.status for end in ended if end.status), 0)


def _ends(
    args: Sequence[str], seeds: Sequence[int], jobs: int, folder: Path, say: Callable[[str], None]
) -> Iterator[Ended]:
    running: dict[int, subprocess.Popen[bytes]] = {}
    left, told = list(seeds), 0
    with signals_heard(say) as signal_came:
        try:
            while running or (left and not told):
                while left and len(running) < jobs and not told:
                    seed = left.pop(0)
                    running[seed] = _start([*args, "--seed", str(seed)], folder / f"seed{seed}")
                if signal_came() and not told:
                    told = signal_came()
                    for process in running.values():
                        process.send_signal(told)
                for seed in [seed for seed, process in running.items() if process.poll() is not None]:
                    run, process = folder / f"seed{seed}", running.pop(seed)
                    said = run.with_suffix(".log").read_text(encoding="utf-8", errors="replace").splitlines()
                    status = process.returncode if process.returncode >= 0 else 128 - process.returncode
                    yield Ended(seed, status, _account_in(run.with_suffix(".json")), "".join(said[-1:]))
                time.sleep(0.05)
        finally:
            for process in running.values():
                process.kill()


def _start(args: Sequence[str], run: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "minipg.cli", "train", *args, "--out", str(run), "--json"]
    with run.with_suffix(".json").open("wb") as out, run.with_suffix(".log").open("wb") as log:
        # a session of its own: a terminal's Ctrl-C comes to this process alone, which hands it on once
        return subprocess.Popen(command, stdout=out, stderr=log, start_new_session=True)


def _account_in(path: Path) -> dict[str, Any]:
    """The account that a run printed, among whatever else its environment did; empty where there is none."""
    for line in reversed(path.read_text(encoding="utf-8", errors="replace").splitlines()):
        with contextlib.suppress(ValueError):
            account = json.loads(line)
            if isinstance(account, dict) and {"mean_return", "run", "seed", "steps"} <= account.keys():
                return account
    return {}
