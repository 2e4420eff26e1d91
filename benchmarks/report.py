"""What a benchmark hands back, and the table that people read."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

Numbers = Mapping[str, Any]
HEAD = ("benchmark", "what", "target", "measured")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    measured: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """Rows for people, numbers for programs (JSON values; seconds, counts, KB)."""

    rows: Sequence[Row]
    numbers: Numbers = field(default_factory=dict)


class BenchmarkError(Exception):
    """A benchmark could not run to its end; the text says what did not happen."""


def spread(values: Sequence[float], unit: str = "", digits: int = 1) -> str:
    """Return median and largest of some values, in words."""
    return f"median {median(values):.{digits}f}{unit}, max {max(values):.{digits}f}{unit}"


def median(values: Sequence[float]) -> float:
    """Return the middle value, or the mean of the two in the middle."""
    ordered, half = sorted(values), len(values) // 2
    return float(ordered[half]) if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2


def table(lines: Sequence[Sequence[str]]) -> str:
    """Return lines of cells as text in columns."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def as_table(results: Mapping[str, Result]) -> str:
    """Return every row of every benchmark, with a head."""
    lines = [(name, row.what, row.target, row.measured) for name, result in results.items() for row in result.rows]
    return table([HEAD, *lines])


def as_json(results: Mapping[str, Result]) -> dict[str, Any]:
    """Return everything for a file."""
    machine = {"cores": os.cpu_count(), "system": platform.system(), "machine": platform.machine()}
    found = {name: {"rows": [asdict(row) for row in r.rows], "numbers": r.numbers} for name, r in results.items()}
    return {"machine": machine, "benchmarks": found}
