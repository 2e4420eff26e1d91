"""The plan while it is made: the next status, the moves in it, and what to look at again."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from modelrollout.api.resource import ModelRollout
from modelrollout.api.spec import Spec, Step
from modelrollout.api.status import Move, Phase, Status, Weights
from modelrollout.core.evidence.judge import Judge
from modelrollout.core.observed import Observed, Workload
from modelrollout.core.settings import Settings

HISTORY: Final = 30
DEFAULT_STEPS: Final = tuple(Step(weight=weight) for weight in (5, 10, 25, 50))
"""Each step at most about doubles the exposure, once 5 % have shown that nothing is broken outright."""


@dataclass(slots=True)
class Draft:
    """What one call of `plan` works on. Everything but `status` and the collected lists is fixed."""

    rollout: ModelRollout
    observed: Observed
    now: datetime
    settings: Settings
    judge: Judge
    status: Status
    moves: list[Move] = field(default_factory=list)
    warnings: set[str] = field(default_factory=set)
    """Kinds of move in this plan that deserve a warning event."""
    route_first: bool = False
    """A rollback: take the traffic away before anything else is written."""
    wanted: int = 0
    """Pods that the candidate needs for what it is about to get."""
    pods_fail: bool = False
    """Pods that the rollout waits for do not come up, for a reason that is known."""
    deadlines: list[datetime] = field(default_factory=list)
    """Moments at which time alone changes the decision."""

    @property
    def spec(self) -> Spec:
        """Return the spec."""
        return self.rollout.spec

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return the steps of the strategy, its defaults where the user gave none."""
        return tuple(self.spec.strategy.steps or DEFAULT_STEPS)

    @property
    def active(self) -> bool:
        """Say whether a candidate is on trial."""
        return self.status.phase in (Phase.PROGRESSING, Phase.PAUSED) and self.status.candidate is not None

    def set(self, **changes: Any) -> None:
        """Change the status."""
        self.status = self.status.model_copy(update=changes)

    def weigh(self, candidate: int) -> None:
        """Set the intended split."""
        self.set(weights=Weights(stable=100 - candidate, candidate=candidate))

    def workload(self, revision: str | None) -> Workload | None:
        """Return what is known of a revision's Deployment."""
        return self.observed.workloads.get(revision) if revision else None

    def ready(self, revision: str | None) -> int:
        """Return a revision's ready pods; 0 for one without a Deployment."""
        workload = self.workload(revision)
        return workload.ready if workload else 0

    def routed(self, weights: dict[str, int]) -> bool:
        """Say whether the gateway confirmed a route with exactly these weights (zeros apart)."""
        route = self.observed.route
        if route is None or not route.accepted or not route.current:
            return False
        return {r: w for r, w in route.weights.items() if w} == {r: w for r, w in weights.items() if w}

    def wait(self, until: datetime) -> None:
        """Ask for another look at a moment, unless it is past."""
        if until > self.now:
            self.deadlines.append(until)

    def wait_for(self, duration: timedelta) -> None:
        """Ask for another look after a while."""
        self.deadlines.append(self.now + duration)

    def say(self, message: str) -> None:
        """Set the status's one sentence."""
        self.set(message=message)

    def move(self, kind: str, revision: str | None, message: str, *, by: str | None = None, warn: bool = False) -> None:
        """Record a move: one history entry, one event; it is also the sentence of the status."""
        workload = self.workload(revision)
        image = workload.image if workload else None
        if revision == self.observed.desired:
            image = self.observed.image or image
        move = Move(
            at=self.now,
            move=kind,
            revision=revision or "",
            weight=self.status.weights.candidate,
            message=message[:1000],
            by=by or None,
            image=image,
        )
        self.moves.append(move)
        if warn:
            self.warnings.add(kind)
        self.set(history=[*self.status.history, move][-HISTORY:], message=move.message)
