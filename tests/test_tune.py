"""`minipg tune`: what is searched, what comes of a trial, resumption, and presets in files."""

import dataclasses
import json
import math
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minipg import PPO, TD3, TRPO
from minipg.algorithms import ALGORITHMS
from minipg.algorithms.config import SEARCH, AdvantageConfig, LogRange
from minipg.algorithms.preset_file import read_preset, write_preset
from minipg.algorithms.presets import PRESETS, preset_for
from minipg.cli import main
from minipg.commands.parsing import flags_of
from minipg.errors import ConfigError, EnvironmentFault
from minipg.runs.evaluate import evaluate
from minipg.runs.search import PARTS, Search, best_of, ended, open_study
from minipg.runs.search_picture import draw_search
from minipg.runs.trials import Task, Trials
from minipg.runtime.engine import ThreadEngine

SMALL = ["CartPole-v1", "--num-envs", "1", "--hidden", "4", "--steps", "200", "--seeds-per-trial", "1"]
SMALL += ["--eval-episodes", "1"]


# ---- what is searched ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_value_that_is_searched_is_one_that_the_config_takes(name):
    base = ALGORITHMS[name].Config()
    space = base.search_space()
    assert len(space) >= 5
    for setting, values in space.items():
        middle = (math.sqrt(values.low * values.high),) if isinstance(values, LogRange) else ()
        for value in (*values, *middle):
            assert getattr(dataclasses.replace(base, **{setting: value}), setting) == value


def test_every_name_of_the_search_is_a_setting_of_some_algorithm():
    assert SEARCH.keys() <= {field.name for one in ALGORITHMS.values() for field in dataclasses.fields(one.Config)}


def test_what_is_fixed_has_no_effect_or_follows_another_setting_is_not_searched():
    space = PPO.Config().search_space()
    assert {"learning_rate", "vf_learning_rate", "n_epochs", "minibatch_size", "clip_range"} <= space.keys()
    assert not {"vf_epochs", "vf_minibatch_size"} & space.keys()
    assert space.keys() - PPO.Config().search_space(["gamma"]).keys() == {"gamma"}
    assert "vf_epochs" in PPO.Config().search_space(["n_epochs"])
    assert "clip_range" not in PPO.Config(objective="kl").search_space()
    assert {"max_kl", "damping"} <= TRPO.Config().search_space().keys()
    assert "learning_rate" not in TRPO.Config().search_space()
    assert "tau" in TD3.Config().search_space()


def test_of_a_config_of_ones_own_only_values_that_it_takes_are_searched():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Own(AdvantageConfig):
        schedule: str = "cosine"
        learning_rate: int = 3
        ent_coef: float = 0.0

        def __post_init__(self):
            super().__post_init__()
            if self.schedule == "linear" or self.ent_coef > 1e-2:
                raise ConfigError("no")

    space = Own().search_space()
    assert "schedule" not in space
    assert "learning_rate" not in space
    assert space["ent_coef"] == (0.0, 1e-4, 1e-3, 1e-2)


# ---- trials --------------------------------------------------------------------------------------------------------


class Scripted:
    """A worker whose evaluations are those of a function of the trial, the seeds and the steps."""

    def __init__(self, value):
        self.value = value

    def advance(self, trial, settings, seeds, until):
        return self.value(trial, seeds[0], until)


def search(folder, value, trials, new=True):
    """The study after a search of PPO's settings whose trials have these values, and the lines it printed."""
    base, lines = PPO.Config(), []
    task = Task("ppo", "CartPole-v1", base, steps=1000, seed=0, agents=2, episodes=1)
    study = open_study(folder, "scripted", 0, new)
    engine = ThreadEngine(lambda worker: Scripted(value), 1)
    Search(study, task, base.search_space(), lines.append).run(engine, trials, math.inf)
    engine.close()
    return study, lines


def constant(number):
    """Values that are the same for every trial."""
    return lambda trial, seed, until: (number, until)


def test_the_score_is_the_mean_of_the_last_two_evaluations_of_several_rounds_and_the_preset_comes_first(tmp_path):
    asked = []

    def value(trial, seed, until):
        asked.append((trial, seed, until))
        return until / 1000 + 5 * trial + seed, until

    study, lines = search(tmp_path, value, 2)
    first = [(0, 0, until) for until in (200, 400, 600, 800, 1000)]
    assert asked[: PARTS + 4] == [*first, (0, 2, 800), (0, 2, 1000), (0, 4, 800), (0, 4, 1000)]
    assert study.trials[0].params == {}
    assert study.trials[1].params
    assert [trial.value for trial in study.trials] == pytest.approx([2.9, 7.9])
    assert lines == [
        "trial 0 (the preset): score 2.9   (best 2.9, trial 0)",
        "trial 1: score 7.9   (best 7.9, trial 1)",
    ]


