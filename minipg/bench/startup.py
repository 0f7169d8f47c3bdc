"""Time and memory of new processes: until the first update, and until CartPole is solved."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from minipg.bench.interleaved import Bench, Line, Side, line_of
from minipg.errors import MinipgError

SOLVED = 475
# PPO's first run finds kernels in the cache that TRPO's has compiled, so it is not reported
_RUNS = (("trpo", "first run ever"), ("trpo", "cache warm"), ("ppo", ""), ("ppo", "cache warm"))
FIRST_UPDATE = ("-c", "from minipg import TRPO; TRPO('CartPole-v1').learn(1, progress=False)")
# `ru_maxrss` of a child is never below the memory of its parent when it started: so its parent is this small script
_LAUNCHER = """
import json, subprocess, sys, time
start = time.perf_counter()
status = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
seconds = time.perf_counter() - start
try:
    import resource
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
except ImportError:
    peak = None
out, errors = (text.decode(errors="replace") for text in (status.stdout, status.stderr))
print(json.dumps({"status": status.returncode, "seconds": seconds, "peak": peak, "out": out, "errors": errors}))
"""


class Child(NamedTuple):
    """Seconds from the start of a process to its end, its peak memory in bytes (None: unknown), and what it printed."""

    seconds: float
    peak: float | None
    out: str = ""


def run(arguments: tuple[str, ...], folder: Path) -> Child:
    """Run Python with these arguments in `folder`, with a Numba cache of its own. Raises MinipgError if it fails."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache")}
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, sys.executable, *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(launcher, cwd=folder, env=environment, start_new_session=True, **pipes)
    try:
        out, err = process.communicate()
    except BaseException:  # Ctrl-C ends launcher and child
        os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
        process.communicate()
        raise
    result: dict[str, Any] = json.loads(out) if out else {"status": process.returncode, "errors": err}
    if result["status"]:
        line = result["errors"].strip().splitlines()[-1:] or ["it printed nothing"]
        raise MinipgError(f"python {' '.join(arguments[:4])} failed with status {result['status']}: {line[0]}")
    return Child(result["seconds"], result["peak"], result["out"])


def train(algorithm: str, *flags: str) -> tuple[str, ...]:
    """The arguments of `minipg train ALGORITHM CartPole-v1`, into a new folder below runs/."""
    return ("-m", "minipg", "train", algorithm, "CartPole-v1", *flags)


def startup_row(bench: Bench) -> Iterator[Line]:
    """From the shell to the end of the first update, without a goal: with an empty cache, and with a full one."""
    commands = {"python: TRPO('CartPole-v1').learn(1)": FIRST_UPDATE,
                "minipg train trpo CartPole-v1 --steps 1024": train("trpo", "--steps", "1024")}  # fmt: skip
    with _folders(len(commands)) as folders:
        pairs = zip(commands.items(), folders, strict=True)
        sides = {Side(name): partial(_seconds, arguments, folder) for (name, arguments), folder in pairs}
        for state, rounds in (("first run ever", 1), ("cache warm", 3 if bench.quick else 7)):
            for side, values in bench.interleave(f"shell to first update, {state}", "s", sides, rounds).items():
                yield line_of("startup", "shell to the end of the first update", f"{side}, {state}", values, "s")


def solved_row(bench: Bench) -> Iterator[Line]:
    """From the shell to CartPole solved, with PPO's preset: a mean return of 475 over 100 episodes."""
    what = f"shell to CartPole-v1 solved (≥ {SOLVED} over 100 episodes), PPO"
    flags = "--steps", "1000000", "--target-return", str(SOLVED), "--seed"
    seconds = lambda folder, seed: _seconds(train("ppo", *flags, str(seed)), folder)
    with _folders(1) as (folder,):
        cold = bench.interleave(f"{what}, first run ever", "s", {Side("minipg"): lambda: seconds(folder, 0)}, 1)
        yield line_of("solved", what, "first run ever", cold[Side("minipg")], "s", 20, at_most=True)
        seeds = iter(range(9))  # a new seed each time: some need fewer steps than others
        sides = {Side("minipg"): lambda: seconds(folder, next(seeds))}
        warm = bench.interleave(f"{what}, cache warm", "s", sides, 3 if bench.quick else 9)
        yield line_of("solved", what, "cache warm", warm[Side("minipg")], "s", 2, at_most=True)


def memory_row(bench: Bench) -> Iterator[Line]:
    """Peak memory of processes that train on CartPole."""
    steps = "20000" if bench.quick else "200000"
    with _folders(1) as (folder,):
        for algorithm, state in _RUNS:
            work, what = "peak memory", f"minipg train {algorithm} CartPole-v1 --steps {steps}, {state or 'compiling'}"
            bench.say(f"{work}: {what} …")
            peak = run(train(algorithm, "--steps", steps), folder).peak
            if peak is None:
                yield Line("memory", work, what, None, "MB", 300, True, note="this system has no figure")
                return
            if state:
                yield Line("memory", work, what, peak / 1e6, "MB", 300 if state == "cache warm" else None, at_most=True)


def _seconds(arguments: tuple[str, ...], folder: Path) -> float:
    return run(arguments, folder).seconds


@contextlib.contextmanager
def _folders(count: int) -> Iterator[list[Path]]:
    with tempfile.TemporaryDirectory(prefix="minipg-bench-", ignore_cleanup_errors=True) as parent:
        folders = [Path(parent) / str(n) for n in range(count)]
        for folder in folders:
            folder.mkdir()
        yield folders
