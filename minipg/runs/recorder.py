"""Writing metrics.csv: a row an update, appended as they come. A last line that was torn is no row."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from minipg.errors import RunFolderError
from minipg.runtime.storage import cannot_write, write_whole

_LAST = ("seconds", "mean_return")


class Recorder:
    """The table of a run, open for appending.

    Rows of updates after `updates` are dropped first; `last` is the last of the others.
    """

    def __init__(self, path: Path, updates: int = 0) -> None:
        self.path = path
        try:
            lines = _whole_lines(path)
            kept = [line for line in lines[1:] if int(line.partition(",")[0]) <= updates]
            if path.exists():
                write_whole(path, lambda file: file.writelines(line.encode() for line in [*lines[:1], *kept]))
            self._columns = next(csv.reader(lines[:1]), None)
            rows = list(csv.DictReader([*lines[:1], *kept[-1:]]))
            self.last = {name: float(row[name]) for row in rows for name in _LAST}
            self.last |= {name: float(row[name]) for row in rows for name in ("eval_return",) if name in row}
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
            self._file.close()
        except OSError as closing:  # a full disk says so once
            if error is None:
                raise cannot_write(self.path, closing) from closing

    def sync(self) -> None:
        """Have all rows on the disk: a checkpoint that is to outlive a power cut is written after them."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def append(self, row: dict[str, Any]) -> None:
        """One row; the first also writes the head. Raises RunFolderError."""
        try:
            if self._columns is None:
                self._columns = list(row)
                self._writer.writerow(self._columns)
            if list(row) != self._columns:
                raise RunFolderError(f"{self.path}: has columns {', '.join(self._columns)}, got {', '.join(row)}")
            self._writer.writerow(row.values())
            self._file.flush()
        except OSError as error:
            raise cannot_write(self.path, error) from error


def _whole_lines(path: Path) -> list[str]:
    """The lines of a file that were written to their end."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [line for line in file if line.endswith("\n")]
