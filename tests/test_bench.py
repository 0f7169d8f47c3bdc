"""The bench: its counts of operations, its turns, its table and picture, and that what is absent is said."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path

import numpy as np
import pytest

from minipg.bench import machine, operation_counts, peers, products, rows, stages, startup, training
from minipg.bench.interleaved import Bench, Line, Side, best, line_of, paired, seconds_per_call
from minipg.bench.picture import draw_goals
from minipg.bench.table import table, tally
from minipg.cli import main
from minipg.commands.bench import BenchFlags
from minipg.errors import ConfigError, MinipgError, installing

NETWORK = (4, 64, 64, 2)


def flops(setting):
    return operation_counts.flops_per_step(setting.algorithm, setting.config, NETWORK)


@pytest.mark.parametrize(
    "counted,stated,digit",
    [
        (operation_counts.forward(NETWORK), 9e3, 1e3),
        (operation_counts.forward_backward(NETWORK), 27e3, 1e3),
        (operation_counts.fisher_product(NETWORK), 36e3, 1e3),
        (flops(training.PPO_SMALL), 233e3, 1e3),
        (flops(training.PPO_LARGE), 556e3, 1e3),
        (flops(training.TRPO_LARGE), 870e3, 1e4),
        (2048 * operation_counts.fisher_product((11, 64, 64, 3)), 82e6, 1e6),
        (16384 * operation_counts.fisher_product((17, 256, 256, 6)), 9.4e9, 1e8),
    ],
)
def test_the_operations_counted_are_those_stated_to_the_last_digit(counted, stated, digit):
    assert abs(counted - stated) <= digit / 2


def test_a_pass_costs_what_its_matrix_products_cost():
    sizes, multiplied = (5, 7, 3, 2), []

    def dot(a, b):
        multiplied.append(2 * a.shape[0] * a.shape[1] * b.shape[1])
        return a @ b

    h, layers = [np.ones((1, 5))], [np.ones(shape) for shape in pairwise(sizes)]
    for w in layers:
        h.append(dot(h[-1], w))
    assert sum(multiplied) == operation_counts.forward(sizes)
    g = np.ones((1, 2))
    for x, w in zip(h[-2::-1], layers[::-1], strict=True):
        dot(x.T, g)
        g = dot(g, w.T)  # the last of these, into the first layer's inputs, is counted by custom
    assert sum(multiplied) == operation_counts.forward_backward(sizes)


def test_critic_and_policy_have_the_same_epochs_and_minibatches_as_a_library_with_one_optimiser():
    for setting in (training.PPO_SMALL, training.PPO_LARGE, training.PPO_GYMNASIUM, training.PPO_HOPPER):
        config = setting.config
        assert (config.n_epochs, config.minibatch_size) == (config.vf_epochs, config.vf_minibatch_size)
    small = training.PPO_SMALL.config
    assert small.num_envs * small.n_steps == 4 * small.minibatch_size


def test_the_sides_take_turns():
    order = []
    sides = {Side(name): lambda name=name: order.append(name) or float(len(order)) for name in "ABC"}
    samples = Bench().interleave("work", "s", sides, 3)
    assert "".join(order) == "ABCABCABC"
    assert samples[Side("B")] == [2.0, 5.0, 8.0]
    assert line_of("row", "work", "B", samples[Side("B")], "s")[3:8] == (5.0, "s", None, False, 2.0)


@pytest.mark.parametrize("turns,kept", [(1, False), (5, True)])
def test_after_ctrl_c_the_samples_are_kept_if_every_side_has_had_its_turn(turns, kept):
    calls = count()

    def sample():
        if next(calls) == turns:
            raise KeyboardInterrupt
        return 1.0

    bench = Bench()
    run = lambda: bench.interleave("work", "s", {Side("A"): sample, Side("B"): sample}, 9)
    if kept:
        assert {side.system: len(values) for side, values in run().items()} == {"A": 3, "B": 2}
    else:
        with pytest.raises(KeyboardInterrupt):
            run()
    with pytest.raises(KeyboardInterrupt):  # and no further comparison is begun
        run()


def test_what_slows_a_whole_turn_down_drops_out_of_the_ratios():
    assert paired([10.0, 5.0, 1.0], [2.0, 1.0, 0.2]) == [5.0, 5.0, 5.0]
    assert paired([3.0, 9.0], [6.0], 100) == [50.0]  # the last turn was not finished


def test_a_machine_with_other_work_to_do_is_said():
    quiet, busy = Bench(rates={1: [1e11, 0.9e11]}), Bench(rates={1: [1e11, 0.5e11]})
    assert "other work" not in machine.head_text(machine.head(quiet))
    assert "R on 1 thread went from 50 to 100 GFLOP/s" in machine.head_text(machine.head(busy))


def test_the_fastest_thread_count_speaks_for_a_system():
    samples = {Side("a", 1): [3.0, 1.0, 2.0], Side("a", 2): [2.5, 2.5, 9.0], Side("b", 1): [9.0]}
    assert best(samples, "a") == Side("a", 2)
    assert best(samples, "a", at_most=True) == Side("a", 1)
    assert best(samples, "c") is None


def test_a_call_is_timed_without_its_first():
    calls = []
    seconds = seconds_per_call(lambda: time.sleep(0.1 if len(calls) == 0 else 0.001) or calls.append(0), 0.02)
    assert 0.001 <= seconds < 0.05


LINES = [
    Line("fisher", "a product", "minipg, 2 threads", 0.5, "ms", low=0.4, high=0.6),
    Line("fisher", "a product", "faster than PyTorch", 8.0, "×", 4.0),
    Line("start", "from the shell", "cache warm", 6.0, "s", 3.0, at_most=True),
    Line("peer", "training", "faster than stable-baselines3", None, "×", 30.0, note="it is not installed"),
]


def test_a_goal_is_reached_from_its_own_side():
    assert [line.reached for line in LINES] == [None, True, False, None]
    assert [line.share for line in LINES] == [None, 2.0, 0.5, None]
    assert tally(LINES) == "1 of 2 goals reached, 1 not measured"


def test_the_table_says_figure_goal_and_verdict_and_what_was_not_measured():
    text = table(LINES).splitlines()
    assert len({len(line) for line in text}) == 1
    cells = {line.split("|")[2].strip(): [cell.strip() for cell in line.split("|")[3:-1]] for line in text}
    assert cells["minipg, 2 threads"] == ["0.5 ms", "0.4 – 0.6", "", "", ""]
    assert cells["faster than PyTorch"] == ["8 ×", "", "≥ 4 ×", "yes", ""]
    assert cells["cache warm"] == ["6 s", "", "≤ 3 s", "no", ""]
    assert cells["faster than stable-baselines3"] == ["not measured", "", "≥ 30 ×", "?", "it is not installed"]


def test_the_picture_has_a_bar_for_every_goal_that_was_measured(tmp_path):
    draw_goals(LINES, tmp_path / "goals.svg", "a machine")
    text = (tmp_path / "goals.svg").read_text()
    assert "8 ×  (goal ≥ 4 ×): 2.00 of it" in text
    assert "6 s  (goal ≤ 3 s): 0.50 of it" in text
    assert "stable-baselines3" not in text
    with pytest.raises(ConfigError, match="nothing to draw"):
        draw_goals(LINES[:1], tmp_path / "none.png", "")


def test_a_row_that_cannot_be_measured_is_a_line_that_says_why(monkeypatch):
    def fails(bench):
        raise MinipgError("no such thing here")
        yield

    monkeypatch.setitem(rows.ROWS, "startup", fails)
    lines = []
    assert rows.measure(["startup"], Bench(), lines)
    assert [(line.row, line.figure, line.note) for line in lines] == [("startup", None, "no such thing here")]


def test_of_the_rows_of_new_processes_those_without_a_goal_are_the_ones_that_are_not_drawn(monkeypatch):
    monkeypatch.setattr(startup, "run", lambda arguments, folder: startup.Child(1.0, 1e8))
    without = {
        name for name in ("startup", "solved", "memory")
        if not any(line.goal for line in rows.ROWS[name](Bench(quick=True)))
    }  # fmt: skip
    assert without == rows.WITHOUT_GOAL


def quick_sides(monkeypatch):
    monkeypatch.setattr(machine, "matrix_rate", lambda n: 1e9 * n)
    monkeypatch.setattr(training, "minipg_training", lambda setting, threads, steps, backend="numba": 1000.0 * threads)
    monkeypatch.setattr(training, "stepping", lambda setting, steps: 2000.0)


@pytest.mark.parametrize("setting", [training.PPO_LARGE, training.TRPO_LARGE, training.A2C_SMALL], ids=lambda s: s.name)
def test_an_absent_peer_is_a_line_of_its_own(monkeypatch, setting):
    quick_sides(monkeypatch)
    monkeypatch.setattr(peers, "installed", lambda package: None)
    lines = list(training.training_row(setting, Bench(quick=True)))
    (line,) = [line for line in lines if line.what == f"faster than {setting.peer}"]
    assert (line.figure, line.goal, line.reached) == (None, setting.times, None)
    assert line.note == f"{setting.peer} is not installed: {installing('bench')}"


def test_without_envpool_hopper_is_measured_on_gymnasiums_own_vector_and_that_is_said(monkeypatch):
    quick_sides(monkeypatch)
    monkeypatch.setattr(peers, "installed", lambda package: "1.0" if package == "mujoco" else None)
    lines = list(training.hopper_row(training.PPO_HOPPER, Bench(quick=True)))
    assert lines[0].note == f"envpool is not installed: {installing('envpool')}"
    assert any(line.work.endswith("gymnasium") and line.what == "share of bare stepping" for line in lines)
    monkeypatch.setattr(peers, "installed", lambda package: None)
    (line,) = training.hopper_row(training.PPO_HOPPER, Bench(quick=True))
    assert line.note == f"mujoco is not installed: {installing('mujoco')}"


def test_the_lesser_of_two_goals_is_asked(monkeypatch):
    quick_sides(monkeypatch)
    monkeypatch.setattr(peers, "installed", lambda package: None)
    lines = list(training.training_row(training.PPO_SMALL, Bench(quick=True)))
    (line,) = [line for line in lines if line.unit == "steps/s" and line.goal]
    rate = 1e9 * machine.thread_counts()[-1]
    assert line.goal == pytest.approx(0.45 * rate / flops(training.PPO_SMALL))


def test_peak_memory_is_the_childs_own_and_not_its_parents(tmp_path):
    held = np.ones(60_000_000)  # 480 MB in this process
    small = startup.run(("-I", "-S", "-c", "pass"), tmp_path)
    large = startup.run(("-I", "-S", "-c", "bytearray(200_000_000)"), tmp_path)
    assert held.nbytes > 400e6
    assert small.peak < 100e6 < 200e6 < large.peak < 300e6
    assert small.seconds > 0


def test_a_process_that_fails_is_an_error_with_its_last_line(tmp_path):
    with pytest.raises(MinipgError, match="status 1: ValueError: no"):
        startup.run(("-c", "raise ValueError('no')"), tmp_path)


def example(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent.parent / f"examples/benchmarks/{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its dataclasses look for their types
    spec.loader.exec_module(module)
    return module


def test_the_picture_of_costs_changes_one_thing_at_a_time_from_one_setting(tmp_path):
    cost = example("cost")
    for axis in cost.AXES:
        assert axis.base in axis.values
        for config in cost.BASES.values():
            assert axis.change(config, axis.base) == config
    point = {"median": 20.0, "low": 10.0, "high": 30.0, "flops": 1e5}
    found = {a.name: {name: [{**point, "value": n} for n in a.values] for name in cost.BASES} for a in cost.AXES}
    cost.draw(found, tmp_path / "cost.svg", "title")
    assert "PPO, if linear in the operations" in (tmp_path / "cost.svg").read_text()


@pytest.fixture
def against(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    return example("against")


def test_versions_are_compared_row_by_row_in_turns_with_what_differs_between_them(
    against, monkeypatch, capsys, tmp_path
):
    calls = []

    def sample(packages, row, threads, scale):
        calls.append((packages.parent.name, row, threads, scale))
        old = packages.parent.name == "old"
        settings = {"n_steps": 5, **({} if old else {"extra": 1})}
        return {"rate": 100.0 if old else 150.0, "processor_rate": 50.0 if old else 60.0, "settings": settings}

    monkeypatch.setattr(against, "sample", sample)
    monkeypatch.setattr(against, "matrix_rate", lambda threads: 1e10)
    repository = str(against.REPOSITORY)
    options = against.Options(
        repository, repository, only=("fisher-64", "a2c-8x5"), rounds=2, folder=tmp_path, json=tmp_path / "found.json"
    )
    assert against.main(options) == 0
    assert calls[:6] == [(side, "fisher-64", 2, scale) for scale in (0.01, 1.0, 1.0) for side in ("old", "new")]
    printed = capsys.readouterr().out
    for text in ("1.500 ×", "1.200 ×", "differs: extra: old None, new 1"):
        assert text in printed
    found = json.loads((tmp_path / "found.json").read_text())["results"]
    assert [len(result["rates"][side]) for result in found for side in ("old", "new")] == [2] * 4
    assert len(found[0]["matrix"]) == 4


def test_a_version_is_a_checkout_or_a_revision_and_its_copy_is_what_is_imported(against, tmp_path):
    packages = against.copied(str(against.REPOSITORY), tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    command = (sys.executable, "-c", "import minipg.kernels; print(minipg.kernels.__file__)")
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=tmp_path)
    assert Path(found.stdout.strip()).is_relative_to(packages)
    with pytest.raises(ConfigError, match="no-such-revision: expected a checkout's folder or a git revision"):
        against.copied("no-such-revision", tmp_path)


def test_the_rows_compared_are_those_of_the_bench(against):
    for name, setting in {s.name: s for s in (training.PPO_SMALL, training.PPO_LARGE, training.A2C_SMALL)}.items():
        assert type(setting.config)(**against.ROWS[name].settings) == setting.config


def test_every_stage_of_an_update_has_its_place_and_its_count():
    for setting in stages.SETTINGS.values():
        shape = operation_counts.Shape(NETWORK, (4, 64, 64, 1), 512)
        assert list(operation_counts.STAGES[setting.algorithm](shape, setting.config)) == list(
            stages.FUNCTIONS[setting.algorithm]
        )
        for places in stages.FUNCTIONS[setting.algorithm].values():
            assert all(callable(getattr(owner, name)) for owner, name in places)


def test_the_stages_of_an_update_add_up_to_it_and_leave_the_functions_as_they_were(monkeypatch):
    monkeypatch.setattr(stages, "matrix_rate", lambda n: 1e11)
    monkeypatch.setattr(stages, "bandwidth", lambda: 1e10)
    before = {(owner, name): vars(owner).get(name) for p in stages.FUNCTIONS["trpo"].values() for owner, name in p}
    found = {stage.stage: stage for stage in stages.stage_rows(training.TRPO_LARGE, Bench(quick=True))}
    assert before == {(owner, name): vars(owner).get(name) for owner, name in before}
    whole = found.pop("all")
    assert all(stage.measured >= 0 for stage in found.values())
    assert sum(stage.measured for stage in found.values()) == pytest.approx(whole.measured, rel=0.5)
    assert (
        10 < found["Fisher products"].flops / (2048 * operation_counts.fisher_product(NETWORK)) <= 15
    )  # some updates need fewer
    assert "Fisher products" in stages.stage_table([*found.values(), whole])


def test_help_names_every_row(capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    said = capsys.readouterr().out
    assert all(name in said for name in rows.ROWS)
    assert BenchFlags().only == ()


@pytest.mark.parametrize(
    "args,says",
    [
        (["--only", "fisher"], "unknown row 'fisher'; did you mean fisher-64"),
        (["--only", "ppo-4x128", "trpo"], "unknown row 'trpo'; did you mean trpo-8x256"),
        (["--onyl", "memory"], "unknown flag '--onyl'"),
        (["--only"], "only: expected names of rows"),
        (["memory"], "see minipg bench --help"),
        (["--stages", "-o", "a.png"], "stages: expected neither"),
        (["--quick", "-o", "a.txt"], "output: expected a file that ends in"),
        (["--quick", "-o", "nowhere/a.png"], "output: expected a file in a folder that exists"),
        (["--only", "startup", "-o", "a.png"], "output: expected a row with a goal to draw, got 'startup'"),
    ],
)
def test_bad_input_is_one_line_and_status_2(args, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *args]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert says in err


def test_the_cheapest_row_is_measured_told_as_json_and_drawn(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "installed", lambda package: None)
    monkeypatch.setattr(machine, "_SIZE", 256)
    machine._factor.cache_clear()
    path = tmp_path / "bench.png"
    try:
        assert main(["bench", "--quick", "--only", "fisher-64", "--json", "-o", str(path)]) == 0
    finally:
        machine._factor.cache_clear()
    out, err = capsys.readouterr()
    found = json.loads(out.splitlines()[-1])
    assert found["complete"]
    assert found["machine"]["flops_per_second"]["1"] > 1e8
    by_name = {line["what"]: line for line in found["rows"]}
    assert by_name["minipg, 1 thread"]["figure"] > 0
    assert by_name["faster than PyTorch, retained graph"] == {
        **by_name["faster than PyTorch, retained graph"], "figure": None, "goal": 4, "reached": None,
        "note": f"torch is not installed: {installing('bench')}",
    }  # fmt: skip
    assert "matrix product, 1 thread (1 of 3)" in err
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_prints_what_was_measured_so_far():
    command = [sys.executable, "-m", "minipg.cli", "bench", "--only", "fisher-64", "fisher-256", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "[1/2]" in line and "(2 of 9)" in line:  # every side has had a turn
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    found = json.loads(out.splitlines()[-1])
    assert not found["complete"]
    assert {line["row"] for line in found["rows"]} == {"fisher-64"}


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups of POSIX")
def test_ctrl_c_ends_the_process_that_is_measured_too(tmp_path, monkeypatch):
    beats = tmp_path / "beats"

    def interrupted(process):
        while not beats.exists() or beats.stat().st_size < 3:
            time.sleep(0.01)
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    code = "import time\nwhile True: open('beats', 'a').write('.'); time.sleep(0.02)"
    with pytest.raises(KeyboardInterrupt):
        startup.run(("-I", "-S", "-c", code), tmp_path)
    time.sleep(0.1)
    ended = beats.stat().st_size
    time.sleep(0.3)
    assert beats.stat().st_size == ended


def test_every_peer_that_is_installed_finds_the_same_product():
    sides = products.sides_of(64, (3, 8, 2))  # which raises where they do not
    assert {"minipg", "minipg, NumPy twin"} <= {side.system for side in sides}
    assert (products.KEPT in {side.system for side in sides}) == (not peers.missing("torch"))


@pytest.mark.parametrize("setting", [training.PPO_LARGE, training.TRPO_LARGE, training.A2C_SMALL], ids=lambda s: s.name)
def test_the_peers_train_at_the_same_settings(setting):
    pytest.importorskip("sb3_contrib")
    config = replace(setting.config, num_envs=2, n_steps=16, **({"vf_epochs": 1} if setting.algorithm != "a2c" else {}))
    assert peers.sb3_training(setting.algorithm, setting.env, config, 1, 32) > 0


def test_the_sides_of_a_product_agree_or_nothing_is_measured():
    products._agree([np.ones(3), np.ones(3) + 1e-5])
    with pytest.raises(MinipgError, match="disagree"):
        products._agree([np.ones(3), np.ones(3) + 1e-2])
