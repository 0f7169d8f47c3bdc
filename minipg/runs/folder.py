"""The folder of one run: config.json, metrics.csv (a row an update), agent.npz, curve.png."""

from __future__ import annotations

import csv
import json
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from minipg.errors import RunFolderError
from minipg.storage import cannot_write, write_json


@dataclass(frozen=True)
class RunFolder:
    """Paths inside one run's folder, and what is written there."""

    path: Path

    @classmethod
    def create(cls, path: Path | None, name: str) -> RunFolder:
        """A new folder, never one that exists: `path`, or one under `runs/` called after `name` and the time."""
        stem = f"runs/{name.replace('/', '-')}-{time.strftime('%Y%m%d-%H%M%S')}"
        numbered = [Path(stem), *(Path(f"{stem}-{k}") for k in range(2, 1000))]
        for candidate in [path] if path is not None else numbered:
            try:
                candidate.mkdir(parents=True)
                return cls(candidate)
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
    def agent(self) -> Path:
        """The agent's file."""
        return self.path / "agent.npz"

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
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{path}: cannot be read ({error})") from error
        if not isinstance(config, dict):
            raise RunFolderError(f"{path}: expected an object, got {type(config).__name__}")
        return config

    def append(self, row: dict[str, Any]) -> None:
        """One row of the table; the first also writes its head."""
        new = not self.metrics.exists()
        try:
            with self.metrics.open("a", newline="") as file:
                writer = csv.DictWriter(file, list(row))
                if new:
                    writer.writeheader()
                writer.writerow(row)
        except OSError as error:
            raise cannot_write(self.metrics, error) from error

    def rows(self) -> list[dict[str, str]]:
        """The table as it stands, but for a last line that was torn."""
        if not self.metrics.exists():
            return []
        with self.metrics.open(newline="") as file:
            whole = [line for line in file if line.endswith("\n")]
        rows = list(csv.DictReader(whole))
        return [row for row in rows if None not in row and None not in row.values()]
