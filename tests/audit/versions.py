"""Install, train and test with several Pythons: each with the newest dependencies, the first also with the lowest.

    python tests/audit/versions.py python3.10 python3.11 python3.12 python3.13
    python tests/audit/versions.py python3.10 --lowest --folder versions

Everything is done from a source distribution of this checkout, in a folder that holds the virtual environments, the
compiled kernels and the logs. Kernels are compiled anew, so one Python takes about ten minutes.
"""

from __future__ import annotations

import argparse
import configparser
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
# the tests that depend on the versions of Python and of the packages most
QUICK = [
    "again", "cache", "cli", "collector", "compiled", "faults", "files", "layering", "old_files", "plots", "precompile",
    "recorder", "render", "settings", "spaces", "vectors", "watch",
]  # fmt: skip


def source_distribution(folder: Path) -> Path:
    """Build a source distribution of this checkout and unpack it in `folder`. Returns the unpacked folder."""
    build = f"from setuptools.build_meta import build_sdist; build_sdist({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def lowest() -> list[str]:
    """The least versions that setup.cfg allows, as constraints of pip."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    return settings["options"]["install_requires"].replace(">=", "==").split()


def works(python: str, constraints: list[str], source: Path, folder: Path) -> bool:
    """Install with this Python, train, and run the tests. The output goes to a log in `folder`."""
    folder.mkdir()
    (folder / "constraints.txt").write_text("\n".join(constraints))
    run = folder / "bin/python"
    commands: list[list[str | Path]] = [
        [python, "-m", "venv", folder],
        [run, "-m", "pip", "install", "--quiet", "-c", folder / "constraints.txt", "-e", f"{source}[test]"],
        [run, "-m", "pip", "list"],
        [run, "-m", "minipg", "train", "trpo", "CartPole-v1", "--steps", "20000", "--out", folder / "run"],
        [run, "-m", "pytest", *(f"tests/test_{name}.py" for name in QUICK)],
    ]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "kernels")}
    with (folder / "log").open("w") as log:
        for command in commands:
            print(time.strftime("%H:%M:%S"), *command, file=log, flush=True)
            if subprocess.run(command, cwd=source, env=environment, stdout=log, stderr=log).returncode:
                return False
    return True


def main() -> int:
    """Returns the exit status: 1 if something failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="+", help="interpreters, the oldest first")
    parser.add_argument("--lowest", action="store_true", help="try only the first, with the lowest dependencies")
    parser.add_argument("--folder", type=Path, help="an empty folder to work in; by default a temporary one")
    options = parser.parse_args()
    folder = (options.folder or Path(tempfile.mkdtemp())).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    source = source_distribution(folder)
    tried = [] if options.lowest else [(python, []) for python in options.pythons]
    failed = False
    for python, constraints in [*tried, (options.pythons[0], lowest())]:
        name, start = Path(python).name + ("-lowest" if constraints else ""), time.monotonic()
        good = works(python, constraints, source, folder / name)
        print(f"{name}: {'works' if good else 'fails'}, {time.monotonic() - start:.0f} s; {folder / name / 'log'}")
        failed |= not good
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
