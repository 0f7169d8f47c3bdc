"""What takes long to show. Here a short version of each runs; the long ones are marked: pytest -m slow -s."""

import contextlib
import io
import os
import random
import resource
import shutil
import subprocess
import sys
import time
import zipfile
from hashlib import sha256

import numpy as np
import pytest
from rich.console import Console

import minipg
from minipg import ALGORITHMS, PPO, TRPO
from minipg.algorithms.config import RULES
from minipg.cli import main
from minipg.errors import AgentFileError, MinipgError
from minipg.runs import Checkpoints, Plan, RunFolder, train
from minipg.runs.recorder import Recorder
from minipg.runtime.progress import Progress


def short_and_long(short, long):
    return pytest.mark.parametrize("times", [short, pytest.param(long, marks=pytest.mark.slow)])


# ---- killed processes ----------------------------------------------------------------------------------------------

FLAGS = {
    "trpo": ["--steps", "120000", "--n-steps", "64", "--checkpoint-every", "2048", "--normalize-obs"],
    "ppo": ["--steps", "120000", "--checkpoint-every", "1024", "--eval-every", "20000", "--eval-episodes", "2"],
}
CLOCK = {"seconds", "steps_per_second"}


def result_of(run):
    rows = [{k: v for k, v in row.items() if k not in CLOCK} for row in RunFolder(run).rows()]
    return Checkpoints(run).newest().read_bytes(), Checkpoints(run).best.read_bytes(), rows


@pytest.mark.parametrize("algorithm", FLAGS)
@short_and_long(2, 50)
def test_a_run_that_was_killed_at_any_moments_ends_with_the_bits_of_one_that_was_not(tmp_path, algorithm, times):
    command, chance = [sys.executable, "-m", "minipg.cli", "train"], random.Random(0)
    first = [*command, algorithm, "CartPole-v1", *FLAGS[algorithm], "--threads", "1", "--json", "--out"]
    silent = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    for name in ("compiling", "whole"):  # how long the first one lasts says nothing of the next
        began = time.monotonic()
        subprocess.run([*first, name], check=True, **silent)
    lasted, killed, writing, number = time.monotonic() - began, 0, 0, 0
    while killed < times:
        number += 1
        run = tmp_path / f"run{number}"
        process, ended = subprocess.Popen([*first, run.name], **silent), False
        while not ended:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.5, 0.8) * lasted if killed < times else None)
            process.kill()
            _, said = process.communicate()
            ended = process.returncode == 0
            assert ended or process.returncode == -9, said
            if not ended:
                begun = (run / "config.json").exists()  # before that there is nothing to go on with
                killed += begun
                writing += bool(list(run.glob("checkpoints/.*.npz.*")))
                if not begun:
                    shutil.rmtree(run, ignore_errors=True)
                process = subprocess.Popen([*command, "--resume", run.name] if begun else [*first, run.name], **silent)
        assert result_of(run) == result_of(tmp_path / "whole")
    print(
        f"\n{algorithm}: {killed} kills ({writing} of them amid a write) of {number} runs, all went on to the same bits"
    )


# ---- damaged files -------------------------------------------------------------------------------------------------


def damaged(content, other, chance):
    """A variant of a file: bytes changed, cut, repeated, or taken from another file; its checksum made right or not."""
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


@short_and_long(300, 10_000)
def test_a_damaged_file_is_refused_or_loads_equal(tmp_path, times):
    chance, path, contents = random.Random(1), tmp_path / "agent.npz", []
    settings = {"num_envs": 2, "n_steps": 16, "hidden": (4,), "normalize_obs": True, "threads": 1}
    for agent in (TRPO("CartPole-v1", seed=1, **settings), PPO("CartPole-v1", seed=1, **settings)):
        agent.learn(64).save(path)
        contents.append(path.read_bytes())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    before, loaded, said, began = peak_memory(), 0, [], time.perf_counter()
    for _ in range(times):
        path.write_bytes(damaged(*contents, chance))
        try:
            agent = minipg.load(path, threads=1)
        except MinipgError as error:
            said.append(str(error))
        else:
            loaded += 1
            agent.save(path)
            assert path.read_bytes() == contents[0]
    assert all(str(path) in line and "\n" not in line for line in said)
    assert peak_memory() - before < 100e6
    seconds = time.perf_counter() - began
    print(f"\n{times} files in {seconds:.0f} s: {loaded} loaded equal, the others were refused by name")


