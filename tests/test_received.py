"""What is done with a folder from a stranger: nothing in it is executed, followed, believed or shown raw."""

import os
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import pytest
from folders import curve, write_run
from test_files import rewrite

import minipg
from minipg import PPO, Backend
from minipg.cli import main
from minipg.commands.parsing import find_modules_here
from minipg.envs import make_vector, rebuild
from minipg.errors import MinipgError
from minipg.runs import Plan

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
        with pytest.raises(MinipgError):
            call()
    assert executed() == ""


def test_what_the_caller_registers_may_be_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    Path("beside.py").write_text("import and_this\nfrom environments import Counting\n")
    Path("and_this.py").touch()
    gym.register("test/Beside-v0", "beside:Counting")
    PPO("test/Beside-v0", hidden=(4,), threads=1).save("agent.npz")
    assert minipg.load("agent.npz").env_id == "test/Beside-v0"


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
