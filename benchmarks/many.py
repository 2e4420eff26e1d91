"""Many rollouts at once against one alone: the controller's part, with hardly a pod's."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from tests.support.kube import Object

from benchmarks import audit
from benchmarks.audit import Call
from benchmarks.fleet import GUARD, idle_fleet, member
from benchmarks.lab import Lab, wait
from benchmarks.operator import spent
from benchmarks.options import Options
from benchmarks.report import Result, Row, median
from benchmarks.rollouts import API, KIND, PARALLEL, WEIGHTS, apply_all, idler, is_idle, listed, rollout

PAUSE_IMAGE: Final = "modelrollout/lab-pause:dev"
RESUME: Final = {"metadata": {"annotations": {"modelrollout.dev/request": "resume@benchmark"}}}
WALKERS: Final = 100
"""At most so many rollouts with pods: one node has no room for more."""
HELD: Final = 8
"""Seconds at each weight: with the guard, a canary of 50 s, as the other tools' was."""
CALM: Final = 20.0
"""Seconds without a call, before and after."""


def promotions(lab: Lab, options: Options) -> Result:
    """Change the template of one, then of many other idle rollouts without pods."""
    with lab.namespace("many") as namespace:
        idle_fleet(lab, namespace, 1 + options.count)

        def begin(number: int) -> None:
            lab.kube.apply(member(namespace, number, "2"), manager="benchmarks")

        return _both(lab, namespace, options.count, begin, f"template change to the end of a {GUARD} s guard, no pods")


def steps(lab: Lab, options: Options) -> Result:
    """Let one, then many others, whose candidates wait with ready pods, go through every weight on time alone."""
    count = min(options.count, WALKERS)
    with lab.namespace("steps") as namespace:
        for version in "1", "2":
            apply_all(lab, [_walker(namespace, number, version) for number in range(1 + count)])
            ready = _all_pausing if version == "2" else _all_idle
            wait(f"pods of version {version}", partial(ready, lab, namespace, 1 + count), seconds=120 + 5 * count)

        def begin(number: int) -> None:
            lab.kube.patch(KIND, f"walker-{number:04}", RESUME, api=API, namespace=namespace)

        return _both(lab, namespace, count, begin, f"five weights of {HELD} s and a guard of {GUARD} s, a pod each")


def _both(lab: Lab, namespace: str, count: int, begin: Callable[[int], None], words: str) -> Result:
    lab.quiet(namespace, CALM, within=600)
    alone = _measure(lab, namespace, range(1), begin)
    together = _measure(lab, namespace, range(1, 1 + count), begin)
    return Result(_rows(words, alone, together), {"alone": alone, "together": together})


def _walker(namespace: str, number: int, version: str) -> Object:
    """Return a rollout that waits at 0 %, then goes on by its clock: without requests there is no evidence."""
    held = {"minDuration": f"{HELD}s", "maxDuration": f"{HELD}s", "onTimeout": "Promote"}
    timed = [{"weight": weight, **held} for weight in WEIGHTS]
    return rollout(
        namespace,
        f"walker-{number:04}",
        container=idler(version, PAUSE_IMAGE),
        replicas=1,
        steps=[{"pause": {}}, *timed],
        guard={"duration": f"{GUARD}s"},
    )


def _all_pausing(lab: Lab, namespace: str, count: int) -> bool:
    steps = [(item.get("status") or {}).get("step") or {} for item in listed(lab, namespace)]
    return len([step for step in steps if step.get("name") == "pause"]) == count


def _all_idle(lab: Lab, namespace: str, count: int) -> bool:
    return len([item for item in listed(lab, namespace) if is_idle(item)]) == count


def _measure(lab: Lab, namespace: str, numbers: range, begin: Callable[[int], None]) -> Object:
    """Begin some at once; return what it took, until each rollout's last status was written."""
    mark, before, started = lab.audit.mark(), lab.operator.usage(), time.time()
    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(begin, numbers))
    begun = time.time()
    wait("their end", lambda: _ended(lab, namespace, numbers), seconds=600)
    ends = _ends(lab.audit.since(mark, namespace))
    lab.quiet(namespace, CALM, within=300)
    calls, cost = lab.audit.since(mark, namespace), spent(before, lab.operator.usage())
    counts = audit.count(calls)
    return {
        "rollouts": len(numbers),
        "seconds_to_begin": round(begun - started, 2),
        "seconds": round(max(ends) - started, 2),
        "seconds_median": round(median(ends) - started, 2),
        "cpu_seconds": cost.cpu_seconds,
        "writes_each": round(counts.writes / len(numbers), 2),
        "reads_each": round(counts.reads / len(numbers), 2),
        "queries": cost.queries,
        "calls": counts.by_kind,
    }


def _ended(lab: Lab, namespace: str, numbers: range) -> bool:
    found = [item for item in listed(lab, namespace) if int(item["metadata"]["name"].rpartition("-")[2]) in numbers]
    return all(is_idle(item, attempt=1) for item in found)


def _ends(calls: Sequence[Call]) -> list[float]:
    """Return when each rollout's status was last written."""
    last = {call.name: call.at for call in calls if call.resource == "modelrollouts/status"}
    return list(last.values())


def _rows(words: str, alone: Object, together: Object) -> list[Row]:
    count = together["rollouts"]
    each = together["cpu_seconds"] / count
    return [
        Row(words, f"1: {alone['seconds']:.1f} s, {count}: {together['seconds']:.1f} s"),
        Row("  ratio", f"{together['seconds'] / alone['seconds']:.2f}", "1"),
        Row("  CPU seconds each", f"1: {alone['cpu_seconds']:.2f}, {count}: {each:.2f}"),
        Row("  API writes each", f"1: {alone['writes_each']:g}, {count}: {together['writes_each']:g}"),
        Row("  Prometheus queries in all", f"1: {alone['queries']}, {count}: {together['queries']}"),
    ]
