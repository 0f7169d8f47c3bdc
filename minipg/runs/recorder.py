"""Writing metrics.csv: rows are appended in batches. A last line that is cut short is no row."""

from __future__ import annotations

import csv
import io
import math
import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from minipg.errors import RunFolderError
from minipg.runs.metrics import LONGEST_LINE, MOST_TABLE, number, require_sane
from minipg.runtime.files import cannot_write, open_appending, open_regular, write_whole

_FLUSH_EVERY = 0.5  # seconds
_LAST = ("seconds", "mean_return")


class Recorder:
    """The table of a run, open for appending.

    Rows of updates after `updates`, and lines that are damaged, are dropped first; `last` has figures of the last row
    that is kept. Appended rows are in the file within half a second, or after `sync`. Where a run goes on with other
    columns, as with other workers, the table has both, and NaN where a row has no such number.
    """

    def __init__(self, path: Path, updates: int = 0) -> None:
        self.path = path
        self._rows: list[tuple[Any, ...]] = []
        self._names: list[str] | None = None  # of the rows that are appended
        self._flushed = time.perf_counter()
        try:
            lines = _whole_lines(path)
            heads = [*islice(lines, 1)]
            self._columns = next(csv.reader(line.decode() for line in heads), None)
            if self._columns is not None and not {"update", *_LAST} <= {*self._columns}:
                raise ValueError(f"it has no columns {', '.join(_LAST)}")
            kept, columns = list[bytes](), len(self._columns or [])
            for rows, line in enumerate(lines):
                require_sane(path, rows, columns)
                if line.count(b",") >= columns - 1 and _update(line) <= updates:
                    kept.append(line)
            while kept and not (figures := _figures(self._columns or [], kept[-1])):
                kept.pop()
            self.last = figures if kept else {}
            if path.exists():
                write_whole(path, lambda file: file.writelines([*heads, *kept]))
            self._open()
        except OSError as error:
            raise cannot_write(path, error) from error
        except (ValueError, csv.Error) as error:
            raise RunFolderError(f"{path}: not a table of metrics ({error})") from error

    def _open(self) -> None:
        self._file = io.TextIOWrapper(open_appending(self.path), encoding="utf-8", newline="")
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
        """Add one row. Raises RunFolderError for other columns than those of the first one, or if a write fails."""
        if self._names is None:
            self._begin(list(row))
        if list(row) != self._names:
            raise RunFolderError(f"{self.path}: has columns {', '.join(self._names or [])}, got {', '.join(row)}")
        self._rows.append(tuple(row.get(name, math.nan) for name in self._columns or []))
        if time.perf_counter() - self._flushed >= _FLUSH_EVERY:
            self.flush()

    def _begin(self, names: list[str]) -> None:
        """Write the head of a new table, or add to the head of an old one what it lacks."""
        self._names, before = names, self._columns
        if before is None:
            self._columns = names
            self._rows.append(tuple(names))
        elif not {*names} <= {*before}:
            self._columns = [*names, *(name for name in before if name not in names)]
            try:
                self._file.close()
                write_whole(self.path, lambda file: file.writelines(_with_columns(self.path, self._columns or [])))
                self._open()
            except OSError as error:
                raise cannot_write(self.path, error) from error

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


def _with_columns(path: Path, columns: list[str]) -> list[bytes]:
    """The lines of a table with other columns, NaN where it has none of that name."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, columns, restval="NaN", extrasaction="ignore")
    table.writeheader()
    table.writerows(csv.DictReader(line.decode() for line in _whole_lines(path)))
    return text.getvalue().encode().splitlines(keepends=True)


def _whole_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file that were written to their end, as far as they have a sane length."""
    try:
        file = open_regular(path, MOST_TABLE)
    except FileNotFoundError:
        return
    with file:
        while (line := file.readline(LONGEST_LINE)).endswith(b"\n"):
            yield line


def _update(line: bytes) -> float:
    """The number of the update in a row; infinity where there is none."""
    try:
        return int(line.partition(b",")[0])
    except ValueError:
        return math.inf


def _figures(columns: list[str], line: bytes) -> dict[str, float]:
    """The figures of a row that a resumed run needs; empty if the row is damaged."""
    try:
        row = dict(zip(columns, next(csv.reader([line.decode()])), strict=True))
        figures = {name: float(row[name]) for name in _LAST}
    except (ValueError, csv.Error):
        return {}
    figures |= {name: number(row[name]) for name in ("eval_return",) if name in row}
    return figures if math.isfinite(figures["seconds"]) else {}
