"""S4: good versions in bad weather: incidents and drifts that both revisions share, errors that come in batches."""

from collections.abc import Sequence

from benchmarks.decision import profiles, traffic
from benchmarks.decision.comparators import RULES
from benchmarks.decision.engine import SHARP, rollback_times
from benchmarks.decision.suite import Cell, Results, Row, hits, rate_row
from benchmarks.decision.targets import FALSE_ROLLBACK, RATES, Size
from benchmarks.decision.traffic import Floats

NAME = "S4"
SHARED = {"incident x30, 2 min": traffic.incident, "drift x10": traffic.drift}
CLUSTERS = {"clusters of 3": 3.0, "clusters of 8": 8.0}


def cells(size: Size) -> list[Cell]:
    """Return every scenario with three traffics and every rate."""
    return [
        Cell(NAME, f"S4 {name} rps={rps} p0={p0}", size.aa // 2 if name in SHARED else size.aa // 4, (name, rps, p0))
        for name in (*SHARED, *CLUSTERS)
        for rps in (10, 100, 1000)
        for p0 in RATES
    ]


def run(cell: Cell, chunk: int, runs: int) -> dict[str, Floats]:
    """Simulate equal revisions."""
    name, rps, p0 = str(cell.params[0]), float(cell.params[1]), float(cell.params[2])
    rng = traffic.generator(cell.key, chunk)
    if name in SHARED:
        counts = SHARED[name](rng, runs, rps, p0)
        found = {"sharp": rollback_times(SHARP, counts, rng, rps, p0)}
        found["default"] = profiles.default_times(counts, rng, rps, p0)
    else:
        clustered = traffic.clusters(rng, runs, rps, p0, CLUSTERS[name])
        counts = clustered.counts
        found = {
            "sharp": profiles.measured_times(SHARP, clustered),
            "sharp, phi not measured": rollback_times(SHARP, counts, rng, rps, p0),
            "default": profiles.measured_times(profiles.DEFAULT, clustered),
        }
    return {**{rule: judge(counts, p0) for rule, judge in RULES.items()}, **found}


def rows(results: Results) -> Sequence[Row]:
    """Say how often a good version was rolled back."""
    found = []
    for key, times in results.items():
        for name in ("sharp", "sharp, phi not measured", "default"):
            if name in times:
                target = None if name == "sharp, phi not measured" else FALSE_ROLLBACK
                found.append(rate_row((NAME, f"{key[3:]} {name}"), hits(times[name]), len(times[name]), target))
    return found
