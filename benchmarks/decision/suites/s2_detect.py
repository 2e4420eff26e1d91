"""S2: how long until a bad version is rolled back, and how often it is missed within the hour."""

from collections.abc import Sequence
from functools import lru_cache

from benchmarks.decision import profiles, traffic
from benchmarks.decision.comparators import RULES, ztest
from benchmarks.decision.engine import SHARP, rollback_times
from benchmarks.decision.suite import Cell, Results, Row, State, hits, time_rows
from benchmarks.decision.targets import (
    ALPHA,
    CASES,
    DETECT_DEFAULT,
    DETECT_SHARP,
    RATES,
    RPS,
    Detection,
    Size,
    degraded,
)
from benchmarks.decision.traffic import Floats

NAME = "S2"


def key(rps: float, p0: float, case: str) -> str:
    """Return the name of a cell."""
    return f"S2 {case} rps={rps:g} p0={p0:g}"


def cells(size: Size) -> list[Cell]:
    """Return every traffic with every rate and every harm."""
    return [
        Cell(NAME, key(rps, p0, case), size.detect, (rps, p0, case)) for rps in RPS for p0 in RATES for case in CASES
    ]


@lru_cache(maxsize=8)
def _critical(rps: float, p0: float) -> float:
    rng = traffic.generator(f"S2 calibration rps={rps:g} p0={p0:g}", 0)
    return ztest.calibrate(traffic.independent(rng, 4000, rps, p0, p0), ALPHA)


def run(cell: Cell, chunk: int, runs: int) -> dict[str, Floats]:
    """Simulate a bad candidate, judged by every method on the same counts."""
    rps, p0, case = float(cell.params[0]), float(cell.params[1]), str(cell.params[2])
    rng = traffic.generator(cell.key, chunk)
    counts = traffic.independent(rng, runs, rps, degraded(p0, case), p0)
    found = {name: rule(counts, p0) for name, rule in RULES.items()}
    found["z-test, calibrated"] = ztest.calibrated(counts, _critical(rps, p0))
    found["sharp"] = rollback_times(SHARP, counts, rng, rps, p0)
    found["default"] = profiles.default_times(counts, rng, rps, p0)
    return found


def rows(results: Results) -> Sequence[Row]:
    """Hold the cells that have a target against it."""
    found = []
    for name, wanted in (("sharp", DETECT_SHARP), ("default", DETECT_DEFAULT)):
        for target in wanted:
            times = results[key(target.rps, target.p0, target.case)][name]
            found += _cell_rows(name, target, times)
    return found


def _cell_rows(name: str, target: Detection, times: Floats) -> list[Row]:
    what = f"{target.case} of {100 * target.p0:g}% at {target.rps} rps, {name}"
    rows = time_rows(NAME, what, times, target.median, target.p95)
    missed = len(times) - hits(times)
    if target.missed:
        rows.append(Row(NAME, f"{what}: missed", "0", str(missed), "", State.MISSED if missed else State.MET))
    return rows
