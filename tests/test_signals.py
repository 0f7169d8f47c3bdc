"""Ctrl-C and SIGTERM end any command at any time in one line, and leave no file half-written."""

import ctypes
import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from environments import Counting
from folders import curve, tree, write_run
from rich.console import Console

import minipg
from minipg import TRPO
from minipg.cli import main
from minipg.runtime import signals

SMALL = ["--num-envs", "1", "--n-steps", "16", "--hidden", "4", "--vf-epochs", "1", "--threads", "1"]
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Deaf(Counting):
    """In its 21st step waits in C for what never comes, and does not hear of signals."""

    steps = 0

    def step(self, act):
        self.steps += 1
        if self.steps == 21:
            mutex = ctypes.create_string_buffer(64)
            for _ in range(2):
                ctypes.CDLL(None).pthread_mutex_lock(mutex)
        return super().step(act)


class Ending(Counting):
    """Sends its process a signal in its first step, and draws itself."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012
    number = None

    def __init__(self, render_mode=None):
        super().__init__()

    def step(self, act):
        if Ending.number is not None:
            signal.raise_signal(Ending.number)
        return super().step(act)

    def render(self):
        return np.zeros((8, 8, 3), np.uint8)


gym.register("test/Deaf-v0", Deaf)
gym.register("test/Ending-v0", Ending)


def start(*args, path, cwd):
    """The command in a process of its own, which finds modules in `path` first."""
    command = [sys.executable, "-m", "minipg.cli", *args]
    return subprocess.Popen(
        command, cwd=cwd, env={**os.environ, "PYTHONPATH": str(path)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "module", ["numpy", "gymnasium", "scipy", "tyro", "rich", "numba", "minipg_environment", "matplotlib"]
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_a_command_imports_is_one_line_and_its_own_status(tmp_path, module, number):
    (tmp_path / f"{module}.py").write_text(f"import signal, time\nsignal.raise_signal({int(number)})\ntime.sleep(60)\n")
    write_run(tmp_path / "run", curve([100, 200], [1, 2]))
    plot, trained = ["plot", "run"], ["train", "trpo", "CartPole-v1", *SMALL, "--steps", "16", "--out", "new"]
    trained[2] = "minipg_environment:X-v0" if module == "minipg_environment" else trained[2]
    commands = {"matplotlib": plot, "tyro": ["train", "trpo", "--help"]}
    process = start(*commands.get(module, trained), path=tmp_path, cwd=tmp_path)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (128 + number, "minipg: interrupted\n")


@pytest.mark.skipif(not Path("/usr/bin/nohup").exists(), reason="needs nohup")
def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    code = "import sys, signal; sys.argv = ['minipg']; import minipg; print(signal.getsignal(signal.SIGHUP).name)"
    done = subprocess.run(
        ["nohup", sys.executable, "-c", code], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.stdout == "SIG_IGN\n"


def test_a_program_that_imports_minipg_keeps_its_own_ctrl_c(tmp_path):
    code = "import sys; before = sys.excepthook; import minipg; assert sys.excepthook is before"
    subprocess.run([sys.executable, "-c", code, "minipg"], check=True, cwd=tmp_path)


@pytest.mark.parametrize("number", STATUS)
def test_a_signal_that_meets_an_exec_of_source_has_its_own_status_too(tmp_path, number):
    source = f"import os; os.kill(os.getpid(), {int(number)})"
    (tmp_path / "meeting.py").write_text(f"exec({source!r})\n")
    process = start("train", "ppo", "meeting:Any-v0", "--steps", "1", path=tmp_path, cwd=tmp_path)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (STATUS[number], "minipg: interrupted\n")


@pytest.mark.parametrize("number", STATUS)
@pytest.mark.parametrize("render", [[], ["--render", "film.gif"], ["--render", "film.mp4"]], ids=["", "gif", "mp4"])
def test_a_signal_in_an_evaluation_is_one_line_and_leaves_no_file(tmp_path, monkeypatch, capsys, number, render):
    if "film.mp4" in render:
        pytest.importorskip("imageio_ffmpeg")
    monkeypatch.chdir(tmp_path)
    TRPO("test/Ending-v0", num_envs=1, hidden=(4,), threads=1).save("agent.npz")
    monkeypatch.setattr(Ending, "number", number)
    before, handlers = tree(tmp_path), [signal.getsignal(number) for number in STATUS]
    assert main(["evaluate", "agent.npz", *render]) == STATUS[number]
    assert capsys.readouterr().err == "minipg: interrupted\n"
    assert tree(tmp_path) == before
    assert [signal.getsignal(number) for number in STATUS] == handlers


@pytest.mark.parametrize("number", STATUS)
def test_a_signal_while_a_picture_is_drawn_is_one_line_and_leaves_no_file(tmp_path, monkeypatch, capsys, number):
    from matplotlib.figure import Figure

    def half(figure, file, **_):
        file.write(b"half")
        signal.raise_signal(number)

    monkeypatch.setattr(Figure, "savefig", half)
    write_run(tmp_path / "run", curve([100, 200], [1, 2]))
    before = tree(tmp_path)
    assert main(["plot", str(tmp_path / "run")]) == STATUS[number]
    assert capsys.readouterr().err == "minipg: interrupted\n"
    assert tree(tmp_path) == before


@pytest.mark.parametrize("number,status", [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_ctrl_c_is_how_one_stops_watching(tmp_path, monkeypatch, number, status):
    write_run(tmp_path / "run", curve([100], [1]))
    monkeypatch.setattr("rich.console.Console", lambda: Console(force_terminal=True, file=io.StringIO()))
    monkeypatch.setattr("minipg.runs.watch.time.sleep", lambda _: signal.raise_signal(number))
    assert main(["watch", str(tmp_path / "run")]) == status


@pytest.mark.skipif(sys.platform != "linux", reason="hangs as Linux's threads do")
def test_a_second_ctrl_c_ends_what_does_not_return_from_c_and_says_how_to_go_on(tmp_path):
    env, flags = "test_signals:test/Deaf-v0", ["--checkpoint-every", "16", "--out", "run"]
    process = start("train", "trpo", env, *SMALL, *flags, path=Path(__file__).parent, cwd=tmp_path)
    patience = time.monotonic() + 60
    while not (tmp_path / "run" / "checkpoints" / f"{16:012d}.npz").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < patience
        time.sleep(0.05)
    time.sleep(1)  # four steps later it is deaf
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == f"minipg: ended by force; minipg train --resume run --env {env} continues from the last checkpoint\n"
    assert minipg.load(tmp_path / "run", env="test/Deaf-v0").steps == 16


def test_a_thread_that_handles_a_repeated_signal_counts_as_responsive():
    found, before = [], signals._handled
    with signals.signals_deferred(lambda line: None) as came:
        # as after two signals that came together, of which Python tells as one
        thread = threading.Thread(target=lambda: found.append(signals._unresponsive(signal.SIGINT, before + 1)))
        thread.start()
        while thread.is_alive():
            time.sleep(0.01)
        assert came() == signal.SIGINT
    assert found == [False]
    assert signals._handled == before + 1
