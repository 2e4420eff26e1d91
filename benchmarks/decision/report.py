"""The table: target, measured, interval; and the comparators beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.decision.intervals import median
from benchmarks.decision.suite import Results, Row, State, hits, percent, seconds
from benchmarks.report import table

HEAD = ("suite", "what", "target", "measured", "99 % interval", "")
METHODS = (
    "sharp",
    "default",
    "Flagger 99 %",
    "Flagger tuned",
    "Argo 1m",
    "Argo 5m",
    "Kayenta",
    "z-test",
    "z-test, calibrated",
)


def as_text(rows: Sequence[Row]) -> str:
    """Return the rows as columns."""
    return table([HEAD, *(_cells(row) for row in rows)])


def _cells(row: Row) -> tuple[str, ...]:
    return row.suite, row.what, row.target, row.measured, row.interval, row.state.value


def missed(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that miss their target by more than chance explains."""
    return [row for row in rows if row.state is State.MISSED]


def comparison(results: Mapping[str, Results]) -> list[list[str]]:
    """Return a table, head first: false rollbacks, then missed and median, of every method on the same counts."""
    lines = [["counts", *METHODS]]
    for suite, cells in results.items():
        for key, times in cells.items():
            if suite not in ("S1", "S2", "S4"):
                continue
            form = _detected if suite == "S2" else _rolled_back
            lines.append([key, *(form(times[name]) if name in times else "" for name in METHODS)])
    return lines


def _rolled_back(times: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    return percent(hits(times) / len(times))


def _detected(times: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    lost = 1.0 - hits(times) / len(times)
    return f"{percent(lost)} / {seconds(median(times)).replace(' s', '')}"


def as_json(size: str, rows: Sequence[Row], results: Mapping[str, Results]) -> dict[str, Any]:
    """Return everything for a file; of times, the quantiles."""
    cells = {
        key: {name: _numbers(values) for name, values in found.items()}
        for suite in results.values()
        for key, found in suite.items()
    }
    return {"size": size, "rows": [asdict(row) for row in rows], "cells": cells}


def _numbers(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> dict[str, float | int | None]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return {"runs": len(values), "finite": 0}
    quantiles = np.percentile(finite, [5, 50, 95])
    return {
        "runs": len(values),
        "finite": len(finite),
        "mean": float(finite.mean()),
        "p5": float(quantiles[0]),
        "p50": float(quantiles[1]),
        "p95": float(quantiles[2]),
    }


def as_markdown(size: str, rows: Sequence[Row], results: Mapping[str, Results]) -> str:
    """Return the section of the documentation."""
    parts = [
        f"Size `{size}`. Proportions: exact 99 % intervals; times: bootstrap. *within error* is beyond the target by",
        "no more than chance explains.",
        "",
        *_markdown([list(HEAD), *(list(_cells(row)) for row in rows)]),
    ]
    compared = comparison(results)
    if len(compared) > 1:
        parts += [
            "",
            "The comparators are re-implementations of each tool's rule, judged on the very same counts (settings in",
            "`benchmarks/decision/comparators/`). Equal revisions (S1, S4): share rolled back within the hour. Bad",
            "candidates (S2): missed / median seconds to rollback.",
            "",
            *_markdown(compared),
        ]
    return "\n".join(parts)


def _markdown(lines: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"

    return [line(lines[0]), "|" + "---|" * len(lines[0]), *(line(cells) for cells in lines[1:])]
