"""Rollouts that have nothing to do: what they ask of the API server and of Prometheus."""

import time
from typing import Final

from benchmarks import audit
from benchmarks.fleet import idle_fleet
from benchmarks.lab import Lab
from benchmarks.operator import spent
from benchmarks.options import Options
from benchmarks.report import Result, Row

CALM: Final = 70.0
"""Seconds after the last write in which a report that waits for its minute is still to come."""


def run(lab: Lab, options: Options) -> Result:
    """Watch one idle rollout, then many."""
    rows: list[Row] = []
    numbers = {}
    with lab.namespace("idle") as namespace:
        for count in (1, options.idle):
            idle_fleet(lab, namespace, count)
            lab.quiet(namespace, CALM, within=600)
            found = _watched(lab, namespace, options.seconds)
            numbers[str(count)] = found
            rows += _rows(count, found)
    return Result(rows, numbers)


def _watched(lab: Lab, namespace: str, seconds: float) -> dict[str, float]:
    mark, before = lab.audit.mark(), lab.operator.usage()
    time.sleep(seconds)
    after, counts = lab.operator.usage(), audit.count(lab.audit.since(mark, namespace))
    cost = spent(before, after)
    return {
        "seconds": seconds,
        "reads": counts.reads,
        "writes": counts.writes,
        "watches": counts.watches,
        "lease_calls": counts.leases,
        "queries": cost.queries,
        "cpu_seconds": cost.cpu_seconds,
        "memory_kb": after.memory_kb,
    }


def _rows(count: int, found: dict[str, float]) -> list[Row]:
    minutes = found["seconds"] / 60
    return [
        Row(f"{count} idle for {minutes:g} min: API reads, writes", f"{found['reads']}, {found['writes']}", "0, 0"),
        Row("  Prometheus queries", str(found["queries"]), "0"),
        Row("  watches begun anew", str(found["watches"])),
        Row("  CPU seconds of the operator", f"{found['cpu_seconds']:.1f}"),
    ]
