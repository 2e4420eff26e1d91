"""What a suite is: cells that are simulated in chunks, and rows that say what came out against what was wanted."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np

from benchmarks.decision.intervals import bootstrap, median, p95
from benchmarks.decision.targets import Size
from benchmarks.decision.traffic import Floats
from modelrollout.simulate.summary import CONFIDENCE, clopper_pearson


class State(StrEnum):
    """How a row stands against its target."""

    MET = "met"
    WITHIN = "within error"
    """Beyond the target, but its interval is not."""
    MISSED = "MISSED"
    STRETCH = "stretch goal missed"
    """Said, and no failure."""
    INFO = ""
    """There is no target."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    suite: str
    what: str
    target: str
    measured: str
    interval: str = ""
    state: State = State.INFO


@dataclass(frozen=True, slots=True)
class Cell:
    """One setting of a suite; `key` names it and seeds its random numbers."""

    suite: str
    key: str
    reps: int
    params: tuple[float | str, ...]


Results = Mapping[str, Mapping[str, Floats]]
"""By the key of a cell and the name of a method: one number a run."""


class Suite(Protocol):
    """A module of `suites`."""

    def cells(self, size: Size) -> Sequence[Cell]:
        """Return what is simulated."""

    def run(self, cell: Cell, chunk: int, runs: int) -> Mapping[str, Floats]:
        """Simulate one chunk of a cell."""

    def rows(self, results: Results) -> Sequence[Row]:
        """Say what came out."""


def percent(value: float) -> str:
    """Write a proportion."""
    return f"{100 * value:.3g}%"


def seconds(value: float) -> str:
    """Write a time."""
    return f"{value:.0f} s" if math.isfinite(value) else "never"


def rate_row(name: tuple[str, str], hits: int, n: int, target: float | None, *, least: bool = False) -> Row:
    """Return the row of a proportion that is to be at most (or `least`: at least) a target; `name`: suite, what."""
    low, high = clopper_pearson(hits, n, CONFIDENCE)
    share = hits / n
    state, wanted = State.INFO, ""
    if target is not None:
        good = share >= target if least else share <= target
        beyond = high < target if least else low > target
        state = State.MET if good else State.MISSED if beyond else State.WITHIN
        wanted = f"{'>=' if least else '<='} {percent(target)}"
    return Row(*name, wanted, percent(share), f"{percent(low)} .. {percent(high)}", state)


def time_rows(suite: str, what: str, times: Floats, middle: float | None, high: float | None) -> list[Row]:
    """Return the rows of a time of detection: its median and its 95th percentile."""
    rows = [_time_row(suite, f"{what}: median", times, "median", middle)]
    if high is not None or middle is None:
        rows.append(_time_row(suite, f"{what}: p95", times, "p95", high))
    return rows


def _time_row(suite: str, what: str, times: Floats, statistic: str, target: float | None) -> Row:
    value = median(times) if statistic == "median" else p95(times)
    low, high = bootstrap(times, statistic)
    state = State.INFO
    if target is not None:
        state = State.MET if value <= target else State.MISSED if low > target else State.WITHIN
    return Row(
        suite,
        what,
        "" if target is None else f"<= {target:.0f} s",
        seconds(value),
        f"{seconds(low)} .. {seconds(high)}",
        state,
    )


def hits(times: Floats) -> int:
    """Return how many runs were decided."""
    return int(np.isfinite(times).sum())
