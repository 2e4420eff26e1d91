"""The plan while it is made: the next status, the moves in it, and what to look at again."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from modelrollout.api.resource import ModelRollout
from modelrollout.api.spec import Spec
from modelrollout.api.status import Move, Phase, Status, Weights
from modelrollout.api.strategy import Comparer, Step
from modelrollout.core.comparer import fits
from modelrollout.core.evidence.judge import Judge
from modelrollout.core.evidence.stages import Stage
from modelrollout.core.observed import Observed, Workload
from modelrollout.core.settings import Settings
from modelrollout.core.split import COMPARER, Matched, Mirror, Split
from modelrollout.core.sticky import by_key, patterns
from modelrollout.core.strategies import stage_among, steps_of

HISTORY: Final = 30
DRAIN: Final = timedelta(seconds=5)
"""Requests in flight end before the pods that serve them are asked to."""


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
    """Share of requests (per cent) that the candidate is about to get, for which it needs pods."""
    comparer: Comparer | None = None
    """Settings of the comparer that the step in progress, or the next one, needs."""
    pods_fail: bool = False
    """Pods that the rollout waits for do not come up, for a reason that is known."""
    deadlines: list[datetime] = field(default_factory=list)
    """Moments at which time alone changes the decision."""
    steps: tuple[Step, ...] = field(init=False)
    """The steps of the strategy, its defaults where the user gave none."""

    def __post_init__(self) -> None:
        self.steps = steps_of(self.spec)

    @property
    def spec(self) -> Spec:
        """Return the spec."""
        return self.rollout.spec

    @property
    def step(self) -> Step | None:
        """Return the step in progress."""
        return self._step_of(self.status) if self.active else None

    @property
    def left(self) -> Step | None:
        """Return the step at which the rollout stood before this plan; None where it is another rollout by now."""
        before = self.rollout.status
        return self._step_of(before) if before.attempt == self.status.attempt else None

    def _step_of(self, status: Status) -> Step | None:
        current = status.step
        return self.steps[current.index] if current is not None and current.index < len(self.steps) else None

    @property
    def by_number(self) -> bool:
        """Say whether the numbers of pods make up the weights of some step."""
        return self.spec.traffic.service is not None and any(0 < (step.weight or 0) < 100 for step in self.steps)

    @property
    def previews(self) -> bool:
        """Say whether a preview of the candidate is asked for."""
        return self.spec.traffic.preview is not None or self.spec.strategy.type == "BlueGreen"

    @property
    def previewed(self) -> bool:
        """Say whether the preview leads to the candidate, where one is asked for: nobody must test another's pods."""
        return not self.previews or self.observed.preview == self.status.candidate

    @property
    def stage(self) -> Stage | None:
        """Return the stage of the step in progress; None for a rollout without a shadow."""
        return stage_among(self.steps, self.step)

    @property
    def exposed(self) -> bool:
        """Say whether requests, or copies of them, are meant to reach the candidate."""
        step = self.step
        by_step = step is not None and (step.shadow is not None or step.match is not None)
        return self.active and (by_step or self.status.weights.candidate > 0)

    @property
    def split(self) -> Split:
        """Return what the route should say; without weights while nothing serves."""
        status, step = self.status, self.step
        if status.stable is None:
            return Split()
        candidate, weight = status.candidate, status.weights.candidate
        if candidate is None:
            return Split({status.stable: 100})
        mirror = matched = None
        if step is not None and step.shadow is not None and self.mirrored:
            mirror = Mirror(step.shadow.percent, COMPARER if step.shadow.comparer.enabled else candidate)
        if step is not None and step.match is not None:
            headers, cookies = (tuple(sorted(of.items())) for of in (step.match.headers, step.match.cookies))
            matched = Matched(candidate, headers, cookies)
        key, sticky = by_key(self.spec), self.spec.strategy.sticky
        if key is not None and 0 < weight < 100:
            # Not requests but clients are weighed; those that send no key stay where they are.
            matched, weight = Matched(candidate, patterns=patterns(key, weight, candidate)), 0
        if weight == 0:
            return Split({status.stable: 100}, mirror, matched)
        weights = {status.stable: status.weights.stable, candidate: weight}
        return Split(weights, mirror, matched, sticky.issued if sticky else None)

    @property
    def mirrored(self) -> bool:
        """Say whether copies of requests have somewhere to go: nothing mirrors to a comparer that is not ready."""
        shadow, found = self.step.shadow if self.step else None, self.observed.comparer
        if shadow is None or not shadow.comparer.enabled:
            return shadow is not None
        ready = found is not None and found.ready
        return ready and fits(found, self.status.stable, self.status.candidate, shadow.comparer)

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

    def routed(self, split: Split) -> bool:
        """Say whether the gateway confirmed a route that says exactly this."""
        route = self.observed.route
        return route is not None and route.accepted and route.current and route.split.same(split)

    def wait(self, until: datetime) -> None:
        """Ask for another look at a moment, unless it is past."""
        if until > self.now:
            self.deadlines.append(until)

    def wait_for(self, duration: timedelta) -> None:
        """Ask for another look after a while."""
        self.deadlines.append(self.now + duration)

    def drained(self) -> bool:
        """Say whether requests have ended that were in flight at the last move; if not, look again when they have."""
        pause = DRAIN + self.settings.settle
        if self.moves:
            self.wait_for(pause)
            return False
        last = self.status.history[-1].at if self.status.history else None
        if last is None or self.now >= last + pause:
            return True
        self.wait(last + pause)
        return False

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
