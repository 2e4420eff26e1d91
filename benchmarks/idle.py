"""Rollouts that have nothing to do: what they ask of the API server and of Prometheus, and what memory they hold."""

import time
from typing import Final

from tests.support.kube import Object

from benchmarks import audit
from benchmarks.fleet import idle_fleet
from benchmarks.lab import Lab, wait
from benchmarks.operator import spent
from benchmarks.options import Options
from benchmarks.report import Result, Row

CALM: Final = 70.0
"""Seconds until reports that wait for their minute are written and buffers of the burst are given back."""
FRESH: Final = 30.0
"""Seconds after a restart until caches are filled and the start is over."""
WARM: Final = 2
"""Rollouts after which the operator has done everything once: one that it found, and one that it saw come."""
SHORT: Final = 0.1
"""One rollout is watched for this part of the time: what it asked for, many would ask for too."""


def run(lab: Lab, options: Options) -> Result:
    """Watch one idle rollout, then many more; look at the memory as they come, and after a restart.

    Like is compared with like: many that this process saw come with the first one that it saw come, and what a new
    process holds of many with what a new process holds of one. Else what the first creation costs for good, such as
    connections and code, would count as memory of rollouts.
    """
    many = WARM + options.idle
    with lab.namespace("idle") as namespace:
        idle_fleet(lab, namespace, 1)
        _restart(lab)
        alone = _watched(lab, namespace, options.seconds * SHORT)
        idle_fleet(lab, namespace, WARM)
        lab.quiet(namespace, CALM, within=600)
        warm = lab.operator.usage().memory_kb
        idle_fleet(lab, namespace, many)
        lab.quiet(namespace, CALM, within=600)
        together = _watched(lab, namespace, options.seconds)
        _restart(lab)
        restarted = lab.operator.usage().memory_kb
    each = (together["memory_kb"] - warm) / (many - WARM)
    each_restarted = (restarted - alone["memory_kb"]) / (many - 1)
    rows = [
        *_rows(1, alone),
        *_rows(many, together),
        Row("KB of memory for each idle rollout", f"{each:.1f}", "at most 25"),
        Row("  the same after a restart of the operator", f"{each_restarted:.1f}", "at most 25"),
    ]
    memory = {
        "kb_each": round(each, 2),
        "kb_each_restarted": round(each_restarted, 2),
        "kb_warm": warm,
        "kb_restarted": restarted,
    }
    return Result(rows, {"1": alone, str(many): together, **memory})


def _restart(lab: Lab) -> None:
    lab.operator.restart()
    wait("a new pod of the operator, alone", lab.operator.is_settled, seconds=180)
    time.sleep(FRESH)


def _watched(lab: Lab, namespace: str, seconds: float) -> Object:
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
        "calls": counts.by_kind,
        "queries": cost.queries,
        "cpu_seconds": cost.cpu_seconds,
        "memory_kb": after.memory_kb,
    }


def _rows(count: int, found: Object) -> list[Row]:
    return [
        Row(
            f"{count} idle for {found['seconds']:g} s: API reads, writes",
            f"{found['reads']}, {found['writes']}",
            "0, 0",
        ),
        Row("  Prometheus queries", str(found["queries"]), "0"),
        Row("  watches begun anew", str(found["watches"])),
        Row("  CPU seconds of the operator", f"{found['cpu_seconds']:.1f}"),
        Row("  MB of memory of the operator", f"{found['memory_kb'] / 1024:.1f}"),
    ]
