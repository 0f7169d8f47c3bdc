"""Writing metrics.csv: rows are appended in batches. A last line that is cut short is no row."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from minipg.errors import RunFolderError
from minipg.runs.metrics import number
from minipg.runtime.storage import cannot_write, write_whole

_FLUSH_EVERY = 0.5  # seconds
_LAST = ("seconds", "mean_return")


class Recorder:
    """The table of a run, open for appending.

    Rows of updates after `updates` are dropped first; `last` has figures of the last row that is kept. Appended rows
    are in the file within half a second, or after `sync`.
    """

    def __init__(self, path: Path, updates: int = 0) -> None:
        self.path = path
        self._rows: list[tuple[Any, ...]] = []
        self._flushed = time.perf_counter()
        try:
            lines = _whole_lines(path)
            kept = [line for line in lines[1:] if int(line.partition(",")[0]) <= updates]
            if path.exists():
                write_whole(path, lambda file: file.writelines(line.encode() for line in [*lines[:1], *kept]))
            self._columns = next(csv.reader(lines[:1]), None)
            rows = list(csv.DictReader([*lines[:1], *kept[-1:]]))
            self.last = {name: float(row[name]) for row in rows for name in _LAST}
            self.last |= {name: number(row[name]) for row in rows for name in ("eval_return",) if name in row}
            self._file = path.open("a", newline="", encoding="utf-8")
        except OSError as error:
            raise cannot_write(path, error) from error
        except (ValueError, TypeError, KeyError, csv.Error) as error:
            raise RunFolderError(f"{path}: not a table of metrics ({error})") from error
        self._writer = csv.writer(self._file)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            try:
                self._write()
            finally:
                self._file.close()
        except OSError as closing:  # a full disk is reported once
            if error is None:
                raise cannot_write(self.path, closing) from closing

    def append(self, row: dict[str, Any]) -> None:
        """Add one row. Raises RunFolderError for other columns than those of the first row, or if a write fails."""
        if self._columns is None:
            self._columns = list(row)
            self._rows.append(tuple(row))
        if list(row) != self._columns:
            raise RunFolderError(f"{self.path}: has columns {', '.join(self._columns)}, got {', '.join(row)}")
        self._rows.append(tuple(row.values()))
        if time.perf_counter() - self._flushed >= _FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Write all rows to the file, for other processes to read."""
        try:
            self._write()
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def sync(self) -> None:
        """Write all rows to the disk: before a checkpoint, which must not be newer than the rows after a power cut."""
        self.flush()
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _write(self) -> None:
        # NaN as most readers of tables know it: they take "nan" for a text
        rows, self._rows = [["NaN" if value != value else value for value in row] for row in self._rows], []
        self._writer.writerows(rows)
        self._file.flush()
        self._flushed = time.perf_counter()


def _whole_lines(path: Path) -> list[str]:
    """The lines of a file that were written to their end."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [line for line in file if line.endswith("\n")]
