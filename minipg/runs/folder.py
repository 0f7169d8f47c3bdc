"""The folder of one run: config.json, metrics.csv, checkpoints/, curve.png.

metrics.csv has a row for every update; of A2C, one for as many updates as take 500 steps.
"""

from __future__ import annotations

import contextlib
import platform
import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any

from minipg.errors import RunFolderError
from minipg.runs.metrics import MetricsReader
from minipg.runtime.files import cannot_write, open_appending, read_json, write_json

try:
    import fcntl
except ImportError:  # without it, two processes may train in one folder
    fcntl = None  # type: ignore[assignment]

_NOT_IN_NAMES = r"[^\w.+-]"


@dataclass(frozen=True)
class RunFolder:
    """Paths inside one run's folder, and what is written there.

    `path` is absolute, as an environment may change the working folder: it is below the working folder, or below
    `here`. `shown` is the path as the caller gave it.
    """

    path: Path
    here: InitVar[Path | None] = None
    shown: Path = field(init=False, compare=False)
    imports: list[str] = field(default_factory=list, compare=False)
    """The modules that `command` tells to import: those that the user has named."""

    def __post_init__(self, here: Path | None) -> None:
        object.__setattr__(self, "shown", self.path)
        object.__setattr__(self, "path", (here or Path.cwd()) / self.path)

    @classmethod
    def create(cls, path: Path | None, name: str, here: Path | None = None) -> RunFolder:
        """Make a new folder: `path`, or one below `runs/` whose name is `name` and the time.

        In `name`, characters that not every file system allows become dashes. Raises RunFolderError if `path` exists.
        """
        stem = f"runs/{re.sub(_NOT_IN_NAMES, '-', name)}-{time.strftime('%Y%m%d-%H%M%S')}"
        numbered = [Path(stem), *(Path(f"{stem}-{k}") for k in range(2, 1000))]
        for candidate in [path] if path is not None else numbered:
            folder = cls(candidate, here)
            try:
                folder.path.mkdir(parents=True)
                return folder
            except FileExistsError:
                continue
            except OSError as error:
                raise RunFolderError(f"cannot make the run folder {candidate}: {error.strerror}") from error
        raise RunFolderError(f"the run folder {path or stem} exists already; choose another with --out")

    @classmethod
    def existing(cls, path: Path) -> RunFolder:
        """The folder of an earlier run. Raises RunFolderError if there is none at `path`."""
        try:
            if (path / "config.json").is_file():
                return cls(path)
            what = "holds no run (no config.json)" if path.is_dir() else "no such folder"
        except OSError as error:  # it cannot be searched, or its path is too long
            what = error.strerror or str(error)
        raise RunFolderError(f"{path}: {what}")

    @property
    def metrics(self) -> Path:
        """The table of metrics."""
        return self.path / "metrics.csv"

    @property
    def curve(self) -> Path:
        """The learning curve."""
        return self.path / "curve.png"

    def write_config(self, description: dict[str, Any]) -> None:
        """Write everything needed to repeat the run, with the versions of the packages that computed it."""
        from importlib.metadata import version

        import gymnasium
        import numba
        import numpy
        import scipy

        versions = {"python": platform.python_version(), "minipg-rl": version("minipg-rl")}
        versions |= {package.__name__: package.__version__ for package in (numpy, scipy, numba, gymnasium)}
        write_json(self.path / "config.json", {**description, "versions": versions})

    def config(self) -> dict[str, Any]:
        """Read what `write_config` wrote. Raises RunFolderError if that is impossible."""
        path = self.path / "config.json"
        try:
            config = read_json(path)
        except (OSError, ValueError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or error
            raise RunFolderError(f"{path}: cannot be read ({reason})") from error
        if not isinstance(config, dict):
            raise RunFolderError(f"{path}: expected an object, got {type(config).__name__}")
        return config

    def rows(self) -> list[dict[str, str]]:
        """Every row that the table of metrics has now."""
        return list(MetricsReader(self.metrics).read())

    def command(self, name: str, env_id: str) -> str:
        """The command line `minipg NAME RUN` as it has to be typed, with `--env` where a file may not name it.

        That is an id that names a module, as module:Id-v0 does: nothing that is named in a file is executed.
        """
        shown = str(self.shown)
        run = shlex.quote(f"./{shown}" if shown.startswith("-") else shown)
        env = f" --env {shlex.quote(env_id)}" if ":" in env_id else ""
        return f"minipg {name} {run}{env}" + (f" --imports {shlex.join(self.imports)}" if self.imports else "")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Within, no other process can train in this folder. Raises RunFolderError if one does already."""
        path = self.path / ".lock"
        try:
            file = open_appending(path)
        except OSError as error:
            raise cannot_write(path, error) from error
        with file:
            if fcntl is not None:
                try:
                    # the lock ends when the file is closed, even if the process is killed
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise RunFolderError(f"{self.shown}: another process is training in this folder") from None
            yield
