"""The checkpoints of a run: whole states of its agent, the last few and the best."""

from __future__ import annotations

import contextlib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minipg import algorithms
from minipg.algorithms import Agent
from minipg.algorithms.agent_file import AgentFile, AgentState
from minipg.errors import AgentFileError, MinipgError, RunFolderError
from minipg.runtime.files import cannot_write, require_no_link
from minipg.runtime.storage import load_arrays, save_arrays


@dataclass(frozen=True)
class Checkpoints:
    """The files checkpoints/000000102400.npz, named by the steps of the agent, and checkpoints/best.npz.

    The last `keep` of the numbered ones are kept.
    """

    run: Path
    keep: int = 3

    @property
    def folder(self) -> Path:
        """The folder of the checkpoints. Raises RunFolderError if it is a link to another folder."""
        require_no_link(folder := self.run / "checkpoints")
        return folder

    @property
    def best(self) -> Path:
        """The checkpoint with the highest score."""
        return self.folder / "best.npz"

    def files(self) -> list[Path]:
        """The numbered checkpoints, the newest first."""
        numbered = (path for path in self.folder.glob("*.npz") if re.fullmatch("[0-9]{12,}", path.stem))
        return sorted(numbered, key=lambda path: int(path.stem), reverse=True)

    def newest(self) -> Path:
        """The checkpoint with the most steps. Raises RunFolderError if there is none."""
        if not (files := self.files()):
            runs = sorted(path.parent for path in self.run.glob("*/config.json"))
            raise RunFolderError(f"{self.run}: no checkpoint in it" + (f"; a run is {runs[0]}" if runs else ""))
        require_no_link(files[0])
        return files[0]

    def write(self, state: AgentState) -> None:
        """Save a state that is at least as new as the others, unless one of this step exists. Removes old ones."""
        path = self.folder / f"{state.meta['steps']:012d}.npz"
        try:
            self.folder.mkdir(exist_ok=True)
            if not path.exists():
                save_arrays(path, *state)
            for old in self.files()[self.keep :]:
                old.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error

    def write_best(self, agent: Agent[Any], score: float) -> None:
        """Save the agent as the best one, if its score is higher than that of the best so far."""
        if score > self.best_score():
            agent.save(self.best, {"score": score})

    def best_score(self) -> float:
        """The score of the best checkpoint; −∞ if there is none, if it is a link, or if it cannot be read."""
        score = math.nan
        if self.best.is_symlink():
            return -math.inf
        with contextlib.suppress(AgentFileError, KeyError, TypeError, ValueError, OverflowError):
            score = float(load_arrays(self.best)[1]["notes"]["score"])
        return score if math.isfinite(score) else -math.inf

    def newest_intact(self, **options: Any) -> tuple[Agent[Any], list[str]]:
        """The agent of the newest checkpoint that is not damaged, and what is wrong with newer ones.

        Damaged checkpoints are renamed to *.damaged. Raises RunFolderError if none is intact.
        """
        reasons: list[str] = []
        damaged: list[Path] = []
        for path in self.files():
            try:
                require_no_link(path)
                agent = algorithms.load(path, **options)
            except (AgentFileError, RunFolderError) as error:
                reasons.append(str(error))
                damaged.append(path)
                continue
            for other in damaged:  # intact ones of the same steps will need their names
                other.replace(other.with_suffix(".damaged"))
            return agent, reasons
        raise RunFolderError(f"{self.run}: no checkpoint to continue from" + "".join(f"; {line}" for line in reasons))

    def settings(self) -> Any:
        """The algorithm's config in the newest checkpoint that can be read; None if there is none."""
        for path in self.files():
            with contextlib.suppress(MinipgError):
                file = AgentFile.read(path)
                return file.description(algorithms.class_of(file).Config).config
        return None

    def tidy(self) -> None:
        """Remove temporary files of a process that was killed while it wrote.

        Raises RunFolderError if a folder of the run is a link to another one.
        """
        require_no_link(self.run / "replay")
        names = (".config.json.*", ".metrics.csv.*", ".curve.png.*", "replay/.*.npz.*")
        for path in [*(path for name in names for path in self.run.glob(name)), *self.folder.glob(".*.npz.*")]:
            if not path.is_dir():
                path.unlink(missing_ok=True)


def load(path: str | Path, env: Any = None, **options: Any) -> Agent[Any]:
    """Load an agent of any algorithm from an agent file, or from the newest checkpoint of a run folder.

    It is made on the environment that it was trained on, or on `env`; with `playing`, on one, however many it learned
    from. Raises AgentFileError, or RunFolderError for a folder without a checkpoint.
    """
    path = Path(path)
    return algorithms.load(Checkpoints(path).newest() if path.is_dir() else path, env, **options)