def test_a_trial_that_was_lucky_in_its_first_round_is_not_the_best(tmp_path):
    study, _ = search(tmp_path, lambda trial, seed, until: (10.0 * trial - 9 * seed * trial, until), 2)
    assert [trial.value for trial in study.trials] == pytest.approx([0, (10 - 8 - 26) / 3])
    assert best_of(study).number == 0


def test_of_equal_scores_the_one_that_was_higher_before_is_the_best(tmp_path):
    study, _ = search(tmp_path, lambda trial, seed, until: (1.0 if until > 600 else trial % 3, until), 4)
    assert best_of(study).number == 2


def test_a_rollout_longer_than_a_part_counts_where_it_ends(tmp_path):
    study, _ = search(tmp_path, lambda trial, seed, until: (until, -(-until // 700) * 700), 1)
    assert study.trials[0].intermediate_values == {3: 200, 5: 800}
    assert study.trials[0].value == 800


def test_a_trial_below_the_median_is_stopped_but_never_the_preset(tmp_path):
    def value(trial, seed, until):
        return (-1.0 if trial in (0, 7) else float(trial)), until

    study, lines = search(tmp_path, value, 8)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 7 + ["PRUNED"]
    assert lines[7] == "trial 7: return -1.0, stopped at 200 steps   (best 6.0, trial 6)"
    assert best_of(study).number == 6


def test_a_trial_that_fails_is_recorded_with_its_line_and_the_search_goes_on(tmp_path):
    def value(trial, seed, until):
        if trial == 1:
            raise ValueError("no\nsuch thing")
        return (math.nan if trial == 2 else 1.0), until

    study, lines = search(tmp_path, value, 4)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "FAIL", "COMPLETE"]
    assert study.trials[1].user_attrs["why"] == "raised ValueError: no such thing"
    assert lines[1] == "trial 1: failed: raised ValueError: no such thing   (best 1.0, trial 0)"
    assert lines[2] == "trial 2: failed: has a mean return of nan   (best 1.0, trial 0)"
    assert len(ended(study)) == 4
    draw_search(study, PPO.Config().search_space(), "scripted", tmp_path / "tune.png")
    assert (tmp_path / "tune.png").stat().st_size > 10_000


def test_if_nothing_but_failing_trials_comes_the_search_ends(tmp_path):
    with pytest.raises(EnvironmentFault, match="all of the first 10 trials failed; the last one raised KeyError: 3"):
        search(tmp_path, lambda trial, seed, until: {}[3], 100)


def test_a_trial_that_was_running_is_begun_again(tmp_path):
    study, _ = search(tmp_path, constant(1.0), 2)
    left = study.ask()
    rate = left.suggest_float("learning_rate", 1e-5, 3e-2, log=True)
    study, _ = search(tmp_path, constant(2.0), 4, new=False)
    assert study.trials[2].state.name == "FAIL"
    assert study.trials[3].params["learning_rate"] == rate
    assert len(study.trials[3].params) == len(PPO.Config().search_space())
    assert [trial.number for trial in ended(study)] == [0, 1, 3, 4]


def test_a_search_that_goes_on_does_not_draw_the_first_settings_again(tmp_path):
    for trials in (2, 3, 4):
        study, _ = search(tmp_path, constant(1.0), trials, new=trials == 2)
    assert len({trial.params["learning_rate"] for trial in study.trials[1:]}) == 3


def test_a_trial_trains_the_agent_of_one_call_of_learn_to_the_bit():
    base = PPO.Config(num_envs=2, n_steps=16, hidden=(8,), schedule="linear")
    task = Task("ppo", "CartPole-v1", base, steps=500, seed=3, agents=1, episodes=2)
    trials, settings = Trials(task), {"n_epochs": 2, "learning_rate": 1e-2}
    for until in (100, 200, 300, 400, 500):
        value, steps = trials.advance(0, settings, [3], until)
    agent = PPO("CartPole-v1", seed=3, config=task.config(settings), threads=1).learn(500)
    assert agent.config.vf_epochs == 2
    assert trials._agents[0].theta.tobytes() == agent.theta.tobytes()
    assert (value, steps) == (evaluate(agent, 2, seed=500)["mean_return"], agent.steps)


# ---- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A folder with a small search of A2C's settings, and what the command printed."""
    folder, arguments = tmp_path_factory.mktemp("found"), [*SMALL, "--gamma", "0.9", "--no-normalize-obs"]
    command = ["-m", "minipg", "tune", "a2c", *arguments, "--trials", "4", "--jobs", "2", "--out", "search"]
    ran = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    return folder / "search", ran.stdout.splitlines()


def saved(folder):
    return json.loads((folder / "best.json").read_text())


def test_a_search_prints_its_trials_and_the_best_settings_as_a_command(found):
    folder, lines = found
    assert "searched: learning_rate, vf_learning_rate, schedule, n_steps, gae_lambda, ent_coef" in lines[0]
    assert lines[0].endswith("ent_coef")  # the flags' own settings are not searched
    assert len([line for line in lines if line.startswith("trial ")]) == 4
    assert lines[-1] == saved(folder)["command"]
    assert lines[-1].startswith("minipg train a2c CartPole-v1 --num-envs 1 --hidden 4 --steps 200 --gamma 0.9")
    assert {"tune.json", "preset.json", "best.json", "tune.png", "study.db"} <= {path.name for path in folder.iterdir()}


def test_the_preset_file_and_the_printed_flags_are_the_same_settings(found, tmp_path, monkeypatch):
    folder, lines = found
    monkeypatch.chdir(tmp_path)
    assert main([*shlex.split(lines[-1])[1:], "--out", "flags"]) == 0
    file = str(folder / "best.json")
    assert main(["train", "a2c", "CartPole-v1", "--steps", "200", "--preset", file, "--out", "file"]) == 0
    by_flags, by_file = (json.loads(Path(run, "config.json").read_text())["config"] for run in ("flags", "file"))
    assert by_flags == by_file
    assert by_file["gamma"] == 0.9


def test_a_search_goes_on_in_the_same_study(found, capsys):
    folder, _ = found
    before = open_study(folder, "a2c on CartPole-v1", 0, new=False).trials
    assert main(["tune", "--resume", str(folder), "--trials", "5", "--jobs", "1", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    after = open_study(folder, "a2c on CartPole-v1", 0, new=False).trials
    assert [trial.params for trial in after[:4]] == [trial.params for trial in before]
    assert (len(after), summary["trials"]) == (5, 5)
    assert summary["score"] == max(trial.value for trial in after if trial.state.name == "COMPLETE")
    assert (summary["command"], summary["score"]) == (saved(folder)["command"], saved(folder)["score"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_search_that_was_stopped_goes_on(tmp_path, number, capsys):
    folder = tmp_path / "search"
    command = ["-m", "minipg", "tune", "ppo", *SMALL, "--steps", "3000", "--jobs", "1", "--out", str(folder)]
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while not process.stdout.readline().startswith("trial 1"):
        assert process.poll() is None
    time.sleep(0.1)
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == (143 if number == signal.SIGTERM else -9)
    if number == signal.SIGTERM:
        assert err == f"minipg: interrupted; minipg tune --resume {folder} continues\n"
        assert saved(folder)["settings"]
    count = len(ended(open_study(folder, "ppo on CartPole-v1", 0, new=False)))
    assert count >= 2
    assert main(["tune", "--resume", str(folder), "--trials", str(count + 1)]) == 0
    study = open_study(folder, "ppo on CartPole-v1", 0, new=False)
    assert not [trial for trial in study.trials if trial.state.name == "RUNNING"]
    assert len(ended(study)) == count + 1
    capsys.readouterr()


def refused(capsys, *args):
    """The one line that a command prints which ends with status 2."""
    capsys.readouterr()
    assert main(list(args)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    return err


def test_what_cannot_be_searched_is_one_line_and_leaves_no_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for args, says in {
        ("NoSuch-v0",): "NoSuch",
        ("CartPole-v1", "--trials", "0"): "trials: expected an integer ≥ 1, got 0",
        ("CartPole-v1", "--minutes", "nan"): "minutes: expected",
        ("CartPole-v1", "--jobs", "none"): "jobs: expected",
        ("CartPole-v1", "--learning-rat", "1"): "did you mean --learning-rate",
        ("CartPole-v1", "--preset", "none.json"): "none.json: cannot be read (No such file or directory)",
        ("CartPole-v1", "--backend", "none"): "none",
    }.items():
        assert says in refused(capsys, "tune", "ppo", *args)
    fixed = flags_of({name: value for name, value in vars(PPO.Config()).items() if name in SEARCH})
    assert "expected one that is searched" in refused(capsys, "tune", "ppo", "CartPole-v1", *fixed)
    assert not list(tmp_path.iterdir())


def test_without_optuna_the_extra_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert "pip install 'minipg-rl[tune]'" in refused(capsys, "tune", "ppo", "CartPole-v1")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_or_is_of_another_study_is_refused(found, tmp_path, monkeypatch, capsys):
    folder, _ = found
    monkeypatch.chdir(tmp_path)
    assert "exists already" in refused(capsys, "tune", "ppo", *SMALL, "--out", str(folder))
    assert "holds no search of settings" in refused(capsys, "tune", "--resume", str(tmp_path))
    plan = json.loads((folder / "tune.json").read_text())
    (tmp_path / "preset.json").write_bytes((folder / "preset.json").read_bytes())
    (tmp_path / "tune.json").write_text(json.dumps({**plan, "env": "Acrobot-v1"}))
    (tmp_path / "study.db").write_bytes((folder / "study.db").read_bytes())
    assert "study.db: holds no study of a2c on Acrobot-v1" in refused(capsys, "tune", "--resume", ".")
    other = tmp_path / "other"  # no connection has been to its database
    other.mkdir()
    for name, content in (("tune.json", json.dumps(plan).encode()), ("study.db", b"nonsense" * 1000),
                          ("preset.json", (folder / "preset.json").read_bytes())):  # fmt: skip
        (other / name).write_bytes(content)
    assert "study.db: cannot be used" in refused(capsys, "tune", "--resume", "other")
    (tmp_path / "tune.json").write_text(json.dumps({**plan, "algorithm": "own:Sign"}))
    assert "if you trust its modules, --imports own" in refused(capsys, "tune", "--resume", ".")
    for flags in (["--imports=evil"], ["--imports", "json", "--imports", "evil"], ["--wrapper=evil:W"]):
        (tmp_path / "tune.json").write_text(json.dumps({**plan, "flags": [*plan["flags"], *flags]}))
        assert "if you trust its modules, --imports" in refused(capsys, "tune", "--resume", ".", "--imports", "json")
    for damaged in ("[]", "{", json.dumps({**plan, "flags": ["--steps", "x"]}), json.dumps({**plan, "flags": 3})):
        (tmp_path / "tune.json").write_text(damaged)
        assert "tune.json: damaged" in refused(capsys, "tune", "--resume", ".")


# ---- presets in files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_preset_file_gives_back_every_setting(name, tmp_path):
    algorithm, path = ALGORITHMS[name], tmp_path / "preset.json"
    for preset in PRESETS[name]:
        config = algorithm.Config(**preset_for(algorithm, "", preset) | {"hidden": (3, 5)})
        write_preset(path, algorithm, config)
        assert algorithm.Config(**preset_for(algorithm, "", str(path))) == config


def test_an_agent_takes_a_preset_file_with_an_infinite_setting(tmp_path):
    write_preset(tmp_path / "own.json", PPO, PPO.Config(max_grad_norm=math.inf, n_steps=8))
    agent = PPO("CartPole-v1", preset=str(tmp_path / "own.json"), backend="numpy")
    assert (agent.config.max_grad_norm, agent.config.n_steps) == (math.inf, 8)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "cannot be read"), ("[]", "expected an object with the settings"), ("{}", "expected an object with"),
        ('{"settings": {"lerning_rate": 1}}', "unknown setting 'lerning_rate'; did you mean"),
        ('{"settings": {"learning_rate": -1}}', "learning_rate: expected a finite number > 0, got -1"),
        ('{"settings": {"learning_rate": "1"}}', "learning_rate: expected float, got '1'"),
        ('{"settings": {"learning_rate": null}}', "learning_rate: expected a finite number > 0, got inf"),
        ('{"settings": {"n_steps": 1e999}}', "n_steps: expected int, got inf"),
        ('{"settings": {"hidden": [0]}}', "hidden: expected layer widths ≥ 1"),
        ('{"settings": {"schedule": "__import__(1)"}}', "schedule: expected constant or linear"),
        ('{"algorithm": "trpo", "settings": {}}', "expected a preset of ppo, got one of 'trpo'"),
        ("[" * 100_000, "cannot be read"), (b"\xff", "cannot be read"), (b"\x00" * (2 << 20), "bytes are more than"),
    ],
)  # fmt: skip
def test_a_damaged_preset_file_is_one_line(content, why, tmp_path, capsys):
    path = tmp_path / "preset.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    err = refused(capsys, "train", "ppo", "CartPole-v1", "--preset", str(path), "--out", str(tmp_path / "run"))
    assert f"{path}: " in err
    assert why in err
    with pytest.raises(ConfigError):
        read_preset(path, PPO)
