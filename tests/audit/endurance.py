"""What takes long to show: kills, damaged files, random command lines, flipped bits, and memory over millions of steps.

    python tests/audit/endurance.py [kills] [files] [commands] [cache] [memory] [--scale SHARE]

Without names, all five. Each prints one line of what it found; a promise that is broken is an AssertionError. `--scale
0.1` does a tenth of the work. tests/test_endurance.py runs a short form of each.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from minipg.kernels.cpu import _cache
from rich.console import Console

import minipg
from minipg import ALGORITHMS, PPO, TRPO
from minipg.checks import choices_of
from minipg.cli import main as minipg_main
from minipg.errors import MinipgError
from minipg.runs import Checkpoints, Plan, RunFolder, train
from minipg.runs.recorder import Recorder
from minipg.runtime.progress import Progress

# ---- killed processes ----------------------------------------------------------------------------------------------

# algorithm: environment, steps, kills, flags
RUNS: dict[str, tuple[str, int, int, list[str]]] = {
    "trpo": ("CartPole-v1", 120_000, 50, ["--n-steps", "64", "--checkpoint-every", "2048", "--normalize-obs"]),
    "ppo": ("CartPole-v1", 120_000, 50, ["--checkpoint-every", "1024", "--eval-every", "20000",
                                         "--eval-episodes", "2"]),
    # many writes, so that some kills come during one (chunks of 50 transitions), and some long after a checkpoint
    "td3": ("Pendulum-v1", 6000, 30, ["--checkpoint-every", "1000", "--buffer-size", "100", "--hidden", "32", "32",
                                      "--batch-size", "32", "--learning-starts", "500"]),
}  # fmt: skip
CLOCK = {"seconds", "steps_per_second"}


def kill_and_resume(folder: Path, algorithm: str, kills: int, steps: int | None = None, seed: int = 0) -> str:
    """Kill training at random moments and resume it: it ends with the bits of a run without kills.

    One run is killed again and again until it ends; then the next begins, until there were so many kills.
    """
    command, chance = [sys.executable, "-m", "minipg.cli", "train"], random.Random(seed)
    env, planned, _, flags = RUNS[algorithm]
    begin = [*command, algorithm, env, *flags, "--threads", "1", "--json"]
    silent: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    subprocess.run([*begin, "--steps", "512", "--out", "compiling"], check=True, **silent)
    begin += ["--steps", str(steps or planned), "--out"]
    began = time.monotonic()
    subprocess.run([*begin, "whole"], check=True, **silent)
    duration, killed, while_writing, runs = time.monotonic() - began, 0, 0, 0
    while killed < kills:
        runs += 1
        run = folder / f"run{runs}"
        before, began, ended = killed, time.monotonic(), False
        process = subprocess.Popen([*begin, run.name], **silent)
        while not ended:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.2, 0.8) * duration if killed < kills else None)
            process.kill()
            _, stderr = process.communicate()
            ended = process.returncode == 0
            assert ended or process.returncode == -9, stderr
            if not ended:
                begun = (run / "config.json").exists()  # before that there is nothing to resume
                killed += begun
                while_writing += any(list(run.glob(f"{part}/.*.npz.*")) for part in ("checkpoints", "replay"))
                if not begun:
                    shutil.rmtree(run, ignore_errors=True)
                process = subprocess.Popen([*command, "--resume", run.name] if begun else [*begin, run.name], **silent)
        assert _result(run) == _result(folder / "whole")
        if killed == before:  # it ended before the first kill: the machine has become faster
            duration = time.monotonic() - began
    return f"{algorithm}: {killed} kills ({while_writing} during a write) of {runs} runs: all ended with the same bits"


def _result(run: Path) -> tuple[bytes, bytes, list[dict[str, Any]]]:
    """The last and the best checkpoint, and the metrics without the clock's."""
    rows = [{k: v for k, v in row.items() if k not in CLOCK} for row in RunFolder(run).rows()]
    best = Checkpoints(run).best  # there is none before a hundred episodes
    return Checkpoints(run).newest().read_bytes(), best.read_bytes() if best.exists() else b"", rows


# ---- damaged files -------------------------------------------------------------------------------------------------


