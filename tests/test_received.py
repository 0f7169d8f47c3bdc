"""What is done with a folder from a stranger: nothing in it is executed, followed, believed or shown raw."""

import copy
import io
import json
import math
import os
import shutil
import subprocess
import sys
import zipfile
from contextlib import suppress
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from types import ModuleType

import gymnasium as gym
import numpy as np
import pytest
from endurance import peak_memory
from environments import Counting
from folders import curve, tree, write_run
from test_files import rewrite

import minipg
from minipg import PPO, Backend
from minipg.cli import main
from minipg.commands.parsing import find_modules_here
from minipg.envs import make_vector, rebuild
from minipg.envs.altered import altered
from minipg.envs.processes import ProcessVectorEnv
from minipg.errors import AgentFileError, EnvironmentFault, MinipgError
from minipg.rollout.replay import Replay, Transitions
from minipg.rollout.replay_files import ReplayFiles
from minipg.runs import Checkpoints, Plan, RunFolder
from minipg.runtime.storage import load_arrays

SMALL = ["--num-envs", "1", "--n-steps", "16", "--hidden", "4", "--vf-epochs", "1", "--threads", "1", "--steps", "16"]
IMPORTED_EARLY = ["numpy", "random", "signal", "socket", "struct", "json", "linecache", "sitecustomize", "runpy"]


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A working folder with modules of well-known names. `trap()` says which of them were executed."""
    folder = tmp_path / "received"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])

    def executed():
        return (folder / "executed").read_text() if (folder / "executed").exists() else ""

    def lay(*names):
        for name in names:
            (folder / f"{name}.py").write_text(f"print({name!r}, file=open({str(folder / 'executed')!r}, 'a'))\n")
        return executed

    return lay


# ---- whose modules are imported --------------------------------------------------------------------------------------


def test_the_process_of_a_seed_imports_nothing_from_the_working_folder(trap, capsys):
    executed = trap(*IMPORTED_EARLY)
    assert main(["train", "trpo", "CartPole-v1", *SMALL, "--seeds", "0-1", "--out", "many"]) == 0, capsys.readouterr()
    assert executed() == ""


SCRIPT = """
from minipg.envs import make_vector
if __name__ == "__main__":
    envs = make_vector("CartPole-v1", 1, "process")
    envs.reset(seed=0)
    envs.close()
