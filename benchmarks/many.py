"""Many rollouts at once against one alone: the controller's part, with hardly a pod's."""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.support.kube import Object

from benchmarks import audit
from benchmarks.audit import Call
from benchmarks.fleet import GUARD, idle_fleet, member
from benchmarks.lab import Lab, wait
from benchmarks.operator import spent
from benchmarks.options import Options
from benchmarks.report import Result, Row
from benchmarks.rollouts import API, KIND, PARALLEL, WEIGHTS, apply_all, idler, listed, rollout, wait_idle

PAUSE_IMAGE: Final = "modelrollout/lab-pause:dev"
RESUME: Final = {"metadata": {"annotations": {"modelrollout.dev/request": "resume@benchmark"}}}
BEFORE: Final = 15.0
"""Seconds without a call before all begins."""
CALM: Final = 70.0
"""The same after it: a report may wait for a minute to be written."""


def run(lab: Lab, options: Options) -> Result:
    """Promote one and many without pods; then walk one and many through all weights, with a pod each."""
    rows: list[Row] = []
    numbers: Object = {}
    parts: tuple[tuple[str, str, Callable[[Lab, int], Object]], ...] = (
        ("promotion", f"template change to the end of a {GUARD} s guard, replicas 0", _promotions),
        ("steps", f"five weights to the end of a {GUARD} s guard, one pod", _steps),
    )
    for name, words, measure in parts:
        alone, together = measure(lab, 1), measure(lab, options.count)
        numbers[name] = {"1": alone, str(options.count): together}
        rows += _rows(words, options.count, alone, together)
    return Result(rows, numbers)


def _promotions(lab: Lab, count: int) -> Object:
    """Change the template of so many idle rollouts without pods."""
    with lab.namespace(f"many-{count}") as namespace:
        idle_fleet(lab, namespace, count)
        lab.quiet(namespace, BEFORE, within=600)

        def begin(number: int) -> None:
            lab.kube.apply(member(namespace, number, "2"), manager="benchmarks")

        return _measure(lab, namespace, count, begin)


def _steps(lab: Lab, count: int) -> Object:
    """Let so many rollouts, whose candidates wait with ready pods, go through every weight on time alone."""
    with lab.namespace(f"steps-{count}") as namespace:
        apply_all(lab, [_walker(namespace, number, "1") for number in range(count)])
        wait_idle(lab, namespace, count, seconds=120 + 5 * count)
        apply_all(lab, [_walker(namespace, number, "2") for number in range(count)])
        wait("candidates with ready pods", lambda: _all_pausing(lab, namespace, count), seconds=120 + 5 * count)
        lab.quiet(namespace, BEFORE, within=600)

        def begin(number: int) -> None:
            lab.kube.patch(KIND, f"walker-{number:04}", RESUME, api=API, namespace=namespace)

        return _measure(lab, namespace, count, begin)


def _walker(namespace: str, number: int, version: str) -> Object:
    """Return a rollout that waits at 0 %, then goes on by its clock: without requests there is no evidence."""
    timed = [{"weight": weight, "minDuration": "3s", "maxDuration": "3s", "onTimeout": "Promote"} for weight in WEIGHTS]
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


def _measure(lab: Lab, namespace: str, count: int, begin: Callable[[int], None]) -> Object:
    """Begin all at once; return what it took, until each rollout's last status was written."""
    mark, before, started = lab.audit.mark(), lab.operator.usage(), time.time()
    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(begin, range(count)))
    begun = time.time()
    wait_idle(lab, namespace, count, attempt=1, seconds=900)
    done = lab.audit.since(mark, namespace)
    lab.quiet(namespace, CALM, within=900)
    counts, cost = audit.count(lab.audit.since(mark, namespace)), spent(before, lab.operator.usage())
    ends = _ends(done)
    return {
        "rollouts": count,
        "seconds_to_begin": round(begun - started, 2),
        "seconds": round(max(ends) - started, 2),
        "seconds_median": round(statistics.median(ends) - started, 2),
        "cpu_seconds": cost.cpu_seconds,
        "writes_each": round(counts.writes / count, 2),
        "reads_each": round(counts.reads / count, 2),
        "queries": cost.queries,
        "calls": counts.by_kind,
    }


def _ends(calls: Sequence[Call]) -> list[float]:
    """Return when each rollout's status was last written."""
    last = {call.name: call.at for call in calls if call.resource == "modelrollouts/status" and call.is_write}
    return list(last.values())


def _rows(words: str, count: int, alone: Object, together: Object) -> list[Row]:
    ratio = together["seconds"] / alone["seconds"]
    each = together["cpu_seconds"] / count
    return [
        Row(words, f"1: {alone['seconds']:.1f} s, {count}: {together['seconds']:.1f} s", ""),
        Row("  ratio", f"{ratio:.2f}", "1"),
        Row("  CPU seconds each", f"1: {alone['cpu_seconds']:.2f}, {count}: {each:.2f}"),
        Row("  API writes each", f"1: {alone['writes_each']:g}, {count}: {together['writes_each']:g}"),
        Row("  Prometheus queries in all", f"1: {alone['queries']}, {count}: {together['queries']}"),
    ]
