"""Rows with named columns, from CSV or Parquet."""

import csv
import hashlib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_server.metadata import Feature

Floats = NDArray[np.float64]


class TableError(ValueError):
    """The data cannot be used; the text says which file, what was wrong and what to do."""


@dataclass(frozen=True)
class Table:
    """Columns of text as they were read, equally long; an empty text is a missing value. `sha256` is of the file."""

    columns: dict[str, list[str]]
    sha256: str
    origin: str

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(next(iter(self.columns.values()), []))

    def column(self, name: str) -> list[str]:
        """Return a column.

        Raises TableError.
        """
        if name not in self.columns:
            raise TableError(f"{self.origin}: no column {name!r}; there are {', '.join(self.columns)}")
        return self.columns[name]

    def numbers(self, name: str) -> Floats:
        """Return a column as numbers, missing ones as NaN.

        Raises TableError.
        """
        try:
            return np.array([float(text) if text else np.nan for text in self.column(name)])
        except ValueError as error:
            raise TableError(f"{self.origin}: column {name!r}: {error}") from None

    def matrix(self, features: Sequence[Feature]) -> Floats:
        """Return the columns of features side by side, categories as their codes and those not known as NaN.

        Raises TableError.
        """
        return np.column_stack([self._coded(feature) for feature in features])

    def _coded(self, feature: Feature) -> Floats:
        if not feature.categories:
            return self.numbers(feature.name)
        codes = {text: float(code) for code, text in enumerate(feature.categories)}
        return np.array([codes.get(text, np.nan) for text in self.column(feature.name)])

    def is_numeric(self, name: str) -> bool:
        """Tell whether every value of a column is a number or missing."""
        try:
            self.numbers(name)
        except TableError:
            return False
        return True


def read(path: Path) -> Table:
    """Read a file; `.parquet` needs pyarrow.

    Raises TableError.
    """
    try:
        data = path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        columns = _parquet(path) if path.suffix == ".parquet" else _csv(data.decode())
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path}: cannot be read: {error}") from None
    table = Table(columns, sha256, str(path))
    if not table.rows:
        raise TableError(f"{path}: there are no rows; the first line must name the columns")
    return table


def _csv(text: str) -> dict[str, list[str]]:
    lines = csv.reader(text.splitlines())
    names = next(lines, [])
    rows = [row for row in lines if row]
    if any(len(row) != len(names) for row in rows):
        raise TableError(f"a row has not {len(names)} values, as the first line has")
    return {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=False)}


def _parquet(path: Path) -> dict[str, list[str]]:
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise TableError(f"{path}: Parquet needs pyarrow: install model-server[parquet]") from None
    table = parquet.read_table(path).to_pydict()
    return {str(name): ["" if value is None else str(value) for value in values] for name, values in table.items()}


def write_csv(path: Path, columns: dict[str, Sequence[str]]) -> None:
    """Write columns: the same bytes for the same columns on every machine."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