def peak_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


HEADERS = [
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }", "{'descr': (", "-" * 9000, "[" * 5000,
    "{'a': 1, 2: 3}", "{[]: 1}", "{'descr': 'O', 'fortran_order': False, 'shape': ()}", "\n  y\n z", "{1: 2L}",
    "{'descr': ('<f8',), 'fortran_order': False, 'shape': ()}",
    "{'descr': '|V0', 'fortran_order': False, 'shape': (9,)}",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 99999999999999999999)}",
]  # fmt: skip


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header[:20])
def test_a_header_that_lies_is_refused_though_the_checksum_is_right_and_nothing_is_allocated_for_it(tmp_path, header):
    path, content = tmp_path / "agent.npz", io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("theta.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
        archive.comment = bytes(64)
    body = content.getvalue()[:-64]
    path.write_bytes(body + sha256(body).hexdigest().encode())
    before = peak_memory()
    with pytest.raises(AgentFileError, match="damaged, or not a minipg agent file") as caught:
        minipg.load(path)
    assert "\n" not in str(caught.value)
    assert peak_memory() - before < 100e6


# ---- nonsense on the command line ----------------------------------------------------------------------------------

NUMBERS = ["0", "1", "-1", "2", "3", "7", "0.5", "0.99", "1.5", "1e-3", "-0.1", "1e9", "inf", "-inf", "nan", "1e400"]
WORDS = ["", " ", "x", "none", "None", "true", "--", "-", "0x10", "½", "a b", "'", "tanh", "relu", "clip", "linear"]
ENVS = ["test/Counting-v0", "test/Matching-v0", "CartPole-v1", "Pendulum-v1", "CartPole", "NoSuch-v0", "", "x:y"]
SMALL = {"num_envs": "2", "n_steps": "8", "hidden": "4", "n_epochs": "1", "vf_epochs": "1", "threads": "1",
         "steps": "20", "vine_states": "4", "vine_length": "3"}  # fmt: skip


MORE = ["steps", "seed", "preset", "backend", "threads", "checkpoint_every", "eval_every", "eval_episodes",
        "target_return", "keep_checkpoints", "nonsense"]  # fmt: skip
NAMES = [name for _, words in RULES.values() if " or " in words for name in words.replace(",", "").split()]


def command_line(chance):
    """A run of a few steps, with some settings replaced by nonsense or by sense."""
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


@short_and_long(60, 10_000)
def test_nonsense_on_the_command_line_is_one_line_and_status_2(tmp_path, monkeypatch, times):
    monkeypatch.chdir(tmp_path)
    chance, counts = random.Random(2), {0: 0, 2: 0}
    for number in range(times):
        args = command_line(chance)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main([*args, "--out", f"run{number}"])
            except SystemExit as stop:
                status = stop.code or 0
        counts[status] += 1
        if status == 2:
            assert len(err.getvalue().splitlines()) == 1, (args, err.getvalue())
        elif (tmp_path / f"run{number}").exists():
            assert np.isfinite(minipg.load(tmp_path / f"run{number}").theta).all(), args
    print(f"\n{times} command lines: {counts[0]} ran, {counts[2]} were refused in one line")


# ---- a long run ----------------------------------------------------------------------------------------------------


def memory():
    """Bytes of this process that are in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="asks Linux for the memory of this process")
@short_and_long(200_000, 10_000_000)
def test_the_memory_of_a_run_does_not_grow(tmp_path, times, monkeypatch):
    sizes, settled = [], min(times // 2, 1_000_000)
    append = Recorder.append
    monkeypatch.setattr(Recorder, "append", lambda table, row: (sizes.append((row["steps"], memory())),
                                                                       append(table, row))[-1])  # fmt: skip
    agent = PPO("CartPole-v1", seed=0, num_envs=8, n_steps=256, n_epochs=1, vf_epochs=1, minibatch_size=512)
    run = RunFolder.create(tmp_path / "run", "name")
    train(agent, run, Progress("title", times, Console(quiet=True)), Plan(steps=times))
    start = next(size for steps, size in sizes if steps >= settled)
    growth = max(size for steps, size in sizes if steps >= settled) - start
    print(f"\n{times:,} steps: {start / 1e6:.0f} MB after {settled:,}, at most {growth / 1e6:+.1f} MB later")
    assert growth < 5e6
    assert [int(row["update"]) for row in run.rows()] == list(range(1, agent.updates + 1))
