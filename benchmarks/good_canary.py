"""A good version under load: what it costs in API calls and queries, how long it takes, and whether clients notice."""

import time
from typing import Final

from tests.support.kube import Object

from benchmarks import audit
from benchmarks.audit import Counts
from benchmarks.lab import Lab
from benchmarks.load import RATE, load
from benchmarks.operator import spent
from benchmarks.options import Options
from benchmarks.report import BenchmarkError, Result, Row
from benchmarks.rollouts import WEIGHTS, apply_all, host_of, model, rollout, wait_done, wait_idle

NAME: Final = "fraud"
WARM: Final = 10.0
"""Seconds of load before the new version, as in life."""
AFTER: Final = 65.0
"""Seconds without any call after which none is left to come: a status may wait for a minute to be written."""


def run(lab: Lab, _: Options) -> Result:
    """Roll out one good version."""
    with lab.namespace("good") as namespace:
        apply_all(lab, [_version(namespace, "1")])
        wait_idle(lab, namespace, 1, seconds=120)
        lab.quiet(namespace, 5.0, within=60)
        with load(lab, namespace, host_of(namespace, NAME)) as seen:
            time.sleep(WARM)
            mark, before, began = lab.audit.mark(), lab.operator.usage(), time.time()
            apply_all(lab, [_version(namespace, "2")])
            status = wait_done(lab, namespace, NAME, attempt=1, seconds=300)
            time.sleep(2.0)
        lab.quiet(namespace, AFTER, within=300)
        calls, cost = lab.audit.since(mark, namespace), spent(before, lab.operator.usage())
    if status["phase"] != "Promoted":
        raise BenchmarkError(f"the good version was not promoted: {status['message']}")
    routes = audit.route_writes(calls)
    return _result(
        audit.count(calls),
        {
            "seconds_to_100": round(routes[-1] - began, 1),
            "route_writes": len(routes),
            "queries": cost.queries,
            "requests": seen.total("requests"),
            "failed": seen.total("failed"),
            "dropped": seen.summary.get("dropped", 0),
            "latency_ms": seen.summary.get("latency_ms"),
            "operator_cpu_seconds": cost.cpu_seconds,
        },
    )


def _version(namespace: str, version: str) -> Object:
    steps = [{"weight": weight} for weight in WEIGHTS]
    timing = {"minStepDuration": "5s", "guard": {"duration": "20s"}}
    return rollout(namespace, NAME, container=model(version), replicas=2, steps=steps, **timing)


def _result(counts: Counts, numbers: Object) -> Result:
    rows = [
        Row("API writes, events included", str(counts.writes), "at most 25"),
        Row("of them of the route", str(numbers["route_writes"])),
        Row("API reads", str(counts.reads), "at most 20"),
        Row("seconds to 100 %", f"{numbers['seconds_to_100']:.1f}"),
        Row("Prometheus queries", str(numbers["queries"])),
        Row(f"failed of {numbers['requests']} requests at {RATE}/s", str(numbers["failed"]), "0"),
    ]
    kinds = {"reads": counts.reads, "writes": counts.writes, "watches": counts.watches, "calls": counts.by_kind}
    return Result(rows, {**kinds, **numbers})