def damaged(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """A file with bytes changed, cut, repeated, shuffled, or taken from another; its checksum is renewed or not."""
    kind, data = chance.choice(["bytes", "cut", "splice", "repeat", "shuffle"]), bytearray(content)
    a, b = sorted(chance.randrange(len(content)) for _ in range(2))
    if kind == "bytes":
        for _ in range(chance.choice([1, 1, 2, 8, 64])):
            data[chance.randrange(len(data))] = chance.randrange(256)
    elif kind == "cut":
        del data[a : b if chance.random() < 0.5 else len(data)]
    elif kind == "splice":
        data[a:b] = other[a:b]
    elif kind == "repeat":
        data[a:a] = data[a:b]
    else:
        data[a:b] = bytes(chance.sample(data[a:b], b - a))
    if chance.random() < 0.5:
        data[-64:] = sha256(data[:-64]).hexdigest().encode()
    return bytes(data)


def load_damaged(folder: Path, count: int, seed: int = 1) -> str:
    """Load damaged agent files: each is refused in one line that names it, or loads equal to the undamaged one."""
    chance, path, contents = random.Random(seed), folder / "agent.npz", []
    settings: dict[str, Any] = {"num_envs": 2, "n_steps": 16, "hidden": (4,), "normalize_obs": True, "threads": 1}
    for agent in (TRPO("CartPole-v1", seed=1, **settings), PPO("CartPole-v1", seed=1, **settings)):
        agent.learn(64).save(path)
        contents.append(path.read_bytes())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    before, loaded, messages, began = peak_memory(), 0, [], time.perf_counter()
    for _ in range(count):
        path.write_bytes(damaged(contents[0], contents[1], chance))
        try:
            agent = minipg.load(path, threads=1)
        except MinipgError as error:
            messages.append(str(error))
        else:
            loaded += 1
            agent.save(path)
            assert path.read_bytes() == contents[0]
    assert all(str(path) in line and "\n" not in line for line in messages)
    assert peak_memory() - before < 100e6
    seconds = time.perf_counter() - began
    return f"{count:,} damaged files in {seconds:.0f} s: {loaded} loaded equal, {len(messages):,} were refused by name"


def peak_memory() -> float:
    """The most bytes that this process has had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# ---- random command lines ------------------------------------------------------------------------------------------

NUMBERS = ["0", "1", "-1", "2", "3", "7", "0.5", "0.99", "1.5", "1e-3", "-0.1", "1e9", "inf", "-inf", "nan", "1e400"]
WORDS = ["", " ", "x", "none", "None", "true", "--", "-", "0x10", "½", "a b", "'", "tanh", "relu", "clip", "linear"]
ENVS = ["test/Counting-v0", "test/Matching-v0", "CartPole-v1", "Pendulum-v1", "CartPole", "NoSuch-v0", "", "x:y"]
SMALL = {"num_envs": "2", "n_steps": "8", "hidden": "4", "n_epochs": "1", "vf_epochs": "1", "threads": "1",
         "steps": "20", "vine_states": "4", "vine_length": "3"}  # fmt: skip
MORE = ["steps", "seed", "preset", "backend", "threads", "checkpoint_every", "eval_every", "eval_episodes",
        "target_return", "keep_checkpoints", "nonsense"]  # fmt: skip
NAMES = sorted({name for one in ALGORITHMS.values() for field in fields(one.Config) for name in choices_of(field)})


def command_line(chance: random.Random) -> list[str]:
    """A run of a few steps, with up to three settings replaced by random words and numbers."""
    algorithm = chance.choice([*ALGORITHMS, *ALGORITHMS, "ppo2"])
    known = ALGORITHMS.get(algorithm, PPO).Config.__dataclass_fields__
    flags = {name: value for name, value in SMALL.items() if name in known or name in MORE}
    for name in chance.sample([*known, *MORE], chance.choice([0, 1, 1, 2, 3])):
        huge = ["99999999999999999999"] if name in ("seed", "threads", "max_kl", "gamma") else []
        flags[name] = chance.choice([chance.choice([*NUMBERS, *huge]), chance.choice(WORDS), chance.choice(NAMES)])
    args = ["train", algorithm, chance.choice(ENVS)]
    for name, value in flags.items():
        args += [f"--{name.replace('_', '-')}", value] if chance.random() < 0.9 else [f"--{name}={value}"]
    if chance.random() < 0.1:
        args.insert(chance.randrange(len(args)), chance.choice([*WORDS, "--json", "--help", "--out"]))
    return [*args, "--json"]


def run_random_commands(folder: Path, count: int, seed: int = 2) -> str:
    """Run random command lines: status 0 and finite parameters, or status 2 and one line on standard error.

    test/Counting-v0 and test/Matching-v0 have to be registered (tests/environments.py).
    """
    chance, counts = random.Random(seed), {0: 0, 2: 0}
    os.chdir(folder)  # a random --out is a folder here
    for number in range(count):
        args, run = command_line(chance), folder / f"run{number}"
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = minipg_main([*args, "--out", run.name])
            except SystemExit as stop:
                status = int(stop.code or 0)
        counts[status] += 1
        if status == 2:
            assert len(err.getvalue().splitlines()) == 1, (args, err.getvalue())
        elif run.exists():
            assert np.isfinite(minipg.load(run).theta).all(), args
    return f"{count:,} command lines: {counts[0]:,} ran, {counts[2]:,} were refused in one line"


# ---- flipped bits in compiled code -----------------------------------------------------------------------------------


def flip_cached_bits(folder: Path, count: int, seed: int = 3) -> str:
    """Flip one bit of the kernels' cache before a run: the run ends with the right bits, and mends the cache."""
    chance, cache = random.Random(seed), folder / "cache"
    kept = cache / _cache.folder().name
    shutil.copytree(_cache.folder(), kept) if _cache.folder().exists() else kept.mkdir(parents=True)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    train = [
        sys.executable,
        "-m",
        "minipg",
        "train",
        "trpo",
        "CartPole-v1",
        "--steps",
        "512",
        "--n-steps",
        "64",
        "--out",
    ]

    def result(name: str) -> bytes:
        done = subprocess.run([*train, name], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (done.returncode, done.stderr)
        return Checkpoints(folder / name).newest().read_bytes()

    began = time.time()
    right = result("first")  # compiles what is missing
    used = [path for path in kept.rglob("*.nb[ci]") if path.stat().st_atime >= began or path.stat().st_mtime >= began]
    files, recompiled = sorted(used or kept.rglob("*.nb[ci]")), 0
    for number in range(count):
        path = chance.choice(files)
        content, place = bytearray(path.read_bytes()), chance.randrange(path.stat().st_size)
        content[place] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        assert result(f"run{number}") == right, path
        shutil.rmtree(folder / f"run{number}")
        recompiled += path.read_bytes() != content
    return f"{count} flipped bits in {len(files)} files: all runs had the right bits, {recompiled} files were mended"


# ---- memory --------------------------------------------------------------------------------------------------------


def train_long(folder: Path, steps: int) -> str:
    """Train PPO on CartPole: memory grows by less than 5 MB after the first 10⁶ steps, and every update has its row."""
    sizes: list[tuple[float, int]] = []
    settled, append = min(steps // 2, 1_000_000), Recorder.append

    def append_and_measure(recorder: Recorder, row: dict[str, Any]) -> Any:
        sizes.append((row["steps"], memory()))
        return append(recorder, row)

    agent = PPO("CartPole-v1", seed=0, num_envs=8, n_steps=256, n_epochs=1, vf_epochs=1, minibatch_size=512)
    run = RunFolder.create(folder / "run", "name")
    Recorder.append = append_and_measure  # type: ignore[method-assign]
    try:
        train(agent, run, Progress("title", steps, Console(quiet=True)), Plan(steps=steps))
    finally:
        Recorder.append = append  # type: ignore[method-assign]
    start = next(size for at, size in sizes if at >= settled)
    growth = max(size for at, size in sizes if at >= settled) - start
    assert growth < 5e6, growth
    assert [int(row["update"]) for row in run.rows()] == list(range(1, agent.updates + 1))
    return f"{steps:,} steps: {start / 1e6:.0f} MB after {settled:,}, at most {growth / 1e6:+.1f} MB later"


def memory() -> int:
    """The bytes of this process that are in memory (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# ---- the command line ----------------------------------------------------------------------------------------------

MEASUREMENTS: dict[str, list[tuple[Callable[..., str], Any]]] = {
    "kills": [(lambda folder, count, name=name: kill_and_resume(folder, name, count), RUNS[name][2]) for name in RUNS],
    "files": [(load_damaged, 10_000)],
    "commands": [(run_random_commands, 10_000)],
    "cache": [(flip_cached_bits, 200)],
    "memory": [(train_long, 10_000_000)],
}


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(MEASUREMENTS)}; all by default")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the work (default 1)")
    options = parser.parse_args()
    if unknown := set(options.names) - set(MEASUREMENTS):
        parser.error(f"there is no {min(unknown)}; there are {', '.join(MEASUREMENTS)}")
    warnings.simplefilter("ignore")  # of Gymnasium, about the versions of environments
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import environments  # noqa: F401  (registers the environments that command lines name)

    for name in options.names or MEASUREMENTS:
        for measure, count in MEASUREMENTS[name]:
            with tempfile.TemporaryDirectory(prefix=f"minipg-{name}-") as folder:
                print(measure(Path(folder), max(1, round(options.scale * count))), flush=True)


if __name__ == "__main__":
    main()
