"""Installed, installed again and removed, in every order, the package is whole and leaves nothing behind."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMPILE = "import numpy as np; from minipg.kernels.cpu import returns as r; z = np.zeros((1, 1)); "
COMPILE += "r.td_errors(z, z, z, z > 0, 0.9, z.copy())"
IMPORT = "import minipg.cli; from minipg import PPO; print(PPO.name)"


class Installation:
    """A virtual environment that has the packages of this one, but not minipg."""

    def __init__(self, folder):
        venv.create(folder / "venv", with_pip=False)
        self.python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        self.packages = Path(self.run("import sysconfig; print(sysconfig.get_paths()['purelib'])"))
        # a path on sys.path, whose own .pth files are not looked at: an editable minipg is not seen
        (self.packages / "shared.pth").write_text(sysconfig.get_paths()["purelib"])
        self.cache = folder / "cache"
        self.source = folder / "source"
        shutil.copytree(ROOT, self.source, ignore=shutil.ignore_patterns(".*", "__pycache__", "build", "*.egg-info"))
        self.before = self.files()

    def files(self):
        return {path for path in self.packages.rglob("*") if "__pycache__" not in path.parts}

    def run(self, code):
        environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "PYTHONPATH")}
        environment |= {"XDG_CACHE_HOME": str(getattr(self, "cache", ""))}
        command = [self.python, "-c", code]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, cwd="/", check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    def pip(self, *arguments):
        command = [sys.executable, "-m", "pip", "--python", self.python, *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self.source)

    def install(self, *options):
        self.pip("install", "--no-deps", "--no-build-isolation", *options, ".")


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME is Linux's")
@pytest.mark.parametrize("order", [[(), ("--editable",)], [("--editable",), ()]], ids=["plain first", "editable first"])
def test_after_kernels_were_compiled_it_is_installed_anew_and_removed_without_a_trace(tmp_path, order):
    installation = Installation(tmp_path)
    for options in order:
        installation.install(*options)
        installation.run(COMPILE)
        assert installation.run(IMPORT) == "ppo"
    assert list(installation.cache.rglob("*.nbc"))
    assert not [path for path in installation.packages.rglob("*.nb?") if "minipg" in path.parts]
    installation.pip("uninstall", "--yes", "minipg-rl")
    assert installation.files() == installation.before
    assert not (installation.packages / "minipg").exists()
