"""The folder of one run: config.json, metrics.csv (a row an update), checkpoints/, curve.png."""

from __future__ import annotations

import contextlib
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import InitVar, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from minipg.errors import RunFolderError
from minipg.runs.metrics import MetricsReader
from minipg.runtime.storage import cannot_write, write_json

try:
    import fcntl
except ImportError:  # not on this system: then two processes are not kept apart
    fcntl = None  # type: ignore[assignment]


@dataclass(frozen=True)
class RunFolder:
    """Paths inside one run's folder, and what is written there.

    `path` is absolute, from the working folder or from `here`, as an environment may go elsewhere; `shown` is what the
    caller called it.
    """

    path: Path
    here: InitVar[Path | None] = None
    shown: Path = field(init=False, compare=False)

    def __post_init__(self, here: Path | None) -> None:
        object.__setattr__(self, "shown", self.path)
        object.__setattr__(self, "path", (here or Path.cwd()) / self.path)

    @classmethod
    def create(cls, path: Path | None, name: str, here: Path | None = None) -> RunFolder:
        """A new folder, never one that exists: `path`, or one under `runs/` called after `name` and the time."""
        stem = f"runs/{name.replace('/', '-')}-{time.strftime('%Y%m%d-%H%M%S')}"
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
        """The folder of a run that was made before. Raises RunFolderError for anything else."""
        if not (path / "config.json").is_file():
            what = "holds no run (no config.json)" if path.is_dir() else "no such folder"
            raise RunFolderError(f"{path}: {what}")
        return cls(path)

    @property
    def metrics(self) -> Path:
        """The table of metrics."""
        return self.path / "metrics.csv"

    @property
    def curve(self) -> Path:
        """The learning curve."""
        return self.path / "curve.png"

    def write_config(self, description: dict[str, Any]) -> None:
        """Everything needed to repeat the run, versions included."""
        packages = ("minipg-rl", "numpy", "scipy", "numba", "gymnasium")
        versions = {"python": platform.python_version(), **{name: version(name) for name in packages}}
        write_json(self.path / "config.json", {**description, "versions": versions})

    def config(self) -> dict[str, Any]:
        """What `write_config` wrote. Raises RunFolderError where that cannot be read."""
        path = self.path / "config.json"
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise RunFolderError(f"{path}: cannot be read ({error})") from error
        if not isinstance(config, dict):
            raise RunFolderError(f"{path}: expected an object, got {type(config).__name__}")
        return config

    def rows(self) -> list[dict[str, str]]:
        """The table of metrics as it stands."""
        return list(MetricsReader(self.metrics).read())

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else trains in this folder for as long. Raises RunFolderError where somebody does."""
        path = self.path / ".lock"
        try:
            file = path.open("a")
        except OSError as error:
            raise cannot_write(path, error) from error
        with file:
            if fcntl is not None:
                try:
                    fcntl.flock(
                        file, fcntl.LOCK_EX | fcntl.LOCK_NB
                    )  # until the file is closed, whatever ends the process
                except BlockingIOError:
                    raise RunFolderError(f"{self.shown}: another process is training in this folder") from None
            yield
