"""Bad versions under load, one after another: how soon they get no request any more, and what users saw of them."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from tests.support.kube import Object

from benchmarks import audit
from benchmarks.lab import Lab
from benchmarks.load import Load, load
from benchmarks.options import Options
from benchmarks.report import BenchmarkError, Result, Row, spread
from benchmarks.rollouts import WEIGHTS, apply_all, host_of, model, rollout, wait_done, wait_idle

NAME: Final = "fraud"
WARM: Final = 20.0
"""Seconds of load on stable alone, before each bad version."""
AFTER: Final = 4.0
"""Seconds after a rollback in which a late request could still reach the candidate."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of badness and what is asked for it."""

    name: str
    stable: float
    candidate: float
    seconds: int
    """Weight 0 within so long."""
    weight: int = WEIGHTS[0]
    """Never above this weight."""
    times: int = 1
    """How many for each repetition that is asked for: more where chance has a say in every one."""

    @property
    def words(self) -> str:
        """Its error rates, as people say it."""
        return f"{self.candidate:.0%} fail, stable {self.stable:.1%}"


KINDS: Final = (Kind("half", 0.0, 0.5, 8), Kind("five", 0.001, 0.05, 20, times=3))


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one bad version; seconds count from the first request that it answered."""

    seconds_to_zero: float
    """Until the route was written with weight 0."""
    exposure: float
    """Until the last request that it answered."""
    requests: int
    """That it answered."""
    failed: int
    """Of all requests since it was applied, whoever answered."""
    highest_weight: int
    phase: str
    why: str


def run(lab: Lab, options: Options) -> Result:
    """Roll out bad versions of each kind, `options.repeat` times or a multiple of it."""
    rows: list[Row] = []
    numbers: Object = {}
    for kind in KINDS:
        fates = _all(lab, kind, options.repeat * kind.times)
        rows += _rows(kind, fates)
        numbers[kind.name] = [asdict(fate) for fate in fates]
    return Result(rows, numbers)


def _all(lab: Lab, kind: Kind, repeat: int) -> list[Fate]:
    with lab.namespace(f"bad-{kind.name}") as namespace:
        apply_all(lab, [_version(namespace, "good", kind.stable)])
        wait_idle(lab, namespace, 1, seconds=120)
        with load(lab, namespace, host_of(namespace, NAME)) as seen:
            return [_one(lab, namespace, kind, seen, attempt) for attempt in range(1, repeat + 1)]


def _one(lab: Lab, namespace: str, kind: Kind, seen: Load, attempt: int) -> Fate:
    time.sleep(WARM)
    mark, began, version = lab.audit.mark(), time.time(), f"bad-{attempt}"
    apply_all(lab, [_version(namespace, version, kind.candidate)])
    status = wait_done(lab, namespace, NAME, attempt=attempt, seconds=240)
    time.sleep(AFTER)
    served, routes = seen.served(version), audit.route_writes(lab.audit.since(mark, namespace))
    if served is None or not routes:
        raise BenchmarkError(f"{version} answered no request: {status['message']}")
    moves = [move for move in status["history"] if move["revision"] == status["history"][-1]["revision"]]
    return Fate(
        seconds_to_zero=round(routes[-1] - served[0], 2),
        exposure=round(served[1] - served[0], 2),
        requests=seen.total("requests", version),
        failed=seen.total("failed", since=began),
        highest_weight=100 if status["phase"] == "Promoted" else max(move.get("weight", 0) for move in moves),
        phase=status["phase"],
        why=status["message"],
    )


def _version(namespace: str, version: str, error_rate: float) -> Object:
    steps = [{"weight": weight} for weight in WEIGHTS]
    timing = {"minStepDuration": "5s", "guard": {"duration": "20s"}}
    container = model(version, error_rate=error_rate)
    return rollout(namespace, NAME, container=container, replicas=2, steps=steps, **timing)


def _rows(kind: Kind, fates: Sequence[Fate]) -> list[Row]:
    back = sum(fate.phase == "RolledBack" for fate in fates)
    times = [fate.seconds_to_zero for fate in fates]
    soon = sum(fate.phase == "RolledBack" and fate.seconds_to_zero <= kind.seconds for fate in fates)
    highest = max(fate.highest_weight for fate in fates)
    return [
        Row(f"{kind.words}: rolled back", f"{back} of {len(fates)}", "all"),
        Row("  seconds to weight 0", spread(times), f"at most {kind.seconds}"),
        Row(f"  of them within {kind.seconds} s", f"{soon} of {len(fates)}"),
        Row("  seconds of exposure", spread([fate.exposure for fate in fates])),
        Row("  failed requests", spread([fate.failed for fate in fates], digits=0)),
        Row("  highest weight", f"{highest} %", f"at most {kind.weight} %"),
    ]
