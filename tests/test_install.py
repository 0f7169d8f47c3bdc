"""Installed, installed another way and uninstalled, the package works every time and leaves no file behind."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
USE = """
import minipg.cli, numpy as np
from minipg import PPO
from minipg.kernels.cpu import returns
z = np.zeros((1, 1))
returns.td_errors(z, z, z, z > 0, 0.9, z.copy())
print(PPO.name)
"""


class Installation:
    """A virtual environment that has the packages of this one, but not minipg."""

    def __init__(self, folder):
        venv.create(folder / "venv", with_pip=False)
        self.python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        self.packages = Path(self.run("import sysconfig; print(sysconfig.get_paths()['purelib'])"))
        # the .pth files of this folder are not read, so an editable minipg in it is not found
        (self.packages / "shared.pth").write_text(sysconfig.get_paths()["purelib"])
        self.cache = folder / "cache"
        self.source = folder / "source"
        shutil.copytree(ROOT, self.source, ignore=shutil.ignore_patterns(".*", "__pycache__", "build", "*.egg-info"))
        self.before = self.files()

    def files(self):
        return {path for path in self.packages.rglob("*") if "__pycache__" not in path.parts}

    def run(self, code, folder="/"):
        environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "PYTHONPATH")}
        environment |= {"XDG_CACHE_HOME": str(getattr(self, "cache", ""))}
        command = [self.python, "-c", code]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    def pip(self, *arguments):
        command = [sys.executable, "-m", "pip", "--python", self.python, *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=self.source, check=False)
        assert ended.returncode == 0, ended.stderr

    def install(self, *options):
        self.pip("install", "--no-deps", "--no-build-isolation", *options, ".")


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME is Linux's")
def test_plain_and_editable_installs_replace_each_other_after_compiling_and_uninstalling_leaves_no_file(tmp_path):
    installation = Installation(tmp_path)
    for options in ((), ("--editable",), ()):
        installation.install(*options)
        assert installation.run(USE) == installation.run(USE, installation.source) == "ppo"
    assert list(installation.cache.rglob("*.nbc"))
    assert not [path for path in installation.packages.rglob("*.nb?") if "minipg" in path.parts]
    installation.pip("uninstall", "--yes", "minipg-rl")
    assert installation.files() == installation.before
    assert not (installation.packages / "minipg").exists()
