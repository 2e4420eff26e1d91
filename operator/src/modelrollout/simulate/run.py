"""One run: the operator's own plan behind a virtual clock."""

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from modelrollout.api.resource import ModelRollout
from modelrollout.api.status import AT_REST, Phase, Status
from modelrollout.core.actions import Plan, SaveStatus
from modelrollout.core.evidence.judge import Judge, judge
from modelrollout.core.evidence.windows import Reading
from modelrollout.core.observed import Observed
from modelrollout.core.plan import plan
from modelrollout.core.strategies import steps_of
from modelrollout.simulate import leap
from modelrollout.simulate.acting import act
from modelrollout.simulate.checks import Checks
from modelrollout.simulate.cluster import Cluster
from modelrollout.simulate.pods import Grid
from modelrollout.simulate.prometheus import Prometheus
from modelrollout.simulate.result import Point, Result, Told
from modelrollout.simulate.rules import Rules
from modelrollout.simulate.scenario import NewTemplate, OperatorRestart, PodRestart
from modelrollout.simulate.stage import Stage

LAG: Final = 0.3
"""Seconds after a window's end at which the collector asks."""
LONGEST_BACKOFF: Final = 15.0
"""Seconds between questions to a Prometheus that does not answer."""
ECHO: Final = 0.05
"""Seconds until the operator sees what it wrote itself."""


@dataclass(slots=True)
class _Operator:
    """What the operator's process holds; all but `saved` is lost when it dies."""

    saved: Status
    working: Status | None = None
    last: Plan | None = None
    failures: int = 0
    look: float = math.inf
    """When it looks again."""
    ask: float = math.inf
    """When the collector asks Prometheus."""
    windows: int = field(default=0)


