"""The command line: what a good run leaves, and that bad input costs one line and nothing else."""

import contextlib
import csv
import dataclasses
import gc
import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from environments import SCRIPT, reward

import minipg
from minipg import TRPO, cli
from minipg.cli import main
from minipg.commands.parsing import values_of, without
from minipg.errors import EnvironmentFault
from minipg.field_docs import field_docs
from minipg.runs import Checkpoints, Plan, RunFolder, train
from minipg.runtime.files import write_json
from minipg.runtime.progress import Progress
from minipg.runtime.storage import load_arrays, save_arrays

SMALL = ["--num-envs", "1", "--n-steps", "16", "--hidden", "4", "--vf-epochs", "1", "--threads", "1"]


class Result(NamedTuple):
    """How a command ended, and the lines it wrote."""

    status: int
    out: list[str]
    err: list[str]


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Runs one command in an empty folder. What a terminal would show of warnings counts as standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*args):
        capsys.readouterr()
        with warnings.catch_warnings(record=True) as caught:
            for quiet in (DeprecationWarning, PendingDeprecationWarning, ResourceWarning):
                warnings.simplefilter("ignore", quiet)
            warnings.filterwarnings("always", ".*WARN")  # Gymnasium's own, deprecations included
            try:
                status = main([str(arg) for arg in args])
            except SystemExit as stop:
                status = stop.code or 0
        out, err = capsys.readouterr()
        return Result(status, out.splitlines(), [*err.splitlines(), *(str(warning.message) for warning in caught)])

    return run


def small(env, *args, out="run"):
    return ["train", "trpo", env, *SMALL, "--steps", "64", "--out", out, *args]


def tree():
    """Every file below the working folder with its content, every folder with None."""
    return {path: path.read_bytes() if path.is_file() else None for path in Path().rglob("*")}


FILES = [".lock", "checkpoints", "config.json", "curve.png", "metrics.csv"]


def newest(run):
    return Checkpoints(Path(run)).newest()


def refused(run, *args, says=""):
    """One line on standard error, status 2, and the folder as it was."""
    before = tree()
    result = run(*args)
    assert result.status == 2, result
    assert len(result.err) == 1, result
    assert says in result.err[0]
    assert tree() == before
    return result.err[0]


