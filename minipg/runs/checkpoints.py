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
from minipg.algorithms.agent_file import AgentState
from minipg.errors import AgentFileError, RunFolderError
from minipg.runtime.storage import cannot_write, load_arrays, save_arrays


@dataclass(frozen=True)
class Checkpoints:
    """checkpoints/000000102400.npz after so many steps, of which `keep` are kept, and checkpoints/best.npz."""

    run: Path
    keep: int = 3

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self.run / "checkpoints"

    @property
    def best(self) -> Path:
        """That of the highest score."""
        return self.folder / "best.npz"

    def files(self) -> list[Path]:
        """Those of the last steps, the newest first."""
        numbered = (path for path in self.folder.glob("*.npz") if re.fullmatch("[0-9]{12,}", path.stem))
        return sorted(numbered, key=lambda path: int(path.stem), reverse=True)

    def newest(self) -> Path:
        """That of the most steps. Raises RunFolderError where there is none."""
        if not (files := self.files()):
            raise RunFolderError(f"{self.run}: no checkpoint in it")
        return files[0]

    def write(self, state: AgentState) -> None:
        """A state no older than those on file, unless there is one of this very step; of all, the last `keep` stay."""
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
        """The agent as it stands, if no better score is on file."""
        if score > self.best_score():
            agent.save(self.best, {"score": score})

    def best_score(self) -> float:
        """What the best one scored; −∞ where there is none that can be read."""
        score = math.nan
        with contextlib.suppress(AgentFileError, KeyError, TypeError, ValueError, OverflowError):
            score = float(load_arrays(self.best)[1]["notes"]["score"])
        return score if math.isfinite(score) else -math.inf

    def newest_sound(self, **options: Any) -> tuple[Agent[Any], list[str]]:
        """The agent of the newest sound checkpoint, and what was wrong with newer ones, which are put aside.

        Raises RunFolderError.
        """
        wrong: list[str] = []
        damaged: list[Path] = []
        for path in self.files():
            try:
                agent = algorithms.load(path, **options)
            except AgentFileError as error:
                wrong.append(str(error))
                damaged.append(path)
                continue
            for other in damaged:  # their places are wanted for sound ones
                other.replace(other.with_suffix(".damaged"))
            return agent, wrong
        raise RunFolderError(f"{self.run}: no checkpoint to go on from" + "".join(f"; {line}" for line in wrong))

    def tidy(self) -> None:
        """Remove what a process that was killed in the midst of writing may have left."""
        names = (".config.json.*", ".metrics.csv.*", ".curve.png.*", "checkpoints/.*.npz.*")
        for path in [path for name in names for path in self.run.glob(name)]:
            path.unlink(missing_ok=True)


def load(path: str | Path, env: Any = None, **options: Any) -> Agent[Any]:
    """The agent in an agent file, or the newest of a run folder, whichever algorithm it is.

    Raises AgentFileError, or RunFolderError for a folder that holds no checkpoint.
    """
    path = Path(path)
    return algorithms.load(Checkpoints(path).newest() if path.is_dir() else path, env, **options)
