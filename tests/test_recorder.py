"""Rows of metrics are written in batches, and the clock leaves out what is not learning."""

import time

import numba
import numpy as np
import pytest
from rich.console import Console

from minipg.errors import RunFolderError
from minipg.runs import recorder
from minipg.runs.metrics import MetricsReader
from minipg.runs.recorder import Recorder
from minipg.runtime.compiling import _CompilerTime, working_time
from minipg.runtime.progress import Progress

ROW = {"update": 1, "steps": 16, "mean_return": 1.5, "mean_length": float("nan"), "seconds": 0.25, "status": "a, b"}


def rows(path):
    return list(MetricsReader(path).read())


def test_rows_are_in_the_file_after_half_a_second_or_a_sync_or_the_end(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(recorder.time, "perf_counter", lambda: now[0])
    path = tmp_path / "metrics.csv"
    with Recorder(path) as metrics:
        metrics.append(ROW)
        now[0] = 0.4
        metrics.append(ROW)
        assert rows(path) == []
        now[0] = 0.5
        metrics.append(ROW)
        assert len(rows(path)) == 3
        metrics.append(ROW)
        assert len(rows(path)) == 3
        metrics.sync()
        assert len(rows(path)) == 4
        metrics.append(ROW)
    assert len(rows(path)) == 5


def test_what_is_read_back_is_what_was_written_and_nan_is_written_as_tables_know_it(tmp_path):
    row = {**ROW, "kl": np.float64(1 / 3), "share": np.float32(0.1), "episodes": np.int64(3)}
    with Recorder(tmp_path / "metrics.csv") as metrics:
        metrics.append(row)
    (read,) = rows(tmp_path / "metrics.csv")
    assert float(read["kl"]) == 1 / 3
    assert np.float32(read["share"]) == np.float32(0.1)
    assert (read["mean_length"], read["status"], read["episodes"]) == ("NaN", "a, b", "3")


def test_a_row_of_other_columns_is_refused(tmp_path):
    with Recorder(tmp_path / "metrics.csv") as metrics:
        metrics.append(ROW)
        with pytest.raises(RunFolderError, match="has columns"):
            metrics.append({**ROW, "more": 1})


@pytest.mark.parametrize("other", [{"steps_0": 5, "steps_1": 7}, {"steps_0": 5, "steps_1": 7, "steps_2": 9}, {}])
def test_a_run_that_goes_on_with_other_columns_has_both_in_its_table(other, tmp_path):
    path, first = tmp_path / "metrics.csv", {**ROW, "steps_0": 1, "steps_1": 2}
    with Recorder(path) as metrics:
        metrics.append(first)
    with Recorder(path, updates=1) as metrics:
        metrics.append({**ROW, "update": 2, **other})
        metrics.append({**ROW, "update": 3, **other})
    before, *after = rows(path)
    assert [before[name] for name in first] == [str(x).replace("nan", "NaN") for x in first.values()]
    assert {before[name] for name in other.keys() - first.keys()} <= {"NaN"}
    assert [row["update"] for row in after] == ["2", "3"]
    for row in after:
        assert row["status"] == "a, b"
        assert [row["steps_0"], row["steps_1"]] == [str(other.get(name, "NaN")) for name in ("steps_0", "steps_1")]


def test_an_appended_row_costs_a_few_microseconds(tmp_path):
    row = {f"column{k}": 0.1234567890123 * k for k in range(18)}
    with Recorder(tmp_path / "metrics.csv") as metrics:
        costs = []
        for _ in range(20):
            start = time.process_time()
            for _ in range(500):
                metrics.append(row)
            metrics.flush()
            costs.append((time.process_time() - start) / 500)
    assert min(costs) < 50e-6


def test_the_time_of_the_compiler_is_not_working_time():
    @numba.njit
    def slow_to_compile(x):
        return np.sort(np.linalg.inv(np.outer(x, x) + np.eye(len(x)))).sum()

    clock, work = time.perf_counter(), working_time()
    slow_to_compile(np.ones(3))
    clock, work = time.perf_counter() - clock, working_time() - work
    assert 0 <= work < 0.5 * clock
    work = working_time()
    time.sleep(0.05)
    assert working_time() - work >= 0.05


def test_time_in_which_several_threads_compile_counts_once_and_an_interrupted_compilation_ends(monkeypatch):
    now, thread = [0.0], [1]
    module = __import__("minipg.runtime.compiling", fromlist=["time"])
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(module.threading, "get_ident", lambda: thread[0])
    compiler = _CompilerTime()
    for at, who, call in (
        (1, 1, "start"),
        (2, 1, "start"),
        (3, 2, "start"),
        (5, 1, "end"),
        (6, 1, "end"),
        (9, 2, "end"),
    ):
        now[0], thread[0] = float(at), who
        getattr(compiler, call)()
    assert compiler.seconds() == 8.0
    now[0] = 20.0
    compiler.start()  # and an interrupt, so that there is no end
    now[0] = 21.0
    assert compiler.seconds() == 9.0
    now[0] = 30.0
    assert compiler.seconds() == 9.0


@pytest.mark.parametrize("terminal,every", [(True, 0.25), (False, 2.0)])
def test_progress_is_printed_now_and_then_and_for_the_last_row(terminal, every, monkeypatch):
    now, printed = [0.0], []
    monkeypatch.setattr("minipg.runtime.progress.time.perf_counter", lambda: now[0])
    display = Progress("title", 100, Console(force_terminal=terminal, quiet=True))
    print_row = display._print
    monkeypatch.setattr(display, "_print", lambda row: (printed.append(row["steps"]), print_row(row)))
    with display:
        for step in range(1, 101):
            now[0] = step * every / 10
            display.update({"steps": step, "steps_per_second": 5.0, "mean_return": float("nan")})
        assert printed == list(range(10, 101, 10))
        display.update({"steps": 101, "steps_per_second": 5.0, "mean_return": 0.0})
    assert printed[-1] == 101
