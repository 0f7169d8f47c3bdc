"""The scale of the table of objectives, and what it says; the runs that it asks for."""

import argparse
import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parent.parent / "examples/benchmarks"
LOW = {"a": 10.0, "b": -100.0}
RESULTS = {
    "clip-0.2": {"a": np.array([110.0, 10]), "b": np.array([-50.0, -50])},
    "unclipped": {"a": np.array([60.0, 60]), "b": np.array([-100.0, 0])},
}


@pytest.fixture
def objectives(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(FOLDER)
    spec = spec_from_file_location("objectives", FOLDER / "objectives.py")
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "objectives", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RUNS", tmp_path / "runs.jsonl")
    monkeypatch.setattr(module, "PICTURE", tmp_path / "objectives.svg")
    return module


def options(objectives, **changed):
    every = {"settings": [*objectives.SETTINGS], "envs": [*objectives.ENVS], "seeds": objectives.SEEDS, "steps": 1000}
    return argparse.Namespace(**every | changed)


def test_the_best_run_and_the_best_setting_are_two_readings_of_one_word(objectives):
    assert objectives.best_run(RESULTS) == {"a": 110, "b": 0}
    assert objectives.best_setting(RESULTS) == {"a": 60, "b": -50}


@pytest.mark.parametrize("reading", ["best_run", "best_setting"])
def test_random_is_0_and_the_best_is_1(objectives, reading):
    best = getattr(objectives, reading)
    high = best(RESULTS)
    scaled = objectives.normalized({**RESULTS, "random": {env: np.array([LOW[env]]) for env in LOW}}, LOW, high)
    assert objectives.mean(scaled["random"]) == 0
    del scaled["random"]
    assert best(scaled) == pytest.approx({"a": 1, "b": 1})


def test_the_table_has_both_readings_computed_by_hand_beside_the_papers_figure(objectives, monkeypatch):
    monkeypatch.setattr(objectives, "ENVS", ("a", "b"))
    lines = objectives.table(RESULTS, LOW).splitlines()
    # clip: 1, 0 in a and 0.5, 0.5 in b of the best run; 2, 0 and 1, 1 of the best setting
    assert lines[2] == "| clip-0.2 | 0.82 | 0.50 (0.25 to 0.75) | 1.00 (0.50 to 1.50) | 4 |"
    assert lines[3].startswith("| unclipped | -0.39 | 0.50 (")
    assert "| random | 10.0 | -100.0 |" in lines
    assert lines[-2] == "| clip-0.2 | 60.0 ± 50.0 | -50.0 ± 0.0 |"
    objectives.picture(RESULTS, LOW)
    assert "unclipped" in objectives.PICTURE.read_text()


def test_there_are_231_runs_of_eleven_objectives_that_differ_in_the_objective_only_and_begin_with_one_seed(objectives):
    runs = list(objectives.wanted(options(objectives)))
    assert len(set(runs)) == 231
    assert {run.seed for run in runs[:77]} == {0}
    configs = [json.loads(run.config) for run in runs]
    differing = {name for name in configs[0] if len({str(config[name]) for config in configs}) > 1}
    assert differing == {"objective", "clip_range", "kl_coef", "target_kl"}
    assert len({run.config for run in runs}) == 11
    assert [score for _, score in objectives.SETTINGS.values()] == [
        -0.39, 0.76, 0.82, 0.70, 0.68, 0.74, 0.71, 0.62, 0.71, 0.72, 0.69]  # fmt: skip


def test_a_run_is_on_file_by_its_settings_and_an_incomplete_last_line_is_no_run(objectives):
    first, second, *_ = objectives.wanted(options(objectives))
    rows = [json.dumps({**run._asdict(), "score": 5.0, "seconds": 1.0, "curve": []}) for run in (first, second)]
    objectives.RUNS.write_text(rows[0] + "\n" + rows[1][:-20])
    assert set(objectives.on_file()) == {first}
    found = objectives.scored(options(objectives))
    assert {name: {env: list(runs) for env, runs in scores.items()} for name, scores in found.items()} == {
        first.setting: {first.env: [5.0]}
    }
    assert objectives.scored(options(objectives, steps=2000)) == {}