class Run:
    """Plays one scenario once."""

    def __init__(self, stage: Stage, seed: int, number: int, *, record: bool = False) -> None:
        self.stage = stage
        self.random = np.random.default_rng(np.random.SeedSequence([seed, number]))
        scenario = stage.scenario
        rows = math.ceil(scenario.horizon / scenario.window) + 3
        self.grid = Grid(scenario.window, float(self.random.integers(scenario.window)), rows)
        self.cluster = Cluster(stage, self.grid, self.random)
        self.prometheus = Prometheus(self.cluster)
        self.checks = Checks(scenario.gates)
        self.rules = Rules(self.cluster)
        self.operator = _Operator(stage.rollout.status)
        self.record = record
        self.moves: list[Told] = []
        self.points: list[Point] = []
        self._generation, self._desired = 1, stage.stable
        self._origin = datetime.fromtimestamp(stage.base + self.grid.phase, UTC)
        self._agenda = self._events()
        restarts = any(isinstance(event, OperatorRestart) for event in scenario.events)
        self._settings = stage.settings if restarts else replace(stage.settings, report_every=leap.NEVER)
        self._reach = leap.Reach() if leap.possible(stage.rollout) and not restarts and not record else None

    def _events(self) -> list[tuple[float, str, str]]:
        """Return what happens by itself, latest first."""
        agenda = [(at, "template", revision) for at, revision in self.stage.templates]
        for event in self.stage.scenario.events:
            if isinstance(event, PodRestart):
                agenda.append((event.at, "pod", event.on))
            elif isinstance(event, OperatorRestart):
                agenda.append((event.at, "operator", ""))
            elif isinstance(event, NewTemplate):
                continue
        horizon = self.stage.scenario.horizon
        return sorted((entry for entry in agenda if entry[0] <= horizon), key=lambda entry: -entry[0])

    def play(self) -> Result:
        """Play until the rollout rests or the horizon is reached."""
        horizon = self.stage.scenario.horizon
        while True:
            event = self._agenda[-1][0] if self._agenda else math.inf
            other = min(event, self._next_change(), self.operator.look)
            if self.operator.ask < other and self._leap(min(other, horizon)):
                continue
            time = min(other, self.operator.ask)
            if time > horizon:
                break
            due = self._next_change() <= time
            changed = self.cluster.advance(time) or due
            changed = self.checks.advance(time) or changed
            while self._agenda and self._agenda[-1][0] <= time:
                changed = True
                self._happen(*self._agenda.pop()[1:])
            readings = self._collect() if self.operator.ask <= time else {}
            if changed or readings or self.operator.look <= time:
                self._reconcile(readings)
        if self._resting():
            horizon = self.cluster.now
        self.cluster.advance(horizon)
        self.cluster.settle()
        return self._result()

    def _next_change(self) -> float:
        return min(self.cluster.next_change(), self.checks.next_change(self.cluster.now))

    def _resting(self) -> bool:
        """Say whether the rollout is over: nothing will happen any more but by somebody's hand."""
        status = self.operator.working or self.operator.saved
        waits = status.queued is not None or status.target != self._desired
        return not self._agenda and not waits and status.phase in AT_REST

    def _happen(self, kind: str, what: str) -> None:
        if kind == "template":
            self._desired, self._generation = what, self._generation + 1
        elif kind == "operator":
            saved = Status.model_validate_json(self.operator.saved.model_dump_json())
            self.operator = _Operator(saved, windows=self.operator.windows)
        else:
            status = self.operator.working or self.operator.saved
            for role, revision in (("stable", status.stable), ("candidate", status.candidate)):
                if what in (role, "both") and revision is not None:
                    self.cluster.restart_pod(revision)

    # the collector

    def _collect(self) -> dict[str, Reading]:
        """Ask Prometheus for the windows that have ended."""
        operator, watch = self.operator, self.operator.last.watch if self.operator.last else None
        if watch is None:
            operator.ask = math.inf
            return {}
        until = self._unix(self.cluster.now - LAG + 1e-6)
        readings = self.prometheus.read(watch, until) if watch.since < until else {}
        if readings and all(reading.error is not None for reading in readings.values()):
            operator.failures += 1
        elif readings:
            operator.failures = 0
        operator.windows += bool(readings)
        self._next_question()
        return readings

    def _next_question(self) -> None:
        operator, window = self.operator, self.grid.window
        now, rest = self.cluster.now - LAG + 1e-6, 0.0
        if operator.failures:
            longest = min(LONGEST_BACKOFF, window * 2.0 ** min(operator.failures - 1, 10))
            rest = longest * (0.5 + 0.5 * float(self.random.random()))
        end = self.grid.instant(self.grid.row(now + rest) - 1)
        if end <= now:
            end = self.grid.instant(self.grid.row(now))
        operator.ask = end + LAG

    def _unix(self, time: float) -> int:
        """Return the last grid instant at or before a time, in Unix seconds."""
        return self.stage.base + (self.grid.row(time) - 1) * self.grid.window

    def _leap(self, limit: float) -> bool:
        """Count several windows that end before `limit` at one look; False, and nothing has changed, if they must not.

        The last window before anything else happens is looked at by itself: sentences tell of the last reading.
        """
        operator, grid, reach = self.operator, self.grid, self._reach
        status, watch = operator.working, operator.last.watch if operator.last else None
        if reach is None or status is None or watch is None or watch.past or operator.failures:
            return False
        first = grid.row(operator.ask - LAG + 1e-6) - 1
        rows = reach.rows(first, grid.row(limit - LAG + 1e-6) - 2)
        if len(rows) < 2 or watch.since >= self._unix(operator.ask) or not leap.begun(status, self.stage.rollout.spec):
            return False
        now = grid.instant(rows[-1]) + LAG
        undo = self.cluster.mark()
        if not self.prometheus.down(now) and self.prometheus.ahead(watch, rows):
            readings, witness = self.prometheus.read(watch, self._unix(now)), leap.Witness()
            rollout, made = self._plan(now, readings, witness)
            if leap.stands(rollout, made, witness.found, self._origin + timedelta(seconds=now)):
                self.cluster.advance(now)
                operator.windows += len(rows)
                self._next_question()
                self._keep(made)
                reach.hit()
                return True
        undo()
        reach.miss(first)
        return False

    # the reconciler

    def _plan(self, now: float, readings: dict[str, Reading], judge: Judge) -> tuple[ModelRollout, Plan]:
        cluster, checks = self.cluster, self.checks
        meta = self.stage.rollout.metadata.model_copy(update={"generation": self._generation})
        status = self.operator.working or self.operator.saved
        rollout = self.stage.rollout.model_copy(update={"metadata": meta, "status": status})
        observed = Observed(
            desired=self._desired,
            workloads=cluster.workloads(),
            route=cluster.route(),
            readings=readings,
            request=checks.request,
            gate=checks.result(now),
            comparer=cluster.copies.state(now),
            preview=cluster.preview,
        )
        return rollout, plan(rollout, observed, self._origin + timedelta(seconds=now), self._settings, judge)

    def _reconcile(self, readings: dict[str, Reading]) -> None:
        rollout, made = self._plan(self.cluster.now, readings, judge)
        before = rollout.status
        self.rules.planned(before, made, readings)
        if made.status.history != before.history:
            self._tell(before, made.status)
        wrote = False
        for action in made.actions:
            self.rules.acting(action, made)
            wrote = act(action, self.cluster, self.checks) or wrote
            if isinstance(action, SaveStatus):
                self.operator.saved = made.status
        self._keep(made)
        if wrote:
            self.operator.look = self.cluster.now + ECHO
        if self.record and readings:
            self._note(made.status)

    def _keep(self, made: Plan) -> None:
        """Remember a plan, and when to look again."""
        operator = self.operator
        operator.working, operator.last = made.status, made
        wait = math.inf if made.requeue_after is None else made.requeue_after.total_seconds()
        if made.status.target != self._desired and made.status.phase in AT_REST:
            wait = ECHO  # its own write of the status wakes an operator, and a queued template begins
        operator.look = self.cluster.now + wait
        self.checks.wait(made.status, steps_of(self.stage.rollout.spec), self.cluster.now)
        if made.watch is None:
            operator.ask = math.inf
        elif operator.ask == math.inf:
            self._next_question()

    # what is told of it

    def _tell(self, before: Status, after: Status) -> None:
        known = len(before.history)
        new = after.history[known:] if len(after.history) > known else after.history[-1:]
        self.moves += [Told(self.cluster.now, move) for move in new]

    def _note(self, status: Status) -> None:
        errors = next((v for v in status.verdicts if v.name in ("errors", "guard")), None)
        if errors is None:
            return
        stable, candidate = errors.stable, errors.candidate
        self.points.append(
            Point(
                self.cluster.now,
                status.weights.candidate if status.candidate else 100,
                (stable.requests, stable.bad),
                (candidate.requests, candidate.bad),
                {v.name: float(v.harm) for v in status.verdicts},
            )
        )

    def _result(self) -> Result:
        status = self.operator.working or self.operator.saved
        Status.model_validate_json(status.model_dump_json())
        reached = [revision for at, revision in self.stage.templates if at <= self.stage.scenario.horizon]
        last = reached[-1]
        exposure = self.cluster.exposures[last]
        outcome, decided = self._outcome(status, last)
        since = exposure.first if exposure.first is not None else decided
        ended = decided if decided is not None and outcome == "rolledBack" else math.inf
        return Result(
            outcome=outcome,
            # A switch is decided a moment before the gateway follows.
            time=None if decided is None else max(0.0, decided - (since or 0.0)),
            weight=self.cluster.weights.get(last, 0),
            reason=status.message,
            excess=sum(one.excess for one in self.cluster.exposures.values()),
            first=exposure.first,
            path=tuple((at, weight) for at, weight in exposure.path if at < ended and weight),
            broken=tuple(self.rules.broken),
            windows=self.operator.windows,
            moves=tuple(self.moves),
            points=tuple(self.points),
        )

    def _outcome(self, status: Status, candidate: str) -> tuple[str, float | None]:
        """Return what became of the last candidate, and when."""
        moves = [told for told in self.moves if told.move.revision == candidate]
        if status.stable == candidate:
            promoted = next((told.time for told in moves if told.move.move == "Promoted"), None)
            return "promoted", promoted
        if status.phase is Phase.ROLLED_BACK:
            return "rolledBack", moves[-1].time if moves else None
        if status.phase is Phase.REPORTED:
            return "reported", moves[-1].time if moves else None
        if status.phase is Phase.PAUSED or status.paused is not None:
            return "paused", None
        return "open", None