"""


def test_the_process_of_an_environment_imports_nothing_from_the_working_folder(trap, tmp_path):
    executed = trap(*IMPORTED_EARLY)
    (tmp_path / "script.py").write_text(SCRIPT)
    subprocess.run([sys.executable, tmp_path / "script.py"], check=True)
    assert executed() == ""


def test_the_working_folder_is_searched_for_a_module_that_is_nowhere_else(trap):
    trap("beside")
    find_modules_here("environments:test/Counting-v0")
    assert str(Path.cwd()) not in sys.path
    find_modules_here("beside:Any-v0")
    assert sys.path[-1] == str(Path.cwd())


MADE = {
    "ALE/Pong-v5": "ale_py", "phys2d/CartPole-v1": "jax", "phys2d/CartPole": "jax", "tabular/CliffWalking-v0": "jax",
    "GymV21Environment-v0": "shimmy", "Humanoid-v5": "mujoco", "LunarLander-v3": "Box2D",
}  # fmt: skip


@pytest.mark.parametrize("env", MADE)
@pytest.mark.parametrize("place", ["", None], ids=["", "folder"])
def test_an_id_in_a_file_imports_nothing_from_the_working_folder(trap, monkeypatch, env, place):
    executed = trap(MADE[env])
    monkeypatch.syspath_prepend(str(Path.cwd()) if place is None else place)
    PPO("CartPole-v1", hidden=(4,), threads=1).save("agent.npz")
    rewrite(Path("agent.npz"), env=env, made={"id": {}})
    before = list(sys.path)
    with pytest.raises(MinipgError):
        minipg.load("agent.npz")
    assert executed() == ""
    assert sys.path == before


def test_a_class_in_a_file_and_a_way_of_stepping_import_nothing_from_the_working_folder(trap, monkeypatch):
    executed = trap("jax", "torch", "envpool", "cupy", "tensorboard")
    monkeypatch.syspath_prepend("")
    for call in (
        lambda: rebuild("Any-v0", {"class": "gymnasium.wrappers.jax_to_torch:JaxToTorch"}),
        lambda: make_vector("CartPole-v1", 1, "envpool"),
        lambda: Backend("cupy"),
        lambda: Plan(tensorboard=True),
    ):
        with suppress(MinipgError):  # unless it is installed
            call()
    assert executed() == ""


SESSION = """
import sys
sys.path.remove("")
import minipg
minipg.PPO("CartPole-v1", hidden=(4,), threads=1).save("agent.npz")
sys.path.insert(0, "")
minipg.load("agent.npz")
"""


def test_a_session_that_has_imported_the_rest_imports_nothing_from_the_working_folder_to_load(trap):
    executed = trap("shlex", "csv", "pkgutil", "zipfile", "unittest")
    subprocess.run([sys.executable, "-c", SESSION], check=True)
    assert executed() == ""


@pytest.mark.parametrize("load", ["minipg.load", "from minipg import load; load"])
def test_a_session_that_only_loads_imports_nothing_from_the_working_folder(trap, load):
    PPO("CartPole-v1", hidden=(4,), threads=1).save("agent.npz")
    executed = trap("yaml", "coverage", "cython", "colorama", "scipy", "numba", "timeit", "uuid", "zipfile")
    subprocess.run([sys.executable, "-c", f"import minipg; {load}('agent.npz')"], check=True)
    assert executed() == ""


def test_a_class_in_a_file_is_no_name_for_which_an_imported_module_imports_another(trap, monkeypatch):
    executed = trap("late")
    monkeypatch.syspath_prepend("")
    module = ModuleType("lazy")  # as numpy, which imports numpy.testing, and so unittest, when it is asked for it
    module.__getattr__ = lambda name: import_module("late")
    monkeypatch.setitem(sys.modules, "lazy", module)
    with pytest.raises(MinipgError):
        rebuild("Any-v0", {"class": "lazy:Env"})
    assert executed() == ""


def test_what_the_caller_registers_may_be_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    Path("beside.py").write_text("import and_this\nfrom environments import Counting\n")
    Path("and_this.py").touch()
    gym.register("test/Beside-v0", "beside:Counting")
    PPO("test/Beside-v0", hidden=(4,), threads=1).save("agent.npz")
    assert minipg.load("agent.npz").env_id == "test/Beside-v0"


def test_a_function_that_the_caller_passes_may_import_from_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    Path("late.py").write_text("from environments import Counting\n")
    PPO("test/Counting-v0", hidden=(4,), threads=1).save("agent.npz")
    before = list(sys.path)
    minipg.load("agent.npz", env=lambda: import_module("late").Counting())
    assert sys.modules["late"].__file__ == str(tmp_path / "late.py")
    assert sys.path == before


# ---- whose settings are read -----------------------------------------------------------------------------------------


def command(*args, **environment):
    """The installed command, whose path has no working folder. Returns its status and the lines that it printed."""
    command = [Path(sys.executable).with_name("minipg"), *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **environment})
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


@pytest.mark.parametrize("backend", ["module://absent", "nonsense"])
def test_a_picture_has_neither_the_backend_of_a_notebook_nor_the_settings_of_the_working_folder(
    tmp_path, monkeypatch, backend
):
    monkeypatch.chdir(write_run(tmp_path / "run", curve([100, 200], [1, 2])))
    Path("matplotlibrc").write_text("text.usetex: True\nfigure.dpi: none\nsavefig.transparent: True\n\0")
    assert command("plot", ".", MPLBACKEND=backend) == (0, ["diagnostics.png"], [])


def test_numba_reads_no_settings_of_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(".numba_config.yaml").write_text("disable_jit: 1\ncache_dir: here\n")
    status, _, err = command("train", "trpo", "CartPole-v1", *SMALL, "--out", "run")
    assert (status, err) == (0, [])


# ---- what is opened --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with a run of 16 steps."""
    folder = tmp_path_factory.mktemp("whole")
    assert main(["train", "trpo", "CartPole-v1", *SMALL, "--out", str(folder / "run")]) == 0
    return folder


