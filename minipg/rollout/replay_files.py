"""A replay on disk: files of some thousand transitions each, written once, in the folder `replay` of a run.

Chunk k holds the transitions number k·C to (k + 1)·C − 1, counted from the first ever added. The unfinished chunk is in
the checkpoints, which stay small. So a run that continues has the same replay, to the bit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minipg.checks import Array
from minipg.errors import AgentFileError, RunFolderError
from minipg.rollout.replay import Replay, Transitions
from minipg.runtime.files import require_no_link
from minipg.runtime.storage import load_arrays, save_arrays


def chunk_size(replay: Replay) -> int:
    """C: 8192 transitions, or half of a small replay, so that a chunk is complete before it is overwritten."""
    return min(8192, max(replay.capacity // 2, 1))


@dataclass(frozen=True)
class ReplayFiles:
    """The files replay/000000000012.npz of a run, named by the number of the chunk."""

    folder: Path

    def write(self, replay: Replay) -> None:
        """Write the chunks that are complete and not there yet."""
        size, first = chunk_size(replay), max(replay.added - replay.capacity, 0)
        missing = [k for k in range(-(-first // size), replay.added // size) if not self._path(k).exists()]
        if missing:
            self.folder.mkdir(exist_ok=True)
        for k in missing:
            save_arrays(self._path(k), replay.between(k * size, (k + 1) * size)._asdict(), {"chunk": k})

    def forget(self, replay: Replay, added: int) -> None:
        """Remove the chunks that the replay no longer held after `added` transitions, nor will again."""
        for k, path in self._chunks():
            if (k + 1) * chunk_size(replay) <= added - replay.capacity:
                path.unlink(missing_ok=True)

    def restore(self, replay: Replay, added: int, unfinished: Transitions) -> str:
        """Fill an empty replay as it was after `added` transitions, whose unfinished chunk is given.

        Returns why that cannot be done, and the replay stays empty; "" if it was done.
        """
        size, first = chunk_size(replay), max(added - replay.capacity, 0)
        try:
            for k in range(first // size, added // size):
                rows, start = self._read(k, replay), max(first - k * size, 0)
                replay.put(k * size + start, Transitions(*(column[start:] for column in rows)))
        except (AgentFileError, RunFolderError) as error:
            replay.added = 0
            return str(error)
        replay.put(added - len(unfinished.rew), unfinished)
        return ""

    def remove_later(self, replay: Replay) -> None:
        """Remove the chunks that the replay has not reached: those of a killed process, or of a replay that is lost."""
        for k, path in self._chunks():
            if k >= replay.added // chunk_size(replay):
                path.unlink(missing_ok=True)

    def _read(self, k: int, replay: Replay) -> Transitions:
        require_no_link(self._path(k))
        arrays, _ = load_arrays(self._path(k))
        return Transitions(*(checked(self._path(k), arrays, name, column, chunk_size(replay))
                             for name, column in replay.rows._asdict().items()))  # fmt: skip

    def _path(self, k: int) -> Path:
        return self.folder / f"{k:012d}.npz"

    def _chunks(self) -> list[tuple[int, Path]]:
        return [
            (int(p.stem), p) for p in self.folder.glob("*.npz") if re.fullmatch("[0-9]{12}", p.stem) and p.is_file()
        ]


def checked(path: Path, arrays: dict[str, Array], name: str, like: Array, rows: int) -> Array:
    """The array `name` with `rows` rows like those of the array `like`. Raises AgentFileError for any other."""
    found = arrays.get(name)
    if found is None or found.shape != (rows, *like.shape[1:]) or found.dtype != like.dtype:
        raise AgentFileError(f"{path}: {name}: expected {rows} rows of {like.dtype}{like.shape[1:]}")
    if not np.isfinite(found).all():
        raise AgentFileError(f"{path}: {name} has numbers that are not finite")
    return found


def unfinished_chunk(replay: Replay) -> dict[str, Array]:
    """What a checkpoint holds of a replay: the transitions after the last complete chunk, and how many were added."""
    tail = max(replay.added - replay.added % chunk_size(replay), replay.added - replay.capacity)
    return {"added": np.array(replay.added), **replay.between(tail, replay.added)._asdict()}
