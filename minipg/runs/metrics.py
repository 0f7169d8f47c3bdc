"""Reading metrics.csv: of any length, and while another process writes it."""

from __future__ import annotations

import csv
import os
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from minipg.checks import Array
from minipg.errors import RunFolderError
from minipg.runtime.files import open_regular

_BLOCK = 1 << 20  # bytes read at once
_TAIL = 1 << 16  # bytes in which there is always a whole line
LONGEST_LINE, MOST_TABLE = 1 << 16, 1 << 28  # bytes of a line, and of a table
_MOST_NUMBERS = 1 << 25  # in a table
_LARGEST = 1e100  # of a number to be drawn


class MetricsReader:
    """The rows of one metrics.csv. Each reading continues where the last one stopped.

    A last line without an end is left for the next reading. A line with more or fewer fields than the head is skipped.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._head: list[str] = []
        self._offset = 0

    def read(self) -> Iterator[dict[str, str]]:
        """The rows that are new since the last reading; all rows if the file has become shorter."""
        for fields in self._rows():
            yield dict(zip(self._head, fields, strict=True))

    def columns(self, *names: str) -> dict[str, Array]:
        """The columns `names` (by default all) of the new rows as numbers; other texts, and infinities, are NaN.

        Numbers of more than 10¹⁰⁰ are 10¹⁰⁰: sums and differences of them are finite.
        """
        columns: dict[str, array[float]] = {}
        chosen: list[tuple[int, array[float]]] = []
        for fields in self._rows():
            if not chosen:
                if not {*self._head}.intersection(names or self._head):
                    break
                columns = {name: array("d") for name in self._head if not names or name in names}
                chosen = [(self._head.index(name), column) for name, column in columns.items()]
            for place, column in chosen:
                column.append(number(fields[place]))
        numbers = {name: np.array(column) for name, column in columns.items()}
        return {
            name: np.where(np.isfinite(column), np.clip(column, -_LARGEST, _LARGEST), np.nan)
            for name, column in numbers.items()
        }

    def skip(self, samples: int) -> list[dict[str, str]]:
        """About `samples` rows, evenly spread over the table, and the last one. The next reading begins after it.

        The time does not depend on the length of the table: only some places in it are read.
        """
        self._head, self._offset, size = [], 0, self._size()
        if size <= _TAIL:
            rows = list(self.read())
            return rows[:: -max(1, len(rows) // samples)][::-1]
        with _opened(self.path) as file:
            self._head = _line(file).split(",")
            rows = []
            for place in np.linspace(file.tell(), size - _TAIL, samples).astype(int).tolist():
                file.seek(place - 1)
                _line(file)  # to the end of the line that the place is in
                rows += filter(None, [self._row(_line(file))])
            file.seek(size - _TAIL)
            _line(file)
            self._offset = file.tell()
        return [*rows, *list(self.read())[-1:]]

    def _rows(self) -> Iterator[list[str]]:
        for rows, line in enumerate(self._lines()):
            require_sane(self.path, rows, len(self._head))
            if not self._head:
                self._head = line.split(",")
            elif fields := self._fields(line):
                yield fields

    def _row(self, line: str) -> dict[str, str]:
        fields = self._fields(line)
        return dict(zip(self._head, fields, strict=True)) if fields else {}

    def _fields(self, line: str) -> list[str]:
        try:
            fields = next(csv.reader([line])) if '"' in line else line.split(",")
        except csv.Error:
            return []
        return fields if len(fields) == len(self._head) else []

    def _size(self) -> int:
        if not os.path.lexists(self.path):
            return 0
        with _opened(self.path) as file:
            return file.seek(0, os.SEEK_END)

    def _lines(self) -> Iterator[str]:
        size = self._size()
        if size < self._offset:
            self._head, self._offset = [], 0
        if size == self._offset:
            return
        with _opened(self.path) as file:
            file.seek(self._offset)
            torn = b""
            while block := file.read(_BLOCK):
                *whole, torn = (torn + block).split(b"\n")
                if len(torn) > LONGEST_LINE:
                    raise RunFolderError(f"{self.path}: damaged (it has a line of more than {LONGEST_LINE:,} bytes)")
                for line in whole:
                    self._offset += len(line) + 1
                    yield line.decode(errors="replace").rstrip("\r")


def require_sane(path: Path, rows: int, columns: int) -> None:
    """Raise RunFolderError for more rows than a table of so many columns may have: they would take minutes."""
    if rows * max(columns, 16) > _MOST_NUMBERS:
        raise RunFolderError(f"{path}: damaged, or too long (it has more than {rows - 1:,} rows)")


def _opened(path: Path) -> BinaryIO:
    try:
        return open_regular(path, MOST_TABLE)
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read ({error.strerror})") from error


def _line(file: BinaryIO) -> str:
    """The next line, or as much of it as a line may have."""
    return file.readline(LONGEST_LINE).decode(errors="replace").rstrip("\r\n")


def read_columns(path: Path, *names: str) -> dict[str, Array]:
    """The columns of a metrics.csv that hold numbers, as `MetricsReader.columns`, without rows that have no steps."""
    columns = MetricsReader(path).columns(*names)
    known = ~np.isnan(columns.get("steps", np.empty(0)))
    columns = {name: column[known] for name, column in columns.items()}
    return {name: column for name, column in columns.items() if not np.isnan(column).all()}


def rounded(value: float) -> str:
    """A return with one decimal; a huge one in powers of ten."""
    return f"{value:.1f}" if abs(value) < 1e9 else f"{value:.3g}"


def number(text: str) -> float:
    """A number, or NaN for anything else."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
