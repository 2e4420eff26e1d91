"""S1: how often a good version, equal to stable, is rolled back within an hour."""

from collections.abc import Sequence

from benchmarks.decision import profiles, traffic
from benchmarks.decision.comparators import RULES
from benchmarks.decision.engine import SHARP, rollback_times
from benchmarks.decision.suite import Cell, Results, Row, hits, rate_row
from benchmarks.decision.targets import FALSE_ROLLBACK, RATES, RPS, Size
from benchmarks.decision.traffic import Floats

NAME = "S1"


def cells(size: Size) -> list[Cell]:
    """Return every traffic with every rate."""
    return [Cell(NAME, f"S1 aa rps={rps} p0={p0}", size.aa, (rps, p0)) for rps in RPS for p0 in RATES]


def run(cell: Cell, chunk: int, runs: int) -> dict[str, Floats]:
    """Simulate equal revisions, judged by every method on the same counts."""
    rps, p0 = (float(value) for value in cell.params)
    rng = traffic.generator(cell.key, chunk)
    counts = traffic.independent(rng, runs, rps, p0, p0)
    found = {name: rule(counts, p0) for name, rule in RULES.items()}
    found["sharp"] = rollback_times(SHARP, counts, rng, rps, p0)
    found["default"] = profiles.default_times(counts, rng, rps, p0)
    return found


def rows(results: Results) -> Sequence[Row]:
    """Say how often a good version was rolled back."""
    return [
        rate_row((NAME, f"{key[3:]} {name}"), hits(times[name]), len(times[name]), FALSE_ROLLBACK)
        for key, times in results.items()
        for name in ("sharp", "default")
    ]