@pytest.fixture
def run(whole, tmp_path, monkeypatch):
    """A copy of that run, in the working folder; beside that is `outside`, with a file and a run of its own."""
    shutil.copytree(whole, tmp_path / "received")
    shutil.copytree(whole, tmp_path / "outside")
    (tmp_path / "outside" / "file").write_text("precious")
    monkeypatch.chdir(tmp_path / "received")
    return Path("run")


RESUME = ["train", "--resume", "run", "--steps", "32", "--threads", "1"]
COMMANDS = {
    "resume": RESUME, "evaluate": ["evaluate", "run", "--episodes", "1", "--max-steps", "600"], "plot": ["plot", "run"],
    "watch": ["watch", "run"], "list": ["list", "runs", "."],
}  # fmt: skip


def one_line(capsys, *args):
    """The status of a command that ends with 0, or with 2 and one line."""
    capsys.readouterr()
    status = main([str(arg) for arg in args])
    err = capsys.readouterr().err
    assert status in (0, 2), err
    assert status == 0 or len(err.splitlines()) == 1, err
    return status, err


NEWEST = f"checkpoints/{16:012d}.npz"
FILES = ["config.json", "metrics.csv", ".lock", NEWEST, "curve.png", "diagnostics.png", f"checkpoints/{32:012d}.npz"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("target", ["file", "run/{}", "new"])
def test_no_link_in_a_run_folder_is_followed(run, capsys, command, name, target):
    outside, link = run.absolute().parents[1] / "outside", run / name
    link.unlink(missing_ok=True)
    link.symlink_to(outside / target.format(name))
    before = tree(outside)
    status, err = one_line(capsys, *COMMANDS[command])
    assert tree(outside) == before
    assert status == 0 or name in err


@pytest.mark.parametrize("command", COMMANDS)
def test_checkpoints_that_are_a_link_are_refused(run, capsys, command):
    outside = run.absolute().parents[1] / "outside"
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").symlink_to(outside / "run" / "checkpoints")
    (outside / "run/checkpoints/.killed.npz.1").touch()
    before = tree(outside)
    status, err = one_line(capsys, *COMMANDS[command])
    assert tree(outside) == before
    assert (status, "checkpoints: it is a link" in err) == (
        (2, True) if command in ("resume", "evaluate") else (0, False)
    )


def test_a_best_checkpoint_that_is_a_link_is_not_read_but_replaced(run):
    agent, best = minipg.load("run"), run / "checkpoints/best.npz"
    outside = Path.cwd().parent / "outside/best.npz"
    agent.save(outside, {"score": 1e9})
    best.symlink_to(outside)
    before = outside.read_bytes()
    Checkpoints(run).write_best(agent, 7.0)
    assert Checkpoints(run).best_score() == 7.0
    assert not best.is_symlink()
    assert outside.read_bytes() == before


def test_a_replay_that_is_a_link_is_refused(run, capsys):
    outside = run.absolute().parents[1] / "outside"
    (run / "replay").symlink_to(outside)
    (outside / ".killed.npz.1").touch()
    before = tree(outside)
    status, err = one_line(capsys, *RESUME)
    assert tree(outside) == before
    assert (status, "replay: it is a link" in err) == (2, True)


def test_a_part_of_a_replay_that_is_a_link_is_not_read(tmp_path):
    replay, files = Replay(8, 2, 1), ReplayFiles(tmp_path / "replay")
    replay.put(0, Transitions(*(np.ones((4, *column.shape[1:]), column.dtype) for column in replay.rows)))
    files.write(replay)
    assert files.restore(Replay(8, 2, 1), 4, replay.between(4, 4)) == ""
    part = files.folder / f"{0:012d}.npz"
    part.rename(tmp_path / "outside.npz")
    part.symlink_to(tmp_path / "outside.npz")
    assert "is a link" in files.restore(Replay(8, 2, 1), 4, replay.between(4, 4))


SEEDS_FILES = ["seed0.log", "seed0.json", ".lock", "curves.png", "seeds.json", "seed0", "seed1"]


@pytest.mark.parametrize("name", SEEDS_FILES)
@pytest.mark.parametrize("target", ["file", "run", "new"])
def test_no_link_in_a_folder_of_seeds_is_followed(run, capsys, name, target):
    asked = {"algorithm": "trpo", "env": "CartPole-v1", "flags": SMALL, "seeds": [0], "jobs": 1}
    run.rename("seed0")
    Path("seeds.json").write_text(json.dumps(asked))
    shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink(missing_ok=True)
    outside = Path.cwd().parent / "outside"
    Path(name).symlink_to(outside / target)
    before = tree(outside)
    one_line(capsys, "train", "--resume", ".", "--steps", "32")
    assert tree(outside) == before


def nest(folder, depth, name="d"):
    """Make folders in folders below `folder`, deeper than a path can be long."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        outer, here = here, os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(outer)
    os.close(here)


@pytest.mark.parametrize("place", ["", ".config.json.1", "checkpoints"])
def test_folders_in_folders_in_the_place_of_a_seeds_run_are_left_alone(run, capsys, place):
    asked = {"algorithm": "trpo", "env": "CartPole-v1", "flags": SMALL, "seeds": [0], "jobs": 1}
    Path("seeds.json").write_text(json.dumps(asked))
    folder = Path("seed0", place)
    folder.mkdir(parents=True)
    nest(folder, 3000)
    status, err = one_line(capsys, "train", "--resume", ".")
    assert (status, "seed0: holds no run (no config.json), but other files" in err) == (2, True)
    assert (folder / "d/d").is_dir()
    subprocess.run(["rm", "-r", folder], check=True)  # pytest's own way recurses


def make_pipe(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def make_folder(path):
    path.unlink(missing_ok=True)
    path.mkdir()


def make_sparse(path):
    with path.open("r+b" if path.exists() else "wb") as file:
        file.truncate(300 << 30)


def make_endless(path):
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", FILES[:5])
@pytest.mark.parametrize("make", [make_pipe, make_folder, make_sparse, make_endless])
def test_what_is_no_regular_file_of_a_sane_size_is_refused_at_once(run, capsys, command, name, make):
    make(run / name)
    before = peak_memory()
    status, err = one_line(capsys, *COMMANDS[command])
    assert status == 0 or Path(name).name in err
    assert peak_memory() - before < 100e6


@pytest.mark.parametrize("make", [make_pipe, make_sparse, make_endless])
def test_an_agent_file_that_is_named_is_a_regular_one_of_a_sane_size(tmp_path, make):
    make(tmp_path / "agent.npz")
    with pytest.raises(AgentFileError, match=r"not a regular file|bytes are more than"):
        minipg.load(tmp_path / "agent.npz")


def test_a_link_to_an_agent_file_that_is_named_is_followed(run):
    Path("link.npz").symlink_to(run / NEWEST)
    assert minipg.load("link.npz").steps == 16


def test_arrays_of_a_file_that_are_the_same_bytes_are_refused_before_they_are_read(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("theta.npy", bytes(1_000_000))
        info = archive.infolist()[0]
        for number in range(3000):
            again = copy.copy(info)
            again.filename = f"{number:05}.npy"
            archive.filelist.append(again)
        archive.comment = bytes(64)
    body = buffer.getvalue()[:-64]
    (tmp_path / "agent.npz").write_bytes(body + sha256(body).hexdigest().encode())
    before = peak_memory()
    with pytest.raises(AgentFileError, match="its arrays overlap"):
        minipg.load(tmp_path / "agent.npz")
    assert peak_memory() - before < 50e6


SAYS = ["its wrappers would make observations of more than", "trained on the observation space"]


@pytest.mark.parametrize("sizes,says", [([2000] * 3, SAYS[0]), ([2] * 40, SAYS[0]), ([500, 2000], SAYS[1])])
def test_stacks_of_stacks_of_observations_in_a_file_are_refused_before_they_are_made(tmp_path, capsys, sizes, says):
    env = gym.wrappers.FrameStackObservation(gym.make("CartPole-v1"), 2)
    PPO(env, hidden=(4,), threads=1).save(tmp_path / "agent.npz")
    made = load_arrays(tmp_path / "agent.npz")[1]["made"]
    ((name, arguments),) = made["recipe"]["wrappers"]
    fields = dict(arguments["dict"])
    stacks = [[name, {"dict": [*({**fields, "stack_size": size}).items()]}] for size in sizes]
    rewrite(tmp_path / "agent.npz", made={"recipe": {**made["recipe"], "wrappers": stacks}})
    before = peak_memory()
    status, err = one_line(capsys, "evaluate", tmp_path / "agent.npz", "--episodes", "1")
    assert (status, says in err) == (2, True)
    assert peak_memory() - before < 1e9


@pytest.mark.parametrize("vec", ["process", "gymnasium"])
def test_an_evaluation_makes_the_environments_that_it_needs(tmp_path, monkeypatch, capsys, vec):
    PPO("test/Counting-v0", hidden=(4,), threads=1).save(tmp_path / "agent.npz")
    config = load_arrays(tmp_path / "agent.npz")[1]["config"]
    rewrite(tmp_path / "agent.npz", config={**config, "num_envs": 500, "vec": vec})
    made = []
    monkeypatch.setattr(ProcessVectorEnv, "_start", lambda envs, numbers: made.extend(numbers))
    minipg.load(tmp_path / "agent.npz")
    assert not made
    monkeypatch.undo()
    init = Counting.__init__
    monkeypatch.setattr(
        Counting, "__init__", lambda env, *args, **options: made.append(env) or init(env, *args, **options)
    )
    assert main(["evaluate", str(tmp_path / "agent.npz"), "--episodes", "2"]) == 0
    assert len(made) < 5


# ---- tables that are damaged -----------------------------------------------------------------------------------------

TAILS = [b"2,3\xff", bytes(5000), b"2,32,\0", b'2,"', b"\xc3", b"2" * 70_000]


@pytest.mark.parametrize("tail", TAILS, ids=range(len(TAILS)))
def test_a_torn_tail_of_the_table_is_cut_and_the_rest_is_used(run, capsys, tail):
    table = (run / "metrics.csv").read_bytes()
    (run / "metrics.csv").write_bytes(table + tail)
    assert main(RESUME) == 0, capsys.readouterr()
    assert (run / "metrics.csv").read_bytes().startswith(table)
    assert [int(row["update"]) for row in RunFolder(run).rows()] == [1, 2]


def test_a_torn_tail_that_lacks_but_the_end_of_its_line_is_cut(run, capsys):
    table = (run / "metrics.csv").read_bytes()
    (run / "metrics.csv").write_bytes(table.removesuffix(b"\r\n"))
    assert main(RESUME) == 0, capsys.readouterr()
    assert [int(row["update"]) for row in RunFolder(run).rows()] == [2]


def test_a_damaged_line_of_the_table_is_dropped(run, capsys):
    head, row = (run / "metrics.csv").read_bytes().splitlines(keepends=True)
    without_number = b"\xff" + row[row.index(b",") :]
    (run / "metrics.csv").write_bytes(head + b"\0\xff\r\n" + without_number + row + b"1,\r\n")
    assert main(RESUME) == 0, capsys.readouterr()
    assert b"\xff" not in (run / "metrics.csv").read_bytes()
    assert [int(row["update"]) for row in RunFolder(run).rows()] == [1, 2]


def test_another_table_is_refused_and_kept(run, capsys):
    (run / "metrics.csv").write_text("a,b\n1,2\n")
    status, err = one_line(capsys, *RESUME)
    assert (status, "metrics.csv: not a table of metrics" in err) == (2, True)
    assert (run / "metrics.csv").read_text() == "a,b\n1,2\n"


DAMAGE = {
    "bytes": lambda table: bytes(range(256)) * 10, "a long line": lambda table: table + b"1" * 10**6,
    "quotes": lambda table: table + b'"' * 200_000 + b"\n", "NUL": lambda table: table.replace(b",", b"\0,"),
    "a long head": lambda table: b"steps," * 100_000 + table, "no text": lambda table: b"\xff" * 100 + table,
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_table_ends_no_command_in_more_than_a_line(run, capsys, command, damage):
    (run / "metrics.csv").write_bytes(DAMAGE[damage]((run / "metrics.csv").read_bytes()))
    one_line(capsys, *COMMANDS[command])


@pytest.mark.parametrize("command", ["resume", "plot"])
def test_a_table_of_more_rows_than_a_run_has_is_refused_before_it_is_read_whole(run, capsys, command):
    with (run / "metrics.csv").open("ab") as table:
        table.write(b"1\n" * 3_000_000)
    before = peak_memory()
    status, err = one_line(capsys, *COMMANDS[command])
    assert (status, "metrics.csv: damaged, or too long" in err) == (2, True)
    assert peak_memory() - before < 100e6


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_run_is_one_line_among_the_others(run, capsys, damage):
    write_run(Path("sound"), curve([100], [7]))
    (run / "metrics.csv").write_bytes(DAMAGE[damage]((run / "metrics.csv").read_bytes()))
    (run / "config.json").write_bytes(b"\xff")
    assert main(["list", "runs", "."]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert any("damaged" in line for line in lines)
    assert any("7.0" in line for line in lines)
    assert main(["plot", "."]) == 0


def has_long_path(folder):
    """A run whose path is as long as one may be: those of its files are longer."""
    here = os.getcwd()
    os.chdir(folder)
    while 4090 - len(os.getcwd()) > 250:
        os.mkdir("d" * 240)
        os.chdir("d" * 240)
    os.mkdir(last := "d" * (4090 - len(os.getcwd()) - 1))
    os.chdir(last)
    Path("config.json").touch()
    os.chdir(here)


def has_no_way_in(folder):
    write_run(folder / "closed", curve([100], [7]))
    (folder / "closed").chmod(0o400)


@pytest.mark.parametrize("make", [has_long_path, has_no_way_in])
def test_a_run_whose_files_cannot_be_reached_is_one_line_among_the_others(tmp_path, capsys, make):
    write_run(tmp_path / "received/sound", curve([100], [7]))
    make(tmp_path / "received")
    reached = make is has_no_way_in and os.access(tmp_path / "received/closed/config.json", os.R_OK)  # as by root
    assert main(["list", "runs", str(tmp_path / "received")]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    assert sorted("damaged" in line for line in lines) == [False, not reached]
    assert main(["plot", str(tmp_path / "received")]) == 0
    assert len(capsys.readouterr().err.splitlines()) == (not reached)


# ---- what is shown ---------------------------------------------------------------------------------------------------

NASTY = "\x1b]0;owned\x07\x1b[2J\r\b\u202eevil\n"


@pytest.mark.parametrize("command", ["plot", "watch", "list", "evaluate", "resume"])
def test_what_a_terminal_would_obey_is_spelled_and_cut(run, capsys, command):
    config = json.loads((run / "config.json").read_text())
    changed = {"env": NASTY + "x" * 10**5, "algorithm": NASTY * 9, "checkpoint_every": NASTY * 10**4}
    (run / "config.json").write_text(json.dumps({**config, **changed}))
    table = (run / "metrics.csv").read_text()
    (run / "metrics.csv").write_text(table.replace(",ok", f',"{NASTY.strip()}"'))
    main(COMMANDS[command])
    for text in capsys.readouterr():
        assert len(text) < 5000
        assert all(line.isprintable() for line in text.splitlines())
        assert "\r" not in text


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", "x" * 250])
def test_the_name_of_a_folder_is_spelled_and_cut(tmp_path, capsys, name):
    write_run(tmp_path / name / "run", curve([100], [7]))
    assert main(["list", "runs", str(tmp_path / name)]) == 0
    assert main(["plot", str(tmp_path / name / "other")]) == 2
    out, err = capsys.readouterr()
    assert all(line.isprintable() for line in [*out.splitlines(), *err.splitlines()])
    assert len(err.splitlines()) == 1
    assert len(out.splitlines()) == 2
    write_run(tmp_path / name / "other", curve([100], [7]))
    for path in (tmp_path / name, tmp_path / name / "run"):
        assert main(["plot", str(path)]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        assert line.isprintable()


@pytest.mark.parametrize("value", ["1e308", "-1e308", "1e300", "inf", "1e-320", "9" * 400])
def test_returns_of_any_size_are_drawn_and_shown(run, capsys, value):
    shutil.rmtree(run)
    rows = curve([16, 32, 48], [0, 0, -1])
    write_run(run, [row | {"batch_return": value} for row in rows[:1]] + [rows[1] | {"mean_return": value}, rows[2]])
    for command in ("plot", "watch", "list"):
        assert main(COMMANDS[command]) == 0, capsys.readouterr()
    write_run(Path("other"), curve([100], [7]))
    assert main(["plot", "."]) == 0
    out, err = capsys.readouterr()
    assert len(out) < 3000
    assert err == ""


# ---- what an environment, a user or a system may do ------------------------------------------------------------------


class Odd(BaseException):
    """An exception that is none."""


class Raising(Counting):
    """Raises what is no Exception in its fifth step, or as it is closed."""

    def step(self, act):
        if self.time == 4:
            raise Odd("\x1b[2J")
        return super().step(act)

    def close(self):
        raise Odd


gym.register("test/Raising-v0", Raising, kwargs={"script": [(9, True, False)]})


@pytest.mark.parametrize("vec", ["gymnasium", "process"])
def test_an_exception_that_is_none_is_one_line(tmp_path, capfd, vec):
    args = ["train", "trpo", "test/Raising-v0", *SMALL, "--vec", vec, "--out", str(tmp_path / "run")]
    assert main(args) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "environment 0 raised Odd at step 5: \\x1b[2J (" in line


def test_an_exception_that_is_none_does_not_end_the_comparison_with_a_new_environment():
    assert altered([gym.make("test/Raising-v0")], gym.make("test/Raising-v0")) == ""


THREADS = [("NUMBA_NUM_THREADS", value) for value in ("0", "-3", "²")]
VARIABLES = [("NUMBA_DISABLE_JIT", "1"), *THREADS]


@pytest.mark.parametrize("name,value", VARIABLES)
def test_variables_with_which_numba_does_not_compile_are_refused(capsys, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    status, err = one_line(capsys, "train", "trpo", "CartPole-v1")
    assert (status, err.startswith(f"minipg: {name}: expected")) == (2, True)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("args", ["evaluate run --episodes 1", "plot run", " ".join(RESUME), "list"])
def test_a_command_works_where_a_standard_stream_is_closed(run, args, closed):
    executable = Path(sys.executable).with_name("minipg")
    done = subprocess.run(["sh", "-c", f"{executable} {args} {closed}"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="writes to a disk that is full")
@pytest.mark.parametrize("args", ["--help", "list", "train trpo --help"])
def test_help_that_cannot_be_written_is_one_line(args):
    with open("/dev/full", "w") as full:
        executable = Path(sys.executable).with_name("minipg")
        done = subprocess.run([executable, *args.split()], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_a_number_of_steps_that_no_array_has_is_refused(capsys):
    status, err = one_line(capsys, "train", "trpo", "CartPole-v1", "--n-steps", str(10**23))
    assert (status, "n_steps: expected an integer from 1" in err) == (2, True)


def test_files_have_the_rights_that_the_user_asks_for(tmp_path):
    before = os.umask(0o077)
    try:
        assert main(["train", "trpo", "CartPole-v1", *SMALL, "--out", str(tmp_path / "run")]) == 0
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "run").rglob("*")} == {0}


class Rich(Counting):
    """Pays 10³⁰."""

    def step(self, act):
        obs, _, *rest = super().step(act)
        return obs, 1e30, *rest


@pytest.mark.parametrize(
    "algorithm", [one for one in minipg.ALGORITHMS.values() if one.name not in ("dpg", "ddpg", "td3")]
)
def test_a_reward_whose_square_is_not_finite_is_refused_or_scaled(algorithm):
    settings = {"num_envs": 1, "hidden": (4,), "threads": 1}
    with pytest.raises(EnvironmentFault, match="reward of size 1e"):
        algorithm(Rich, **settings).learn(16, progress=False)
    rows = []
    scaled = algorithm(Rich, normalize_reward=True, **settings)
    scaled.learn(64, on_update=lambda _, row: rows.append(row), progress=False)
    assert all(math.isfinite(row.get("value_loss", 0)) for row in rows)