def strictly(line):
    """A JSON object of numbers that every reader of JSON knows: NaN and infinity are not among them."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON: {line}")

    return json.loads(line, parse_constant=refuse)


# ---- a good run ----------------------------------------------------------------------------------------------------


def test_a_run_leaves_its_config_a_row_an_update_the_agent_and_a_curve(run):
    result = run(*small("test/Counting-v0", "--seed", "3"))
    assert result.status == 0
    assert result.err == []
    assert sorted(os.listdir("run")) == FILES
    assert Path("run/curve.png").read_bytes().startswith(b"\x89PNG\r\n")

    config = json.loads(Path("run/config.json").read_text())
    assert (config["algorithm"], config["env"], config["seed"], config["steps"]) == ("trpo", "test/Counting-v0", 3, 64)
    assert (config["config"]["n_steps"], config["config"]["hidden"]) == (16, [4])
    assert {"python", "numpy", "numba", "gymnasium"} <= set(config["versions"])

    with open("run/metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["update"]) for row in rows] == [1, 2, 3, 4]
    assert [int(row["steps"]) for row in rows] == [16, 32, 48, 64]

    agent = minipg.load("run")
    assert (agent.steps, agent.updates, agent.seed) == (64, 4, 3)
    again = TRPO("test/Counting-v0", seed=3, num_envs=1, n_steps=16, hidden=(4,), vf_epochs=1).learn(64)
    np.testing.assert_array_equal(agent.theta, again.theta)


def test_whole_rollouts_are_made(run):
    assert run(*small("test/Counting-v0", "--steps", "17")).status == 0
    assert minipg.load("run").steps == 32


TRAIN_KEYS = ["algorithm", "env", "seed", "steps", "seconds", "steps_per_second",
              "mean_return", "mean_length", "updates", "run"]  # fmt: skip


def test_the_last_line_of_train_json_is_one_object_of_the_documented_keys(run):
    result = run(*small("test/Counting-v0", "--json"))
    assert result.status == 0
    summary = strictly(result.out[-1])
    assert list(summary) == TRAIN_KEYS
    assert (summary["algorithm"], summary["env"], summary["seed"]) == ("trpo", "test/Counting-v0", 0)
    assert (summary["steps"], summary["updates"], summary["run"]) == (64, 4, "run")
    assert summary["seconds"] > 0
    assert summary["steps_per_second"] == pytest.approx(64 / summary["seconds"], rel=0.2)
    # 64 steps are four rounds of the script's 16
    assert summary["mean_length"] == pytest.approx(16 / 6)


def test_json_of_a_run_in_which_no_episode_ended_is_still_json(run):
    result = run(*small("test/Endless-v0", "--json"))
    assert result.status == 0
    summary = strictly(result.out[-1])
    assert list(summary) == TRAIN_KEYS
    assert summary["mean_return"] is None
    assert summary["mean_length"] is None


def test_a_run_in_which_no_episode_ended_says_so_without_nan(run):
    result = run(*small("test/Endless-v0"))
    assert result.status == 0
    assert result.err == []
    assert not any("nan" in line.lower() for line in result.out)
    assert Path("run/curve.png").exists()


@pytest.fixture
def trained(run):
    """The folder of a run."""
    assert run(*small("test/Counting-v0")).status == 0
    return "run"


def test_the_last_line_of_evaluate_json_is_one_object_of_the_documented_keys(run, trained):
    result = run("evaluate", trained, "--episodes", 3, "--json")
    assert result.status == 0
    assert result.err == []
    summary = strictly(result.out[-1])
    assert list(summary) == ["env", "episodes", "seed", "mean_return", "std_return", "min_return", "max_return"]
    assert (summary["env"], summary["episodes"]) == ("test/Counting-v0", 3)
    assert summary["min_return"] <= summary["mean_return"] <= summary["max_return"]


def test_evaluation_is_the_mean_over_whole_episodes_each_environment_playing_its_share(run, trained, monkeypatch):
    monkeypatch.setattr(TRPO, "predict", lambda agent, obs, deterministic: (np.ones(len(obs), int), None))
    # 20 episodes on 8 environments: each plays its first two, four of them a third
    returns = [sum(reward(0, k, t, 1) for t in range(SCRIPT[k].length)) for k in [0] * 8 + [1] * 8 + [2] * 4]
    summary = strictly(run("evaluate", trained, "--json").out[-1])
    assert summary["episodes"] == 20
    assert summary["mean_return"] == pytest.approx(np.mean(returns))
    assert summary["std_return"] == pytest.approx(np.std(returns))
    assert (summary["min_return"], summary["max_return"]) == (min(returns), max(returns))


def test_short_episodes_are_not_evaluated_more_often_than_long_ones(run, trained, monkeypatch):
    monkeypatch.setattr(TRPO, "predict", lambda agent, obs, deterministic: (np.ones(len(obs), int), None))
    arrays, meta = load_arrays(newest(trained))
    save_arrays(newest(trained), arrays, {**meta, "env": "test/Uneven-v0"})
    returns = [sum(reward(0, k, t, 1) for t in range(length)) for k in range(2) for length in (1, 10)]
    summary = strictly(run("evaluate", trained, "--episodes", 16, "--json").out[-1])
    assert summary["mean_return"] == pytest.approx(np.mean(returns))


def test_evaluation_takes_a_file_too_and_changes_nothing(run, trained):
    before = tree()
    plain = run("evaluate", trained, "--episodes", 2)
    assert plain.status == 0
    assert plain.err == []
    assert run("evaluate", newest("run"), "--episodes", 2) == plain
    assert run("evaluate", trained, "--episodes", 2, "--stochastic").status == 0
    assert tree() == before


def test_a_stochastic_evaluation_samples_its_actions_and_a_deterministic_one_takes_the_mode(run, trained):
    stochastic, again, plain = (
        strictly(run("evaluate", trained, "--episodes", 40, "--json", *flag).out[-1])
        for flag in (["--stochastic"], ["--stochastic"], [])
    )
    assert stochastic == again  # from the agent's own seed
    agent = minipg.load(trained)
    obs = np.zeros((200, 3))
    assert len({*agent.predict(obs, deterministic=True)[0]}) == 1
    assert len({*agent.predict(obs)[0]}) == 3
    assert stochastic["mean_return"] != plain["mean_return"]


def test_the_seed_of_an_evaluation_is_that_of_its_episodes(run):
    assert run(*small("Pendulum-v1")).status == 0
    zero, zero_again, one = (
        strictly(run("evaluate", "run", "--episodes", 2, "--seed", seed, "--json").out[-1]) for seed in (0, 0, 1)
    )
    assert zero == zero_again
    assert zero["mean_return"] != one["mean_return"]


def config_of(run, *args):
    result = run(*small(*args))
    assert result.status == 0, result
    return json.loads(Path("run/config.json").read_text())["config"]


def test_an_environment_brings_its_own_preset(run):
    config = config_of(run, "CartPole-v1")
    assert (config["damping"], config["gae_lambda"]) == (1e-3, 0.98)


def test_a_named_preset_wins_over_the_environments_own(run):
    config = config_of(run, "CartPole-v1", "--preset", "mujoco")
    assert (config["damping"], config["cg_iters"], config["normalize_obs"]) == (0.1, 25, True)


@pytest.mark.parametrize("preset", [["--preset", "mujoco"], ["--preset=mujoco"]], ids=len)
def test_a_flag_wins_over_a_preset_even_with_the_algorithms_own_default(run, preset):
    config = config_of(run, "CartPole-v1", *preset, "--cg-iters", "15", "--no-normalize-obs", "--damping=0.5")
    assert (config["cg_iters"], config["normalize_obs"], config["damping"]) == (15, False, 0.5)
    assert (config["gae_lambda"], config["normalize_reward"]) == (0.95, True)


def test_a_flag_may_stand_before_the_preset(run):
    assert config_of(run, "CartPole-v1", "--cg-iters", "3", "--preset", "mujoco")["cg_iters"] == 3


def test_runs_without_a_name_go_to_folders_of_their_own(run):
    for _ in range(3):
        assert run("train", "trpo", "test/Counting-v0", *SMALL, "--steps", "16").status == 0
    folders = list(Path("runs").iterdir())
    assert len(folders) == 3
    assert all(newest(folder).exists() for folder in folders)


@pytest.mark.parametrize(
    "args",
    [
        ["--help"], ["-h"], ["help"], ["train", "--help"], ["train", "trpo", "--help"], ["train", "trpo", "-h"],
        ["train", "trpo", "CartPole-v1", "--help"], ["evaluate", "--help"], ["evaluate", "run", "--help"],
        ["list", "--help"], ["--version"], ["list"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_help_is_no_error(run, args):
    result = run(*args)
    assert result.status == 0
    assert result.out
    assert result.err == []


def test_help_explains_every_setting(run):
    text = "\n".join(run("train", "trpo", "--help").out)
    flags = ("steps", "seed", "preset", "backend", "threads", "out", "json")
    for name in (*(field.name for field in dataclasses.fields(minipg.TRPOConfig)), *flags):
        assert f"--{name.replace('_', '-')}" in text


@pytest.mark.parametrize("args", [["train", name] for name in minipg.ALGORITHMS] + [["evaluate"], ["plot"], ["bench"]])
def test_help_fits_80_columns_in_groups_with_choices_and_whole_words(run, monkeypatch, args):
    monkeypatch.setenv("COLUMNS", "80")
    lines = run(*args, "--help").out
    assert max(map(len, lines)) <= 80
    if args[0] == "train":
        text = "\n".join(lines)
        assert re.findall(r"(\w+) options", text) == ["algorithm", "network", "environment", "run"]
        assert "--activation {tanh,relu}" in text
        assert "--backend {numba,numpy,cupy}" in text
        config = minipg.ALGORITHMS[args[1]].Config
        shown = " ".join(re.sub(r"^[│|]|[│|]$", " ", text, flags=re.M).split())
        for name, meaning in field_docs(config).items():
            assert meaning in shown, f"--{name}: a word of its meaning is broken"


@pytest.mark.parametrize(
    "flags,name,value",
    [(["--hidden", "8", "4", "--seed", "1"], "hidden", [8, 4]), (["--hidden=8"], "hidden", [8]),
     (["--max_kl", "0.5"], "max_kl", 0.5), (["--max-kl", "0.5", "--max-kl=0.25"], "max_kl", 0.25),
     (["--normalize-obs", "--no-normalize-obs"], "normalize_obs", False)],
    ids=str,
)  # fmt: skip
def test_a_flag_may_have_several_values_and_the_last_of_a_name_counts(run, flags, name, value):
    assert run(*small("test/Counting-v0", *flags)).status == 0
    assert json.loads(Path("run/config.json").read_text())["config"][name] == value


def test_none_is_a_value_of_flags_that_may_have_none(run):
    assert run(*small("test/Counting-v0", "--eval-every", "None")).status == 0
    refused(
        run, *small("test/Counting-v0", out="other"), "--steps", "None", says="steps: expected an integer, got 'None'"
    )
    refused(
        run,
        *small("test/Counting-v0", out="other"),
        "--json=maybe",
        says="json: expected --json without a value, yes or no",
    )


# ---- the seconds and the rate that are printed ---------------------------------------------------------------------


def test_what_is_printed_counts_learning_alone_not_drawing_evaluating_or_compiling(run, monkeypatch):
    def slow(module, name):
        call = getattr(sys.modules[module], name)

        def slowly(*args, **options):
            time.sleep(1)
            return call(*args, **options)

        monkeypatch.setattr(sys.modules[module], name, slowly)

    slow("minipg.runs.train", "_draw")
    slow("minipg.runs.callbacks", "evaluate")
    started = time.perf_counter()
    result = run(*small("test/Counting-v0", "--eval-every", "32", "--eval-episodes", "1", "--json"))
    assert time.perf_counter() - started > 3
    summary = strictly(result.out[-1])
    assert summary["seconds"] < 1
    last = RunFolder(Path("run")).rows()[-1]
    assert float(last["seconds"]) == pytest.approx(summary["seconds"], abs=1e-3)
    assert float(last["steps_per_second"]) == pytest.approx(summary["steps_per_second"], rel=1e-2)


def test_a_run_goes_on_counting_the_seconds_of_its_rows_and_prints_those_of_this_call(run):
    first = strictly(run(*small("test/Counting-v0", "--json")).out[-1])
    second = strictly(run("train", "--resume", "run", "--steps", "128", "--json").out[-1])
    seconds = [float(row["seconds"]) for row in RunFolder(Path("run")).rows()]
    assert seconds == sorted(seconds)
    assert seconds[-1] == pytest.approx(first["seconds"] + second["seconds"], abs=1e-3)
    assert second["steps_per_second"] == pytest.approx(64 / second["seconds"], rel=0.1)


# ---- modules of the working folder, and names of folders -----------------------------------------------------------

LINE = """
import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv

