"""A run that stopped and went on is the run that never stopped, to the bit; and what stopped it has cost nothing."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from environments import Counting
from rich.console import Console

import minipg
from minipg import A2C, ALGORITHMS, PPO, TRPO
from minipg.cli import main
from minipg.errors import AgentFileError, ConfigError, MinipgError, RunFolderError
from minipg.runs import Checkpoints, Evaluation, Plan, RunFolder, in_turn, resume, stop_at, train
from minipg.runtime.progress import Progress
from minipg.runtime.storage import load_arrays, save_arrays


def test_a_run_goes_on_with_another_backend(tmp_path, capsys):
    path = str(tmp_path / "run")
    assert main(["train", "a2c", "CartPole-v1", "--steps", "200", "--backend", "numpy", "--out", path]) == 0
    assert main(["train", "--resume", path, "--steps", "400", "--backend", "numba"]) == 0
    assert RunFolder.existing(tmp_path / "run").config()["backend"] == "numba"
    assert main(["train", "--resume", path, "--steps", "600", "--backend", "nunba"]) == 2
    assert "unknown backend 'nunba'" in capsys.readouterr().err


def test_an_agent_of_environments_on_a_device_is_loaded_where_there_is_none(tmp_path):
    agent = TRPO("CartPole-v1", n_steps=8, num_envs=2, threads=1).learn(16)
    arrays, meta = agent.whole_state()
    meta["config"]["vec"] = "device"
    save_arrays(tmp_path / "agent.npz", {k: v for k, v in arrays.items() if not k.startswith("place.")}, meta)
    loaded = minipg.load(tmp_path / "agent.npz")
    assert loaded.config.vec == "auto"
    np.testing.assert_array_equal(loaded.theta, agent.theta)


SMALL = {"num_envs": 3, "n_steps": 24, "hidden": (8,), "threads": 1}
CLOCK = {"seconds", "steps_per_second"}

VARIANTS = {
    "reinforce": ("reinforce", "CartPole-v1", {"baseline": "value"}),
    "vpg": ("vpg", "CartPole-v1", {}),
    "a2c": ("a2c", "Pendulum-v1", {"schedule": "linear"}),
    "npg": ("npg", "Acrobot-v1", {}),
    "trpo": ("trpo", "CartPole-v1", {"normalize_reward": True}),
    "trpo, L-BFGS critic": ("trpo", "Pendulum-v1", {"vf_optimizer": "lbfgs"}),
    "trpo, dual": ("trpo", "CartPole-v1", {"solver": "dual"}),
    "trpo, vine": ("trpo", "CartPole-v1", {"sampling": "vine", "vine_states": 8, "vine_length": 5}),
    "ppo": ("ppo", "MountainCar-v0", {"schedule": "linear", "clip_schedule": "linear", "n_epochs": 3}),
    "ppo, adaptive KL": ("ppo", "MountainCarContinuous-v0", {"objective": "adaptive-kl", "n_epochs": 3}),
    "ppo, squashed": ("ppo", "Pendulum-v1", {"squash": True, "state_dependent_std": True, "n_epochs": 3}),
}


def content(agent, tmp_path):
    """All that an agent is, as the bytes of its file."""
    agent.save(tmp_path / "content")
    return (tmp_path / "content").read_bytes()


def learnt(agent):
    """The metrics of some more updates, but for the clock."""
    rows = []
    agent.learn(200, on_update=lambda _, row: rows.append({k: repr(v) for k, v in row.items() if k not in CLOCK}))
    return rows


@pytest.mark.parametrize("variant", VARIANTS)
def test_learning_on_from_a_file_is_learning_on_without_one(variant, tmp_path):
    algorithm, env, settings = VARIANTS[variant]
    agent = ALGORITHMS[algorithm](env, seed=3, **{**SMALL, "normalize_obs": True, **settings}).learn(200)
    agent.save(tmp_path / "agent.npz")
    loaded = minipg.load(tmp_path / "agent.npz", threads=2)
    assert loaded.mid_episode
    for _ in range(2):
        assert learnt(agent) == learnt(loaded)
        assert content(agent, tmp_path) == content(loaded, tmp_path)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_whole_state_stays_as_it_was_taken_while_learning_goes_on(variant):
    algorithm, env, settings = VARIANTS[variant]
    agent = ALGORITHMS[algorithm](env, seed=3, **{**SMALL, "normalize_obs": True, **settings}).learn(200)
    state = agent.whole_state()
    before = {name: array.copy() for name, array in state.arrays.items()}
    agent.learn(200)
    for name, array in before.items():
        np.testing.assert_array_equal(array, state.arrays[name], err_msg=name)


def test_what_was_sampled_before_saving_does_not_matter_to_what_is_sampled_after_loading(tmp_path):
    agent = TRPO("CartPole-v1", seed=1, **SMALL).learn(100)
    obs = np.zeros((50, 4))
    agent.predict(obs)
    agent.save(tmp_path / "agent.npz")
    np.testing.assert_array_equal(agent.predict(obs)[0], minipg.load(tmp_path / "agent.npz").predict(obs)[0])


def test_environments_that_cannot_say_where_they_stand_begin_new_episodes(tmp_path):
    agent = TRPO("test/Counting-v0", **SMALL).learn(72)
    agent.save(tmp_path / "agent.npz")
    loaded = minipg.load(tmp_path / "agent.npz")
    assert not loaded.mid_episode
    assert loaded.learn(72).steps == agent.steps + 72


@pytest.mark.parametrize("load", [minipg.load, TRPO.load])
@pytest.mark.parametrize(
    "name,value,says",
    [("hidden", (4, 4), "hidden: load keeps that of the file, which depends on it; only a new agent has another"),
     ("normalize_obs", True, "normalize_obs: load keeps"), ("max_kl", -1, "max_kl: expected a finite number > 0"),
     ("seed", 5, "seed: load keeps"), ("config", None, "config: load keeps"),
     ("preset", "default", "preset: load keeps"), ("no_such", 5, "unknown option 'no_such'"),
     ("thread", 1, "unknown option 'thread'; did you mean threads?")],
    ids=str,
)  # fmt: skip
def test_an_option_that_load_does_not_take_is_refused_by_its_name(tmp_path, load, name, value, says):
    TRPO("CartPole-v1", **SMALL).save(tmp_path / "agent.npz")
    with pytest.raises(MinipgError, match=says):
        load(tmp_path / "agent.npz", **{name: value})
    with pytest.raises(MinipgError, match=says):
        load(tmp_path / "agent.npz", Counting(), **{name: value})


def test_settings_change_from_the_file_on(tmp_path):
    TRPO("CartPole-v1", **SMALL).learn(72).save(tmp_path / "agent.npz")
    same = minipg.load(tmp_path / "agent.npz", max_kl=0.5, gamma=0.9)
    assert (same.config.max_kl, same.config.gamma, same.config.hidden) == (0.5, 0.9, SMALL["hidden"])
    assert same.mid_episode
    kept = minipg.load(tmp_path / "agent.npz")
    np.testing.assert_array_equal(same.theta, kept.theta)
    assert (same.learn(72).theta != kept.learn(72).theta).any()
    more = TRPO.load(tmp_path / "agent.npz", num_envs=5, n_steps=7)
    assert not more.mid_episode
    assert more.learn(1).steps == 72 + 35
    before = PPO("CartPole-v1", hidden=(4,))
    before.save(tmp_path / "ppo.npz")
    assert minipg.load(tmp_path / "ppo.npz", n_epochs=3).config.vf_epochs == 3  # it follows n_epochs as at the start


def test_a_run_is_resumed_with_other_settings_and_says_which(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ["--num-envs", "2", "--n-steps", "16", "--hidden", "4", "--n-epochs", "1"]
    assert main(["train", "ppo", "CartPole-v1", *small, "--steps", "64", "--out", "run"]) == 0
    capsys.readouterr()
    changes = ["--learning-rate", "0.01", "--clip-range=0.1", "--no-normalize-advantage", "--num-envs", "4"]
    assert main(["train", "--resume", "run", "--steps", "128", *changes]) == 0
    said = capsys.readouterr().out
    for line in ("learning_rate is 0.01", "clip_range is 0.1", "normalize_advantage is False", "num_envs is 4"):
        assert f"{line} from here on" in said
    config = minipg.load("run").config
    assert (config.learning_rate, config.clip_range, config.normalize_advantage, config.num_envs) == (
        0.01,
        0.1,
        False,
        4,
    )
    for wrong, says in ((["--hidden", "8"], "hidden: load keeps that of the file"), (["--max-kl", "1"], "unknown flag"),
                        (["--gamma", "2"], "gamma: expected a number from 0 to 1")):  # fmt: skip
        assert main(["train", "--resume", "run", "--steps", "256", *wrong]) == 2
        assert says in capsys.readouterr().err
    assert main(["train", "--resume", "run", "--steps", "256"]) == 0
    assert minipg.load("run").config == config
    assert not list(Path("run/checkpoints").glob("*.damaged"))


def test_an_agent_put_on_another_environment_begins_new_episodes(tmp_path):
    TRPO("CartPole-v1", **SMALL).learn(72).save(tmp_path / "agent.npz")
    assert not minipg.load(tmp_path / "agent.npz", env="minipg/CartPole-v1").mid_episode


@pytest.mark.parametrize(
    "name,value",
    [("place.obs", np.zeros((3, 5), np.float32)), ("place.obs", np.full((3, 4), np.nan, np.float32)),
     ("place.env.state", np.zeros((2, 4))), ("place.returns", np.zeros(4)), ("place.more", np.zeros(1)),
     ("place.env.more", np.zeros(1)), ("place.resetting", np.ones(3, bool)), ("place.returns", np.array(["a"] * 3)),
     ("place.lengths", np.zeros(3)), ("stream.acting", np.full(6, 2**64 - 1, np.uint64))],
)  # fmt: skip
def test_a_place_that_no_agent_of_the_file_has_is_refused(tmp_path, name, value):
    path = tmp_path / "agent.npz"
    TRPO("CartPole-v1", **SMALL).learn(72).save(path)
    arrays, meta = load_arrays(path)
    save_arrays(path, {**arrays, name: value}, meta)
    with pytest.raises(AgentFileError, match=str(path)):
        minipg.load(path)


# ---- runs ----------------------------------------------------------------------------------------------------------


def quiet(steps):
    return Progress("title", steps, Console(quiet=True))


def start(folder, steps=432, env="CartPole-v1", seed=0, normalize_obs=False, **plan):
    """A run of a small agent in `folder`."""
    agent = TRPO(env, seed=seed, normalize_obs=normalize_obs, **SMALL)
    run = RunFolder.create(folder, "name")
    train(agent, run, quiet(steps), Plan(steps=steps, **{"checkpoint_every": "144", **plan}))
    return agent, run


def go_on(folder, **changes):
    return resume(RunFolder.existing(folder), lambda agent, plan: quiet(plan.steps), **changes)


def table(folder):
    """The metrics but for the clock."""
    return [{k: v for k, v in row.items() if k not in CLOCK} for row in RunFolder(folder).rows()]


def last(folder):
    return Checkpoints(folder).files()[0].read_bytes()


def test_a_run_keeps_its_last_checkpoints_and_its_best(tmp_path):
    _, run = start(tmp_path / "run", steps=1000, keep_checkpoints=2, eval_every=200, eval_episodes=2)
    checkpoints = Checkpoints(run.path)
    assert [int(path.stem) for path in checkpoints.files()] == [1008, 864]
    evaluated = [float(row["eval_return"]) for row in run.rows()]
    assert checkpoints.best_score() == np.nanmax(evaluated)
    assert np.isfinite(evaluated).sum() == 5
    assert minipg.load(checkpoints.best).steps == int(run.rows()[int(np.nanargmax(evaluated))]["steps"])


def test_evaluating_changes_nothing_of_what_is_learnt(tmp_path):
    start(tmp_path / "one", eval_every=100, eval_episodes=2)
    start(tmp_path / "other")
    assert last(tmp_path / "one") == last(tmp_path / "other")


@pytest.mark.parametrize("stop", [0, 1, 2, 4])
def test_a_run_that_stopped_and_went_on_is_the_run_that_never_stopped(tmp_path, stop, monkeypatch):
    evaluations = {"eval_every": 150, "eval_episodes": 2}
    start(tmp_path / "whole", **evaluations)
    with monkeypatch.context() as patch:
        update = TRPO._update

        def stopped(agent, *args):
            if agent.updates == stop:
                signal.raise_signal(signal.SIGTERM)
            return update(agent, *args)

        patch.setattr(TRPO, "_update", stopped)
        agent, _ = start(tmp_path / "parts", **evaluations)
    assert agent.updates == stop + 1
    assert go_on(tmp_path / "parts")["steps"] == 432
    assert last(tmp_path / "whole") == last(tmp_path / "parts")
    assert table(tmp_path / "whole") == table(tmp_path / "parts")


def test_rows_after_the_checkpoint_are_made_again_and_a_torn_line_is_no_row(tmp_path):
    _, run = start(tmp_path / "run")
    before, whole = last(run.path), table(run.path)
    for path in Checkpoints(run.path).files()[:1]:
        path.unlink()
    with run.metrics.open("a") as file:
        file.write("7,504,")
    assert table(run.path) == whole
    go_on(run.path)
    assert (last(run.path), table(run.path)) == (before, whole)


def test_a_damaged_checkpoint_is_passed_over_and_said_so(tmp_path, capsys):
    _, run = start(tmp_path / "run")
    before, newest = last(run.path), Checkpoints(run.path).files()[0]
    newest.write_bytes(before[:1000])
    for path in (newest, run.path):  # whoever only wants to look is not shown another agent instead
        with pytest.raises(AgentFileError, match="damaged"):
            minipg.load(path)
    display = Progress("title", 432, Console(force_terminal=False))
    resume(run, lambda agent, plan: display)
    assert f"skipped: {newest}" in capsys.readouterr().out.replace("\n", "")


def test_a_run_may_be_made_longer(tmp_path):
    _, run = start(tmp_path / "run")
    before = last(run.path), table(run.path)
    assert (go_on(run.path)["steps"], last(run.path), table(run.path)) == (432, *before)
    assert go_on(run.path, steps=600)["steps"] == 648
    assert run.config()["steps"] == 600
    assert [int(row["update"]) for row in run.rows()] == list(range(1, 10))


def test_a_row_of_a2c_covers_500_steps_and_all_their_episodes_and_a_stop_changes_no_row(tmp_path, monkeypatch):
    def start_a2c(folder, steps=3200):
        run, agent = RunFolder.create(folder, "name"), A2C("CartPole-v1", num_envs=8, n_steps=5, hidden=(8,), threads=1)
        train(agent, run, quiet(steps), Plan(steps=steps, checkpoint_every="1000"))
        return agent, run

    _, whole = start_a2c(tmp_path / "whole")
    assert [int(row["steps"]) for row in whole.rows()] == [520, 1040, 1560, 2080, 2600, 3120, 3200]
    episodes = []
    A2C("CartPole-v1", num_envs=8, n_steps=5, hidden=(8,), threads=1).learn(
        3200, on_update=lambda _, row: episodes.append(row["episodes"])
    )
    assert sum(int(row["episodes"]) for row in whole.rows()) == sum(episodes)
    update = A2C._update
    with monkeypatch.context() as patch:

        def stopped(agent, *args):
            if agent.updates == 30:
                signal.raise_signal(signal.SIGTERM)
            return update(agent, *args)

        patch.setattr(A2C, "_update", stopped)
        start_a2c(tmp_path / "parts")
    assert minipg.load(tmp_path / "parts").updates == 39
    go_on(tmp_path / "parts")
    assert last(tmp_path / "whole") == last(tmp_path / "parts")
    assert table(tmp_path / "whole") == table(tmp_path / "parts")


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    _, run = start(tmp_path / "run")
    script = "import sys; from minipg.cli import main; sys.exit(main())"
    with run.locked():
        command = [sys.executable, "-c", script, "train", "--resume", str(run.path), "--steps", "1000"]
        other = subprocess.run(command, capture_output=True, text=True, check=False)
        assert other.returncode == 2
        assert other.stderr == f"minipg: {run.path}: another process is training in this folder\n"
    assert go_on(run.path, steps=600)["steps"] == 648


def test_of_processes_that_resume_a_run_at_the_same_moment_one_does(tmp_path):
    start(tmp_path / "run")
    command = [sys.executable, "-m", "minipg.cli", "train", "--resume", "run", "--steps", str(10**9)]
    both = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for _ in range(2)]  # fmt: skip
    patience = time.monotonic() + 60
    while all(process.poll() is None for process in both):
        assert time.monotonic() < patience
        time.sleep(0.05)
    (loser,) = [process for process in both if process.poll() is not None]
    (winner,) = [process for process in both if process is not loser]
    assert (loser.returncode, loser.stderr.read()) == (2, "minipg: run: another process is training in this folder\n")
    winner.send_signal(signal.SIGTERM)
    winner.communicate(timeout=60)
    assert winner.returncode == 143
    assert [int(row["update"]) for row in table(tmp_path / "run")] == list(range(1, len(table(tmp_path / "run")) + 1))


@pytest.mark.parametrize("damage", [{"steps": None}, {"backend": None}, {"checkpoint_every": 3}, {"steps": "many"}])
def test_a_config_that_is_none_is_refused(tmp_path, damage):
    _, run = start(tmp_path / "run")
    run.write_config({**run.config(), **damage})
    with pytest.raises(MinipgError):
        go_on(run.path, **({} if "steps" in damage else {"steps": 1000}))


def test_a_run_without_a_sound_checkpoint_says_what_is_wrong_with_each(tmp_path):
    _, run = start(tmp_path / "run")
    for path in Checkpoints(run.path).files():
        path.write_bytes(b"")
    with pytest.raises(RunFolderError, match=r"no checkpoint to continue from; .*damaged"):
        go_on(run.path)


@pytest.mark.parametrize("every", ["0", "-5", "0s", "s", "1m", "", "nans", "infs", "1.5"])
def test_an_interval_that_is_none_is_refused(every):
    with pytest.raises(ConfigError, match="checkpoint_every: expected steps"):
        Plan(checkpoint_every=every)


def full(monkeypatch, *names):
    """A disk that has no room for files of these names."""
    replace = os.replace

    def unless_full(source, target):
        if os.path.basename(target) in names:
            raise OSError(28, "No space left on device")
        return replace(source, target)

    monkeypatch.setattr(os, "replace", unless_full)


def test_a_disk_that_is_full_costs_no_more_than_the_steps_since_the_last_checkpoint(tmp_path, monkeypatch):
    start(tmp_path / "whole")
    with monkeypatch.context() as patch:
        full(patch, f"{288:012d}.npz")
        with pytest.raises(
            RunFolderError, match=r"No space left on device; .*(from step (144|216)|last checkpoint is .*144\.npz)"
        ):
            start(tmp_path / "run")
    go_on(tmp_path / "run")
    assert last(tmp_path / "run") == last(tmp_path / "whole")
    assert table(tmp_path / "run") == table(tmp_path / "whole")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_to_write_is_refused(tmp_path):
    _, run = start(tmp_path / "run")
    for path in (run.path, run.path / "checkpoints"):
        path.chmod(0o500)
        with pytest.raises(RunFolderError, match="Permission denied"):
            go_on(run.path, steps=1000)
        path.chmod(0o700)


def test_neither_threads_nor_json_nor_a_second_time_change_a_bit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = ["--steps", "3000", "--n-steps", "500", "--normalize-obs", "--seed", "7"]
    for number, more in enumerate(([], [], ["--threads", "1"], ["--threads", "2", "--json"])):
        assert main(["train", "trpo", "CartPole-v1", *flags, *more, "--out", str(number)]) == 0
    for number in "123":
        assert last(tmp_path / number) == last(tmp_path / "0")
        assert table(tmp_path / number) == table(tmp_path / "0")


def test_an_environment_that_goes_elsewhere_takes_no_file_with_it(tmp_path, monkeypatch):
    flags = ["--num-envs", "1", "--n-steps", "16", "--hidden", "4", "--eval-every", "32", "--checkpoint-every", "16"]
    for args in (
        ["trpo", "test/Roaming-v0", *flags, "--steps", "64", "--out", "run"],
        ["--resume", "run", "--steps", "96"],
    ):
        monkeypatch.chdir(tmp_path)
        assert main(["train", *args]) == 0
    assert os.listdir(tmp_path) == ["run"]
    assert {"curve.png", "config.json", "metrics.csv"} < set(os.listdir(tmp_path / "run"))
    assert minipg.load(tmp_path / "run").steps == 96
    assert Checkpoints(tmp_path / "run").best.exists()


# ---- what looks on -------------------------------------------------------------------------------------------------


def test_a_run_ends_at_its_target_return(tmp_path):
    agent, run = start(tmp_path / "run", steps=10**6, env="test/Counting-v0", eval_every=200, target_return=-1e9)
    assert agent.steps == 216
    agent, run = start(tmp_path / "other", steps=10**6, env="test/Counting-v0", target_return=-1e9)
    assert sum(int(row["episodes"]) for row in run.rows()) >= 100
    assert sum(int(row["episodes"]) for row in run.rows()[:-1]) < 100


def test_the_best_agent_evaluated_is_kept_by_the_callback_too(tmp_path):
    rows = []
    look = in_turn(Evaluation(every=72, episodes=2, best=tmp_path / "best.npz"), lambda _, row: rows.append(row))
    TRPO("CartPole-v1", **SMALL).learn(720, on_update=look)
    best = max(rows, key=lambda row: row["eval_return"])
    assert minipg.load(tmp_path / "best.npz").steps == best["steps"]


def test_one_callback_that_says_so_ends_learning_and_all_of_them_have_looked():
    seen = []
    looks = in_turn(lambda agent, row: False, lambda agent, row: seen.append(row["update"]))
    assert TRPO("CartPole-v1", **SMALL).learn(720, on_update=looks).updates == 1
    assert seen == [1]


def test_no_target_is_reached_before_there_is_a_score():
    agent = TRPO(Counting(), n_steps=4, hidden=(4,))
    assert agent.learn(8, on_update=stop_at(-1e9)).updates == 2


# ---- signals -------------------------------------------------------------------------------------------------------


def wait_for(condition, process, seconds=60):
    patience = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < patience
        time.sleep(0.01)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGHUP, signal.SIGKILL))]
)
def test_whatever_ends_a_process_its_run_goes_on_to_the_same_bits(tmp_path, number):
    flags = ["--steps", "200000", "--checkpoint-every", "4096", "--threads", "1", "--n-steps", "64"]
    command = [sys.executable, "-m", "minipg.cli", "train"]
    subprocess.run([*command, "ppo", "CartPole-v1", *flags, "--out", "whole"], cwd=tmp_path, check=True)
    process = subprocess.Popen(
        [*command, "ppo", "CartPole-v1", *flags, "--out", "run"], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(lambda: len(Checkpoints(tmp_path / "run").files()) > 1, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number), err
    assert len(err.splitlines()) == (number != signal.SIGKILL)
    subprocess.run([*command, "--resume", "run"], cwd=tmp_path, check=True)
    assert last(tmp_path / "whole") == last(tmp_path / "run")
    assert table(tmp_path / "whole") == table(tmp_path / "run")


@pytest.mark.skipif(not hasattr(os, "forkpty"), reason="needs a terminal to close")
def test_closing_the_terminal_stops_at_the_end_of_an_update_with_the_whole_state_saved(tmp_path):
    flags = ["--steps", "60000", "--threads", "1", "--n-steps", "64"]
    command = [sys.executable, "-m", "minipg.cli", "train", "ppo", "CartPole-v1", *flags, "--out"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execv(sys.executable, [*command, "run"])
    patience = time.monotonic() + 60
    while len(RunFolder(tmp_path / "run").rows()) < 5:
        assert time.monotonic() < patience
        os.read(terminal, 1000)
    os.close(terminal)
    os.waitpid(pid, 0)
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))
    stopped = minipg.load(tmp_path / "run")
    assert stopped.mid_episode
    assert stopped.updates == len(RunFolder(tmp_path / "run").rows())


def test_a_second_signal_stops_what_does_not_come_to_its_end(tmp_path, monkeypatch):
    def hanging(agent, *args):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        os.abort()  # never reached

    monkeypatch.setattr(TRPO, "_update", hanging)
    agent, run = start(tmp_path / "run")
    assert agent.updates == 0
    assert minipg.load(run.path).steps == 0


def test_a_request_to_stop_that_is_sent_twice_at_once_is_one_request(tmp_path, monkeypatch):
    # as when a parent ends: once for each of its threads
    update = TRPO._update

    def sent_twice(agent, *args):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        return update(agent, *args)

    monkeypatch.setattr(TRPO, "_update", sent_twice)
    agent, run = start(tmp_path / "run")
    assert agent.updates == minipg.load(run.path).updates == 1


def test_an_error_that_an_interrupt_leaves_behind_is_that_interrupt(tmp_path, monkeypatch):
    def cut_off(agent, *args):
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("no compiled object yet")

    monkeypatch.setattr(TRPO, "_update", cut_off)
    agent, run = start(tmp_path / "run")
    assert agent.updates == 0
    assert minipg.load(run.path).steps == 0


# ---- what must not be lost -----------------------------------------------------------------------------------------


def test_the_place_of_a_damaged_checkpoint_is_taken_by_a_sound_one(tmp_path):
    _, run = start(tmp_path / "run")
    before, newest = last(run.path), Checkpoints(run.path).files()[0]
    newest.write_bytes(before[:1000])
    go_on(run.path)
    assert newest.read_bytes() == before
    assert newest.with_suffix(".damaged").read_bytes() == before[:1000]


def test_other_files_among_the_checkpoints_are_left_alone(tmp_path):
    _, run = start(tmp_path / "run")
    for name in ("7.npz", "9.npz", "²" * 12 + ".npz"):
        (run.path / "checkpoints" / name).write_bytes(b"")
    go_on(run.path, steps=1000)
    assert minipg.load(run.path).steps == 1008
    assert (run.path / "checkpoints" / "7.npz").exists()


@pytest.mark.parametrize("at", [1, 3])
def test_an_update_that_is_cut_off_leaves_the_state_and_the_rows_from_before_it(tmp_path, monkeypatch, at):
    start(tmp_path / "whole", normalize_obs=True)
    collect = TRPO._collect

    def cut_off(agent, collector):
        batch = collect(agent, collector)
        if agent.updates == at:
            raise KeyboardInterrupt
        return batch

    with monkeypatch.context() as patch:
        patch.setattr(TRPO, "_collect", cut_off)
        start(tmp_path / "run", normalize_obs=True)
    assert minipg.load(tmp_path / "run").mid_episode
    go_on(tmp_path / "run")
    assert last(tmp_path / "run") == last(tmp_path / "whole")
    assert table(tmp_path / "run") == table(tmp_path / "whole")


def interrupt(*_):
    raise KeyboardInterrupt


def test_the_account_of_a_run_that_was_cut_off_tells_what_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["minipg.runs.callbacks"], "evaluate", interrupt)
    run = RunFolder.create(tmp_path / "run", "name")
    account = train(TRPO("CartPole-v1", **SMALL), run, quiet(72), Plan(steps=72, eval_every=72))
    assert minipg.load(run.path).steps == 0
    values = [account[name] for name in ("steps", "updates", "steps_per_second", "trained")]
    assert values == [0, 0, 0.0, False]


def cut_off_after_five_updates(folder, monkeypatch, **plan):
    """The account of a run whose state takes so long that it is taken after the first update and for checkpoints."""
    collect, whole_state = TRPO._collect, TRPO.whole_state

    def slow(agent):
        time.sleep(0.05)
        return whole_state(agent)

    monkeypatch.setattr(TRPO, "whole_state", slow)
    monkeypatch.setattr(TRPO, "_collect", lambda agent, c: (interrupt if agent.updates == 5 else collect)(agent, c))
    run = RunFolder.create(folder, "name")
    return train(TRPO("CartPole-v1", **SMALL), run, quiet(432), Plan(steps=432, **plan))


def test_a_run_that_is_cut_off_keeps_no_state_that_is_older_than_its_checkpoints(tmp_path, monkeypatch):
    account = cut_off_after_five_updates(tmp_path / "run", monkeypatch, checkpoint_every="72", keep_checkpoints=2)
    assert account["steps"] == 360
    assert [int(path.stem) for path in Checkpoints(tmp_path / "run").files()] == [360, 288]


def test_the_means_in_the_account_of_a_run_are_those_of_the_state_that_is_kept(tmp_path, monkeypatch):
    account = cut_off_after_five_updates(tmp_path / "run", monkeypatch)
    rows = [{k: float(row[k]) for k in ("mean_return", "mean_length")} for row in RunFolder(tmp_path / "run").rows()]
    assert (account["updates"], len(rows)) == (1, 5)
    assert {k: account[k] for k in rows[0]} == rows[0] != rows[-1]


def test_an_evaluation_that_fails_is_made_again(tmp_path, monkeypatch):
    flags = {"eval_every": 150, "eval_episodes": 2}
    start(tmp_path / "whole", **flags)
    module = sys.modules["minipg.runs.callbacks"]
    with monkeypatch.context() as patch:
        patch.setattr(module, "evaluate", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            start(tmp_path / "run", **flags)
    go_on(tmp_path / "run")
    assert last(tmp_path / "run") == last(tmp_path / "whole")
    assert table(tmp_path / "run") == table(tmp_path / "whole")


def test_a_reader_that_has_gone_does_not_stop_a_run(tmp_path):
    command = f"{sys.executable} -m minipg.cli train trpo CartPole-v1 --steps 9000 --n-steps 64 --out run | head -1"
    subprocess.run(command, shell=True, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert minipg.load(tmp_path / "run").steps >= 9000


def test_a_file_that_names_a_module_is_refused_until_the_caller_names_it_too(tmp_path, monkeypatch):
    path = tmp_path / "agent.npz"
    TRPO("CartPole-v1", **SMALL).learn(72).save(path)
    arrays, meta = load_arrays(path)
    save_arrays(path, arrays, {**meta, "env": "innocent:CartPole-v1"})
    (tmp_path / "innocent.py").write_text("raise SystemExit('executed')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AgentFileError, match="if you trust the module innocent"):
        minipg.load(path)


@pytest.mark.parametrize("hidden", [[100_000, 100_000], [1_000_000]])
def test_a_file_of_few_parameters_does_not_make_a_large_network(tmp_path, hidden):
    path = tmp_path / "agent.npz"
    TRPO("CartPole-v1", **SMALL).save(path)
    arrays, meta = load_arrays(path)
    save_arrays(path, arrays, {**meta, "config": {**meta["config"], "hidden": hidden}})
    with pytest.raises(AgentFileError, match=r"theta: its networks have 100+[02]* parameters or more, the file 58"):
        minipg.load(path)


@pytest.mark.parametrize("answer,updates", [(0, 10), (None, 10), (False, 1), (np.False_, 1), (np.array(False), 10)])
def test_false_ends_learning_and_nothing_else(answer, updates):
    for looks in (lambda agent, row: answer, in_turn(lambda agent, row: answer)):
        assert TRPO("CartPole-v1", **SMALL).learn(720, on_update=looks).updates == updates


def test_a_folder_that_is_not_there_is_named_before_the_settings_that_it_would_have(tmp_path, capsys):
    assert main(["train", "--resume", str(tmp_path / "none"), "--learning-rate", "0.01"]) == 2
    assert capsys.readouterr().err.endswith("none: no such folder\n")
