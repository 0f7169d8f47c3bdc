"""Reading metrics.csv, however long it is and while somebody else is writing it."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from minipg.checks import Array
from minipg.errors import RunFolderError

_BLOCK = 1 << 20  # bytes read at once
_TAIL = 1 << 16  # bytes that hold a last whole line for certain


class MetricsReader:
    """The rows of one metrics.csv, read on from where the last reading stopped.

    Only lines that are whole count: a last line without its end is left for the next reading, a line of more or fewer
    fields than the head is passed over.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._head: list[str] = []
        self._offset = 0

    def read(self) -> Iterator[dict[str, str]]:
        """The rows that are new since the last reading; all of them again where the file has become shorter."""
        for line in self._lines():
            if not self._head:
                self._head = line.split(",")
            elif row := self._row(line):
                yield row

    def skip(self, samples: int) -> list[dict[str, str]]:
        """About `samples` rows from all over the table, the last one among them; the next reading begins after it.

        Takes as long whatever the length of the table: it is not read, but looked into.
        """
        self._head, self._offset, size = [], 0, self._size()
        if size <= _TAIL:
            rows = list(self.read())
            return rows[:: -max(1, len(rows) // samples)][::-1]
        with _opened(self.path) as file:
            self._head = file.readline().decode(errors="replace").rstrip("\r\n").split(",")
            rows = []
            for place in np.linspace(file.tell(), size - _TAIL, samples).astype(int).tolist():
                file.seek(place - 1)
                file.readline()  # to the end of the line that the place is in
                rows += filter(None, [self._row(file.readline().decode(errors="replace").rstrip("\r\n"))])
            file.seek(size - _TAIL)
            file.readline()
            self._offset = file.tell()
        return [*rows, *list(self.read())[-1:]]

    def _row(self, line: str) -> dict[str, str]:
        fields = next(csv.reader([line])) if '"' in line else line.split(",")
        return dict(zip(self._head, fields, strict=True)) if len(fields) == len(self._head) else {}

    def _size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

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
                for line in whole:
                    self._offset += len(line) + 1
                    yield line.decode(errors="replace").rstrip("\r")


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read ({error.strerror})") from error


def read_columns(path: Path, *names: str) -> dict[str, Array]:
    """Those of the columns of a metrics.csv that hold numbers, as `columns_of`, without rows that have no steps."""
    columns = columns_of(MetricsReader(path).read(), *names)
    known = ~np.isnan(columns.get("steps", np.empty(0)))
    columns = {name: column[known] for name, column in columns.items()}
    return {name: column for name, column in columns.items() if not np.isnan(column).all()}


def columns_of(rows: Iterable[dict[str, str]], *names: str) -> dict[str, Array]:
    """The columns `names` (by default all) as numbers; what is none, or not finite, is NaN."""
    columns: dict[str, array[float]] = {}
    for row in rows:
        for name in names or row:
            columns.setdefault(name, array("d")).append(number(row.get(name, "")))
    numbers = {name: np.array(column) for name, column in columns.items()}
    return {name: np.where(np.isfinite(column), column, np.nan) for name, column in numbers.items()}


def number(text: str) -> float:
    """A number, or NaN for anything else."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