gym.register("{name}", entry_point=CartPoleEnv, max_episode_steps=30)
"""


def test_a_module_of_the_working_folder_is_found_and_every_hint_names_it_again(run, monkeypatch):
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    Path("of_this_folder.py").write_text(LINE.format(name="Here-v0"))
    env = "of_this_folder:Here-v0"
    result = run("train", "trpo", env, *SMALL, "--steps", "64")
    assert result.status == 0, result
    (folder,) = Path("runs").iterdir()
    assert ":" not in folder.name
    assert result.out[-1] == f"minipg evaluate {folder} --env {env}"
    assert run("evaluate", folder, "--env", env, "--episodes", "1").status == 0
    assert run("train", "--resume", folder, "--env", env, "--steps", "128").status == 0


def test_python_m_minipg_is_the_command_and_finds_modules_of_the_working_folder(tmp_path):
    (tmp_path / "beside.py").write_text(LINE.format(name="Beside-v0"))
    command = [
        sys.executable,
        "-m",
        "minipg",
        "train",
        "trpo",
        "beside:Beside-v0",
        *SMALL,
        "--steps",
        "64",
        "--out",
        "run",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "minipg evaluate run --env beside:Beside-v0"
    refusal = subprocess.run([*command[:3], "no"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (refusal.returncode, refusal.stderr.count("\n")) == (2, 1)


def test_a_hint_can_be_typed_as_it_is(run):
    for name in ("a b", "-dash", "it's"):
        result = run(*small("test/Counting-v0")[:-2], f"--out={name}")
        words = shlex.split(result.out[-1])
        assert words[:2] == ["minipg", "evaluate"]
        assert run(*words[1:], "--episodes", "1").status == 0


# ---- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args,near",
    [
        (["trian", "trpo", "CartPole-v1"], "train"),
        (["train", "trop", "CartPole-v1"], "trpo"),
        (["train", "TRPO", "CartPole-v1"], "trpo"),
        (["train", "trpo", "CartPol-v1"], "CartPole-v1"),
        (["train", "trpo", "CartPole-v7"], "CartPole-v1"),
        (["train", "trpo", "test/Countin-v0"], "test/Counting-v0"),
        (["train", "trpo", "CartPole-v1", "--stpes", "5"], "--steps"),
        (["train", "trpo", "CartPole-v1", "--max_k", "5"], "--max-kl"),
        (["train", "trpo", "CartPole-v1", "--vf-learningrate=5"], "--vf-learning-rate"),
        (["train", "trpo", "CartPole-v1", "--preset", "mujco"], "mujoco"),
        (["train", "trpo", "CartPole-v1", "--preset=CartPole-v0"], "CartPole-v1"),
        (["train", "trpo", "CartPole-v1", "--backend", "nunba"], "numba"),
        (["train", "trpo", "CartPole-v1", "--activation", "tan"], "tanh"),
        (["evaluate", "run", "--episode", "5"], "--episodes"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[-1],
)
def test_an_unknown_name_is_answered_with_the_nearest_known_one(run, args, near):
    assert near in refused(run, *args)


@pytest.mark.parametrize("env", ["", "a b", "CartPole-v1-", "no_such_module:CartPole-v1", "a:b:c", "?", "no/Such-v1"])
def test_an_environment_that_cannot_be_is_refused(run, env):
    refused(run, "train", "trpo", env)


@pytest.mark.parametrize(
    "env,says",
    [
        ("test/NoMujoco-v0", "pip install 'minipg-rl[mujoco]'"),
        ("test/NoBox2d-v0", "pip install 'minipg-rl[box2d]'"),
        ("ALE/NoSuchGame-v5", "pip install 'minipg-rl[atari]'"),
        ("test/NoJax-v1", "pip install jax"),
        ("test/NoJax-v0", "pip install jax"),  # out of date besides, of which Gymnasium warns
        ("test/Moved-v0", "moved"),
    ],
)
def test_an_environment_that_is_not_installed_says_what_to_install(run, env, says, monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)  # not installed, even where it is
    assert env in refused(run, *small(env), says=says)


@pytest.mark.parametrize(
    "env,says",
    [("test/Selecting-v0", "expected Discrete, MultiDiscrete"), ("test/Talking-v0", "expected Box, Discrete")],
)
def test_an_unsupported_space_says_which_are_supported(run, env, says):
    refused(run, *small(env), says=says)


NONSENSE = {
    "--steps": ["-5", "0", "abc", "1.5", "nan", ""],
    "--seed": ["-1", "x", "0.5"],
    "--threads": ["0", "-1", "two"],
    "--num-envs": ["0", "-2", "1.5", "1000000000"],
    "--n-steps": ["0", "x"],
    "--max-kl": ["0", "-0.01", "nan", "inf", "x"],
    "--gamma": ["2", "-0.1", "nan"],
    "--gae-lambda": ["1.01"],
    "--damping": ["-1", "nan", "inf"],
    "--cg-iters": ["0"],
    "--backtrack-coeff": ["0", "1", "nan"],
    "--backtrack-iters": ["0"],
    "--accept-ratio": ["-1", "1", "nan"],
    "--fisher-subsample": ["0"],
    "--hidden": ["0", "-4", "x", "4.5"],
    "--activation": ["", "sigmoid"],
    "--log-std-init": ["nan", "1000"],
    "--vf-optimizer": ["sgd"],
    "--vf-learning-rate": ["0", "nan"],
    "--vf-epochs": ["-1"],
    "--vf-minibatch-size": ["0"],
    "--backend": ["cuda", ""],
    "--preset": ["", "none"],
}


@pytest.mark.parametrize("flag,value", [(flag, value) for flag, values in NONSENSE.items() for value in values])
def test_a_nonsense_value_is_refused_by_the_name_of_its_flag(run, flag, value):
    line = refused(run, *small("CartPole-v1"), flag, value)
    assert flag.strip("-") in line.replace("_", "-")


@pytest.mark.parametrize("flag", ["--steps", "--seed", "--out", "--preset", "--max-kl", "--backend", "--gamma"])
def test_a_missing_value_is_refused(run, flag):
    line = refused(run, "train", "trpo", "CartPole-v1", flag)
    assert flag.strip("-") in line
    refused(run, "train", "trpo", "CartPole-v1", flag, "--json")


@pytest.mark.parametrize(
    "args",
    [
        ["train"], ["train", "trpo"], ["train", "trpo", "--steps", "5"],
        ["train", "--steps", "5", "trpo", "CartPole-v1"], ["train", "trpo", "CartPole-v1", "Pendulum-v1"],
        ["train", "trpo", "CartPole-v1", "-q"],
        ["evaluate"], ["evaluate", "--json"], ["evaluate", "run", "other"], ["list", "everything"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_is_missing_or_too_much_is_said_in_one_line(run, args):
    refused(run, *args)


@pytest.mark.parametrize("args", ["--episodes 0", "--episodes x", "--episodes", "--seed -1"])
def test_nonsense_in_evaluate_is_refused(run, trained, args):
    refused(run, "evaluate", trained, *args.split())


def test_settings_that_no_memory_holds_are_refused(run):
    result = run(*small("CartPole-v1", "--n-steps", str(10**13)))
    assert result.status == 2
    assert len(result.err) == 1


def test_tensorboard_that_is_not_installed_is_said_before_there_is_a_folder(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    refused(run, *small("test/Counting-v0"), "--tensorboard", says="pip install 'minipg-rl[tensorboard]'")


# ---- run folders ---------------------------------------------------------------------------------------------------


def test_an_existing_run_folder_is_never_touched(run, trained):
    refused(run, *small("test/Counting-v0", out=trained), says="exists already")
    Path("empty").mkdir()
    refused(run, *small("test/Counting-v0", out="empty"), says="exists already")
    Path("file").write_text("precious")
    refused(run, *small("test/Counting-v0", out="file"), says="exists already")


def test_a_run_folder_that_cannot_be_made_is_refused(run):
    Path("file").write_text("precious")
    refused(run, *small("test/Counting-v0", out="file/run"), says="file/run")
    refused(run, *small("test/Counting-v0", out="x" * 300), says="xxx")
    Path("runs").write_text("precious")
    refused(run, "train", "trpo", "test/Counting-v0", *SMALL, says="Not a directory")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_run_folder_in_an_unwritable_one_is_refused(run, tmp_path):
    Path("locked").mkdir(mode=0o500)
    refused(run, *small("test/Counting-v0", out="locked/run"), says="Permission denied")


def test_a_folder_that_refuses_to_be_made_is_refused(run, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    for args in (small("test/Counting-v0"), ["train", "trpo", "test/Counting-v0", *SMALL]):
        refused(run, *args, says="Permission denied")


def test_a_config_of_a_run_is_json_to_other_readers_too(tmp_path):
    def refuse(word):
        raise AssertionError(word)

    write_json(tmp_path / "config.json", {"config": {"target_kl": math.inf, "hidden": (4, math.nan), "gamma": 0.9}})
    read = json.loads((tmp_path / "config.json").read_text(), parse_constant=refuse)
    assert read == {"config": {"target_kl": None, "hidden": [4, None], "gamma": 0.9}}


@pytest.mark.parametrize("file", ["config.json", "metrics.csv", "000000000064.npz", "curve.png"])
def test_a_disk_that_is_full_is_one_line(run, monkeypatch, file):
    def unless_full(call):
        def refuse(*args, **options):
            if any(Path(arg).name == file for arg in args[:2] if isinstance(arg, str | Path)):
                raise OSError(28, "No space left on device")
            return call(*args, **options)

        return refuse

    monkeypatch.setattr(os, "replace", unless_full(os.replace))
    monkeypatch.setattr(os, "open", unless_full(os.open))
    result = run(*small("test/Counting-v0"))
    assert result.status == 2
    assert len(result.err) == 1
    assert "No space left on device" in result.err[0]
    assert not list(Path("run").rglob(file))


def test_evaluating_what_is_not_there_is_refused(run):
    refused(run, "evaluate", "nowhere", says="nowhere")
    Path("folder").mkdir()
    refused(run, "evaluate", "folder", says="folder")
    refused(run, "evaluate", "")


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "bytes", "folder", "nan"])
def test_evaluating_a_damaged_run_is_refused(run, trained, damage):
    file = newest(trained)
    content = file.read_bytes()
    if damage == "folder":
        file.unlink()
        file.mkdir()
    elif damage == "nan":
        agent = minipg.load(file)
        agent.theta = agent.theta * np.nan
        agent.save(file)
    else:
        middle = content[: len(content) // 2]
        file.write_bytes({"cut": middle, "empty": b"", "text": b"theta = 0\n", "bytes": middle + bytes(100)}[damage])
    refused(run, "evaluate", trained, says=file.name)


# ---- faults and interruptions on the way ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "env,says",
    [
        ("test/NanObservation-v0", "observation nan from environment 0, component 1 at step 21"),
        ("test/InfReward-v0", "reward -inf from environment 0 at step 21"),
    ],
)
@pytest.mark.parametrize("flags", [[], ["--normalize-obs", "--normalize-reward"]], ids=["", "normalised"])
def test_an_environment_whose_numbers_are_not_finite_ends_the_run_and_costs_no_learning(run, env, says, flags):
    result = run(*small(env, *flags))
    assert result.status == 2
    assert len(result.err) == 1
    assert says in result.err[0]
    assert "minipg train --resume run" in result.err[0]
    # the first rollout of 16 steps was sound, the second was not
    assert run(*small("test/Counting-v0", "--steps", "16", *flags, out="sound")).status == 0
    agent, sound = minipg.load("run"), minipg.load("sound")
    np.testing.assert_array_equal(agent.theta, sound.theta)
    np.testing.assert_array_equal(agent.value.theta, sound.value.theta)
    assert (agent.steps, agent.updates) == (16, 1)
    assert len(Path("run/metrics.csv").read_text().splitlines()) == 2
    assert sorted(os.listdir("run")) == FILES


@pytest.mark.parametrize("env", ["test/NanObservation-v0", "test/InfReward-v0"])
def test_evaluating_in_an_environment_whose_numbers_are_not_finite_is_refused(run, trained, env):
    arrays, meta = load_arrays(newest(trained))
    save_arrays(newest(trained), arrays, {**meta, "env": env})
    refused(run, "evaluate", trained, "--episodes", "64", says="environment 0")
    refused(run, "evaluate", trained, "--episodes", "64", "--json", says="environment 0")


def test_whatever_ends_a_run_the_agent_is_saved(tmp_path):
    from rich.console import Console

    agent = TRPO("test/Crashing-v0", num_envs=1, n_steps=16, hidden=(4,), vf_epochs=1, threads=1)
    folder = RunFolder.create(tmp_path / "run", "name")
    with pytest.raises(EnvironmentFault, match="raised RuntimeError at step 21: the environment's own bug"):
        train(agent, folder, Progress("title", 64, Console(quiet=True)), Plan(steps=64))
    assert minipg.load(folder.path).steps == 16
    assert folder.curve.exists()


def test_a_run_saves_its_agent_every_minute_and_at_its_end(tmp_path, monkeypatch):
    from rich.console import Console

    agent = TRPO("test/Counting-v0", num_envs=1, n_steps=16, hidden=(4,), vf_epochs=1, threads=1)
    clock = SimpleNamespace(perf_counter=lambda: 25.0 * agent.updates)  # seconds
    for module in ("minipg.runs.plan", "minipg.runs.keeper"):
        monkeypatch.setattr(sys.modules[module], "time", clock)
    saved, checkpoints = [], sys.modules["minipg.runs.checkpoints"]
    monkeypatch.setattr(checkpoints, "save_arrays", lambda path, *_: saved.append((agent.updates, path.name)))
    folder = RunFolder.create(tmp_path / "run", "name")
    train(agent, folder, Progress("title", 128, Console(quiet=True)), Plan(steps=128))
    assert saved == [(update, f"{16 * update:012d}.npz") for update in (0, 3, 6, 8)]


@pytest.mark.parametrize("env,updates", [("test/Interrupting-v0", 1), ("test/InterruptingAtOnce-v0", 0)])
def test_ctrl_c_saves_and_says_where(run, env, updates):
    result = run(*small(env))
    assert result.status == 130
    assert len(result.err) == 1
    assert "interrupted" in result.err[0]
    assert "minipg train --resume run" in result.err[0]
    agent = minipg.load("run")
    assert (agent.updates, agent.steps) == (updates, 16 * updates)
    if updates:
        assert run(*small("test/Counting-v0", "--steps", "16", out="sound")).status == 0
        np.testing.assert_array_equal(agent.theta, minipg.load("sound").theta)


def test_ctrl_c_still_ends_with_the_summary(run):
    result = run(*small("test/Interrupting-v0", "--json"))
    assert result.status == 130
    summary = strictly(result.out[-1])
    assert list(summary) == TRAIN_KEYS
    assert (summary["steps"], summary["updates"]) == (16, 1)
    at_once = run(*small("test/InterruptingAtOnce-v0", "--json", out="other"))
    assert strictly(at_once.out[-1])["mean_return"] is None


def test_ctrl_c_outside_training_is_one_line_too(run, trained, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(TRPO, "predict", interrupt)
    result = run("evaluate", trained)
    assert (result.status, len(result.err)) == (130, 1)


def start(*args, **options):
    command = [sys.executable, "-m", "minipg.cli", *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def test_a_real_ctrl_c_ends_a_real_process_with_the_agent_saved(tmp_path):
    process = start("train", "trpo", "CartPole-v1", "--steps", str(10**9), "--out", "run", cwd=tmp_path)
    metrics, patience = tmp_path / "run" / "metrics.csv", time.monotonic() + 60
    while not metrics.exists() or len(metrics.read_text().splitlines()) < 3:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < patience
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.splitlines() == ["minipg: interrupted; minipg train --resume run continues"]
    agent = minipg.load(tmp_path / "run")
    rows = metrics.read_text().splitlines()[1:]
    assert agent.updates - len(rows) in (0, 1)
    assert math.isfinite(float(np.abs(agent.theta).sum()))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_ctrl_c_that_comes_in_a_finalizer_is_not_lost(run, monkeypatch):
    class Dying:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)  # Python prints and ignores what is raised here

    update = minipg.TRPO._update

    def interrupted(agent, *args):
        Dying()
        return update(agent, *args)

    monkeypatch.setattr(minipg.TRPO, "_update", interrupted)
    assert run("train", "trpo", "CartPole-v1", "--steps", "1000000", "--n-steps", "16").status == 130


def test_an_error_of_a_real_process_is_one_line_and_status_2(tmp_path):
    process = start("train", "trpo", "CartPole-v1", "--max-kl", "0", cwd=tmp_path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("minipg: max_kl: expected a finite number > 0")
    assert list(tmp_path.iterdir()) == []


# ---- several seeds -------------------------------------------------------------------------------------------------


def test_several_seeds_are_each_the_run_of_that_seed(run):
    flags = ["a2c", "CartPole-v1", "--steps", "400", "--hidden", "4"]
    result = run("train", *flags, "--seeds", "1,3-4", "--jobs", "2", "--out", "many", "--json")
    assert result.status == 0, result
    account = strictly(result.out[-1])
    assert account["seeds"] == [1, 3, 4]
    assert account["runs"] == ["many/seed1", "many/seed3", "many/seed4"]
    returns = [float(RunFolder(Path(folder)).rows()[-1]["mean_return"]) for folder in account["runs"]]
    assert account["mean_return"] == pytest.approx(np.mean(returns))
    assert account["std_return"] == pytest.approx(np.std(returns))
    alone = run("train", *flags, "--seed", "3", "--out", "alone", "--threads", "1")
    assert alone.status == 0
    assert newest("alone").read_bytes() == newest("many/seed3").read_bytes()


def test_a_seed_that_fails_is_named_and_the_others_go_on(run):
    result = run("train", "a2c", "NoSuch-v0", "--seeds", "0-1", "--out", "runs/many")
    assert result.status == 2
    lines = [line for line in result.out if line.startswith("seed ")]
    assert len(lines) == 2
    assert all("unknown environment 'NoSuch-v0'" in line for line in lines)


@pytest.mark.parametrize("seeds", ["", "x", "1-", "-1", "3-1", "1,1", "0-2,1", "1-2-3", "0.5"])
def test_seeds_that_are_none_are_refused(run, seeds):
    refused(run, "train", "a2c", "CartPole-v1", f"--seeds={seeds}", says="seeds: expected")


@pytest.mark.parametrize("flags,says", [(["--jobs", "0"], "jobs: expected"), (["--seed", "1"], "either")])
def test_flags_that_do_not_go_with_several_seeds_are_refused(run, flags, says):
    refused(run, "train", "a2c", "CartPole-v1", "--seeds", "0-1", *flags, says=says)


# ---- several seeds that stopped ------------------------------------------------------------------------------------

SEEDS = ["a2c", "CartPole-v1", "--steps", "400", "--hidden", "4", "--schedule", "constant"]


def test_several_seeds_go_on_where_they_stopped_and_begin_where_they_had_not(run):
    assert run("train", *SEEDS, "--seeds", "0-2", "--jobs", "2", "--out", "whole", "--json").status == 0
    part = run("train", *SEEDS, "--seeds", "0-2", "--jobs", "2", "--out", "part", "--json", "--steps", "200")
    shutil.rmtree("part/seed1")  # not begun
    Path("part/seed1.json").unlink()
    for path in [path for path in Path("part/seed2").rglob("*") if path.is_file() and path.stem != "0" * 12]:
        path.unlink()  # killed before there was a run
    result = run("train", "--resume", "part", "--steps", "400", "--json")
    assert result.status == 0, result
    account = strictly(result.out[-1])
    assert account.keys() == strictly(part.out[-1]).keys()
    assert (account["seeds"], account["failed"], account["steps"]) == ([0, 1, 2], [], 1200)
    for seed in range(3):
        assert newest(f"part/seed{seed}").read_bytes() == newest(f"whole/seed{seed}").read_bytes()
    again = run("train", "--resume", "part", "--steps", "400", "--json")
    assert again.err[0] == "part is finished: all 3 seeds have their steps; a larger --steps continues them"
    assert {**strictly(again.out[-1]), "seconds": 0} == {**account, "seconds": 0}


@pytest.mark.parametrize("damage", ["", "[]", '{"seeds": 3}', "[" * 5000])
def test_a_folder_of_seeds_that_is_damaged_is_refused(run, damage):
    Path("many").mkdir()
    Path("many/seeds.json").write_text(damage)
    refused(run, "train", "--resume", "many", says="seeds.json: damaged")


@pytest.mark.parametrize("other", ["notes.txt", "metrics.csv", "checkpoints/best.npz", "a/b", ""])
def test_what_is_in_the_place_of_a_seeds_run_is_left_alone_and_named(run, other):
    assert run("train", *SEEDS, "--seeds", "0-1", "--jobs", "2", "--out", "many", "--steps", "40").status == 0
    shutil.rmtree("many/seed0")
    path = Path("many/seed0", other)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("precious")
    refused(run, "train", "--resume", "many", says="many/seed0: holds no run (no config.json), but other files")


FALSE = [
    {"flags": ["--out", "elsewhere"]}, {"flags": ["--seeds", "0-9"]}, {"flags": ["--help"]}, {"flags": ["-h"]},
    {"flags": ["--seed=1"]}, {"flags": ["elsewhere"]}, {"flags": ["--preset", "\0"]}, {"flags": ["--preset", "\ud800"]},
    {"algorithm": "--resume", "env": "elsewhere"}, {"env": "--help"}, {"jobs": 0}, {"seeds": [0, 0]}, {"seeds": [-1]},
    {"seeds": ["0-9999"] * 10_000}, {"flags": ["--resume", "elsewhere"]}, {"flags": ["--json"]},
    {"flags": ["--tensorboard"]},
]  # fmt: skip


@pytest.mark.parametrize("false", FALSE, ids=lambda false: str(false)[:40])
def test_a_folder_of_seeds_starts_trainings_into_its_own_folders_alone(run, false, monkeypatch):
    monkeypatch.setattr("minipg.runs.tensorboard.find_spec", lambda name: None)
    Path("many").mkdir()
    asked = {"algorithm": "a2c", "env": "CartPole-v1", "flags": SEEDS[2:], "seeds": [0], "jobs": 1, **false}
    Path("many/seeds.json").write_text(json.dumps(asked))
    refused(run, "train", "--resume", "many", says="seeds.json: damaged")


def test_a_folder_of_seeds_does_not_import_what_it_names(run):
    Path("many").mkdir()
    write_json(Path("many/seeds.json"), {"algorithm": "a2c", "env": "evil:X-v0", "flags": [], "seeds": [0], "jobs": 1})
    refused(run, "train", "--resume", "many", says="if you trust its environment, --env evil:X-v0")


def test_a_folder_of_seeds_goes_on_with_the_environment_that_the_caller_names(run):
    Path("evil.py").write_text("raise SystemExit('executed')\n")
    flags = [*SEEDS[2:], "--steps", "40"]
    asked = {"algorithm": "a2c", "env": "evil:X-v0", "flags": flags, "seeds": [0, 1], "jobs": 1}
    Path("many").mkdir()
    assert run("train", "a2c", "CartPole-v1", *flags, "--out", "many/seed0").status == 0
    write_json(Path("many/seeds.json"), asked)
    result = run("train", "--resume", "many", "--env", "CartPole-v1", "--steps", "80", "--json")
    assert result.status == 0, result
    assert strictly(result.out[-1])["env"] == "CartPole-v1"
    for seed in range(2):
        agent = minipg.load(f"many/seed{seed}")
        assert (agent.env_id, agent.steps) == ("CartPole-v1", 80)


def test_a_folder_of_seeds_goes_on_with_a_module_that_is_loaded_already(run):
    asked = {"algorithm": "a2c", "env": "pytest:CartPole-v1", "flags": SEEDS[2:], "seeds": [0, 1], "jobs": 2}
    Path("many").mkdir()
    write_json(Path("many/seeds.json"), asked)
    assert run("train", "--resume", "many", "--steps", "40").status == 0
    Path("many/seed1.json").unlink()
    shutil.rmtree("many/seed1")
    assert run("train", "--resume", "many", "--steps", "80").status == 0
    assert [minipg.load(f"many/seed{seed}").steps for seed in range(2)] == [80, 80]


@pytest.mark.parametrize(
    "name", ["ünï côdé 漢字", "a  b", "new\nline", "[x]*?", "[b]x[/b]", "-dash", "qu'o\"te", "bad\udcff"]
)
def test_a_run_folder_may_have_any_name(run, name):
    assert run(*small("test/Counting-v0")[:-2], f"--out={name}").status == 0
    assert run("train", f"--resume={name}", "--steps", "80").status == 0
    assert run("evaluate", f"./{name}", "--episodes", "1").status == 0
    assert run("plot", f"./{name}").status == 0
    assert minipg.load(name).steps == 80
    refused(run, *small("test/Counting-v0")[:-2], f"--out={name}", says="exists already")


def test_resuming_a_run_that_has_ended_is_one_line(run):
    assert run(*small("test/Counting-v0", "--target-return", "1e9")).status == 0
    said = "run is finished: 64 of 64 steps; a larger --steps continues it"
    assert run("train", "--resume", "run") == (0, [said], [])
    assert run("train", "--resume", "run", "--json").err == [said]
    assert run(*small("test/Counting-v0", "--eval-every", "16", "--target-return", "-9", out="other")).status == 0
    assert run("train", "--resume", "other") == (
        0,
        ["other is finished: it has reached its target, a return of -9"],
        [],
    )
    assert minipg.load("other").steps == 16


def test_fewer_steps_than_a_run_has_are_refused_with_the_true_number_and_its_plan_is_kept(run, monkeypatch):
    update = TRPO._update

    def stopped(agent, *args):
        if agent.updates == 2:
            signal.raise_signal(signal.SIGTERM)
        return update(agent, *args)

    with monkeypatch.context() as patch:
        patch.setattr(TRPO, "_update", stopped)
        assert run(*small("test/Counting-v0", "--steps", "96")).status == 143
    before = Path("run/config.json").read_bytes()
    for fewer in ("16", "48"):
        said = refused(run, "train", "--resume", "run", "--steps", fewer)
        assert said == "minipg: run: has 48 steps already; --steps is the number in all"
    assert Path("run/config.json").read_bytes() == before
    assert run("train", "--resume", "run").status == 0
    assert minipg.load("run").steps == 96


def training(folder):
    """The number of the process that trains in this folder."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"train" in words and str(folder).encode() in words and b"--seed" in words:
                return int(path.parent.name)
    return None


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to tell the children")
def test_a_seed_that_is_killed_is_named_and_seeds_whose_parent_is_killed_save_all_and_end(tmp_path):
    many, flags = tmp_path / "many", ["--steps", str(10**9), "--seeds", "0-1", "--jobs", "2"]
    process, patience = start("train", *SEEDS[:2], *flags, "--out", str(many)), time.monotonic() + 60
    while any(len(RunFolder(many / f"seed{seed}").rows()) < 4 for seed in range(2)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < patience
        time.sleep(0.05)
    os.kill(training(many / "seed0"), signal.SIGKILL)
    line = next(line for line in process.stdout if line.startswith("seed 0"))
    assert line == "seed 0: killed by signal 9 (Killed)   (1 of 2)\n"
    process.kill()
    process.communicate()
    while training(many / "seed1"):
        assert time.monotonic() < patience
        time.sleep(0.05)
    assert minipg.load(many / "seed1").updates == int(RunFolder(many / "seed1").rows()[-1]["update"])


def test_garbage_is_closed_at_the_end_though_pythons_own_last_looks_are_left_out(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import pathlib, sys\nfrom minipg.cli import main\n\n"
        "class Log:\n    def __init__(self):\n        self.me, self.path = self, pathlib.Path(sys.argv[1])\n"
        "    def __del__(self):\n        self.path.write_text('kept')\n\n"
        "Log()\nmain(['--version'])\n"
    )
    subprocess.run([sys.executable, script, tmp_path / "log"], check=True, stdout=subprocess.DEVNULL)
    assert (tmp_path / "log").read_text() == "kept"


@pytest.mark.parametrize(("module", "frozen"), [("triton", False), ("jaxlib", False), ("of_no_such_kind", True)])
def test_nothing_is_kept_from_the_last_looks_where_a_library_would_report_it(module, frozen, monkeypatch):
    for name in cli._REPORTING:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, module, ModuleType(module))
    gc.collect()  # Python 3.12 freezes its immortal objects in it
    before = gc.get_freeze_count()
    try:
        cli._collect_once()
        assert (gc.get_freeze_count() > before) == frozen
    finally:
        gc.unfreeze()


# ---- flags before they are parsed ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args,values",
    [(["--imports", "a", "b", "--json"], ["a", "b"]), (["--imports=a", "b"], ["a", "b"]),
     (["--imports", "a", "--steps", "3", "--imports=b"], ["a", "b"]), (["--json"], [])],
    ids=str,
)  # fmt: skip
def test_the_values_of_a_flag_are_those_of_all_its_occurrences(args, values):
    assert values_of("--imports", args) == values


@pytest.mark.parametrize(
    "args,kept",
    [(["--json", "no", "--steps", "3"], ["--steps", "3"]), (["--json=no", "--steps=3"], ["--steps=3"]),
     (["--eval_episodes", "1", "--gamma", "0.9"], ["--gamma", "0.9"]), (["--out", "--json"], []),
     (["--squash", "no"], ["--squash", "no"])],
    ids=str,
)  # fmt: skip
def test_flags_are_left_out_with_their_values_however_they_are_spelled(args, kept):
    assert without(("--eval-episodes", "--out"), ("--json", "--no-json"), args) == kept
