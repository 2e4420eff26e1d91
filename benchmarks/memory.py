"""Resident memory of the operator for each idle rollout."""

import time
from typing import Final

from benchmarks.fleet import idle_fleet
from benchmarks.lab import Lab, wait
from benchmarks.options import Options
from benchmarks.report import Result, Row

SETTLE: Final = 75.0
"""Seconds until late reports are written and buffers of the burst are given back."""


def run(lab: Lab, options: Options) -> Result:
    """Measure with 1 idle rollout and with many more, as they come and after a restart."""
    with lab.namespace("memory") as namespace:
        idle_fleet(lab, namespace, 1)
        one = _after_restart(lab)
        idle_fleet(lab, namespace, 1 + options.idle)
        lab.quiet(namespace, SETTLE, within=900)
        grown = lab.operator.usage().memory_kb
        fresh = _after_restart(lab)
    as_they_come, restarted = (grown - one) / options.idle, (fresh - one) / options.idle
    rows = [
        Row("KB for each idle rollout", f"{as_they_come:.1f}", "at most 25"),
        Row("  the same after a restart of the operator", f"{restarted:.1f}"),
        Row("  MB of the operator with 1", f"{one / 1024:.1f}"),
        Row(f"  MB of the operator with {1 + options.idle}", f"{grown / 1024:.1f}"),
    ]
    numbers = {"rollouts": 1 + options.idle, "kb_with_one": one, "kb_grown": grown, "kb_restarted": fresh}
    return Result(rows, {**numbers, "kb_each": round(as_they_come, 2), "kb_each_restarted": round(restarted, 2)})


def _after_restart(lab: Lab) -> int:
    lab.operator.restart()
    wait("a new pod of the operator, alone", lab.operator.is_settled, seconds=180)
    time.sleep(SETTLE)
    return lab.operator.usage().memory_kb
