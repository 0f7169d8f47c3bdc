"""Watching a run tells what its folder tells, and costs little however long the run is."""

import io
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time

import pytest
from folders import curve, refused, write_run
from rich.console import Console

from minipg.cli import main
from minipg.runs import RunFolder
from minipg.runs import watch as watching
from minipg.runs.watch import Watcher, sparkline, watch


def append(run, text):
    with (run / "metrics.csv").open("a", newline="") as file:
        file.write(text)


def line(update, steps, mean):
    return f"{update},{steps},{mean},{mean},1,200,0.01,ok\r\n"


def test_without_a_terminal_the_state_is_printed_once(tmp_path, capsys):
    run = write_run(tmp_path / "run", curve([100, 200], [1, 2.5]), seed=7)
    assert main(["watch", str(run)]) == 0
    text = capsys.readouterr().out
    for part in (
        "trpo on CartPole-v1, seed 7",
        "200/400 steps 50%",
        "2.5",
        "0.0100",
        "200 steps/s",
        "ok, update 2",
        "▁█",
    ):
        assert part in text


@pytest.mark.parametrize("rows", [[], [{"steps": 100, "mean_return": "nan"}]])
def test_a_run_that_has_hardly_begun_is_shown_without_nan(tmp_path, capsys, rows):
    run = write_run(tmp_path / "run", rows)
    assert main(["watch", str(run)]) == 0
    text = capsys.readouterr().out
    assert "no update has been made yet" in text or "no episode ended yet" in text
    assert "return  nan" not in text


def test_what_is_no_run_is_refused(tmp_path, capsys):
    refused(capsys, tmp_path, "watch", tmp_path / "nowhere", says="no such folder")
    refused(capsys, tmp_path, "watch", tmp_path, says="holds no run")
    refused(capsys, tmp_path, "watch", says="usage")
    refused(capsys, tmp_path, "watch", "a", "b", says="usage")
    refused(capsys, tmp_path, "watch", "--now", says="usage")
    run = write_run(tmp_path / "run", [])
    (run / "config.json").write_text("{")
    refused(capsys, tmp_path, "watch", run, says="config.json")


def test_a_torn_last_line_is_read_when_it_is_whole(tmp_path):
    run = write_run(tmp_path / "run", curve([100], [1]))
    watcher = Watcher(RunFolder(run))
    whole = line(2, 200, 5)
    append(run, whole[:9])
    watcher.look()
    assert watcher.steps == 100
    append(run, whole[9:])
    watcher.look()
    assert (watcher.steps, watcher.row["mean_return"]) == (200, "5")
    assert watcher.history == [(100, 1), (200, 5)]


def test_a_table_that_became_shorter_is_read_again_and_a_longer_run_is_noticed(tmp_path):
    run = write_run(tmp_path / "run", curve([100, 200, 300], [1, 2, 3]))
    watcher = Watcher(RunFolder(run))
    rows = (run / "metrics.csv").read_text().splitlines(keepends=True)
    (run / "metrics.csv").write_text("".join(rows[:2]))
    (run / "config.json").write_text(json.dumps({"steps": 900}))
    watcher.look()
    assert (watcher.steps, watcher.total, watcher.done) == (100, 900, False)


def test_a_look_reads_what_is_new_and_the_first_one_no_more_of_a_long_table_than_of_a_short_one(tmp_path, monkeypatch):
    from minipg.runs import metrics

    read = []

    class Counted(io.FileIO):
        def readinto(self, buffer):
            count = super().readinto(buffer)
            read.append(count)
            return count

    monkeypatch.setattr(metrics, "_opened", lambda path: io.BufferedReader(Counted(path)))
    cost = {}
    for count in (20_000, 200_000):
        run = write_run(tmp_path / str(count), curve(range(1, count + 1), range(count)), steps=10**7)
        read.clear()
        watcher = Watcher(RunFolder(run))
        cost[count] = sum(read)
        assert watcher.steps == count
        assert watcher.history[0][0] == 1
        spaced = [steps for steps, _ in watcher.history]
        assert len(spaced) > 100
        assert spaced == sorted(spaced)
        read.clear()
        append(run, line(count + 1, count + 1, 5))
        watcher.look()
        assert watcher.steps == count + 1
        assert sum(read) < 100
    assert cost[200_000] < 2e6 < (run / "metrics.csv").stat().st_size / 3


def test_what_is_remembered_does_not_grow_with_the_run(tmp_path):
    run = write_run(tmp_path / "run", curve([1], [1]))
    watcher = Watcher(RunFolder(run))
    for start in range(0, 50_000, 1000):
        append(run, "".join(line(k, k, k) for k in range(start + 2, start + 1002)))
        watcher.look()
    assert len(watcher.history) < 5000
    assert watcher.history[0] == (1, 1)
    assert sparkline(watcher.history).startswith("▁▁")


def test_a_sparkline_goes_from_the_lowest_to_the_highest_over_equal_stretches_of_steps():
    assert sparkline([(k, k) for k in range(8)]) == "▁▂▃▄▅▆▇█"
    assert sparkline([(0, 5.0)]) == "▁"
    assert sparkline([(0, 3.0), (100, 3.0)]) == "▁▁"
    assert sparkline([(0, 0.0), (1, 0.0), (1000, 1.0)]) == "▁█"  # the first two are one stretch


def test_watching_ends_when_the_steps_are_reached(tmp_path, monkeypatch):
    run = write_run(tmp_path / "run", curve([100], [1]), steps=300)
    monkeypatch.setattr(watching, "_EVERY", 0.01)
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    thread = threading.Thread(target=watch, args=(RunFolder(run), console))
    thread.start()
    append(run, line(2, 200, 2))
    time.sleep(0.2)
    assert thread.is_alive()
    append(run, line(3, 304, 3))
    thread.join(10)
    assert not thread.is_alive()
    assert "304/300 steps 100%" in console.file.getvalue()


def test_ctrl_c_ends_it_with_status_0(tmp_path):
    run = write_run(tmp_path / "run", curve([100], [1]))
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "minipg.cli", "watch", str(run)], stdout=end, stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    seen = b""
    while b"100/400 steps" not in seen:
        seen += os.read(terminal, 4096)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, b"")
    os.close(terminal)
    os.close(end)
