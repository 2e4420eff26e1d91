"""The ordering rules, checked at each action of an operator just before it takes effect."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from modelrollout.api.spec import Spec
from modelrollout.api.status import Phase, Status
from modelrollout.core.actions import (
    Action,
    DeleteComparer,
    DeleteRevision,
    EnsureComparer,
    EnsureRevision,
    OpenGate,
    Plan,
    SaveStatus,
    ScaleRevision,
    SetRoute,
)
from modelrollout.core.automation import mode_of
from modelrollout.core.capacity import pods_for, share_of
from modelrollout.core.schedule import frozen_until
from modelrollout.core.split import COMPARER, Split
from modelrollout.core.sticky import by_key, weight_of
from modelrollout.core.strategies import steps_of
from tests.support.clients import taken
from tests.support.surroundings import CLIENTS, KEYLESS
from tests.support.world import Died, Refused, World

FORWARD = ("Weight", "Shadow", "Match", "Pausing", "Gate", "Promoted", "Reported")
"""Moves that lead forward."""
UNDERWAY = (Phase.PROGRESSING, Phase.PAUSED)
SMALL = 24_000
"""Bytes that a status may have."""


@dataclass
class Rules:
    """Raises AssertionError where an action breaks a rule; may refuse it or kill the operator."""

    world: World
    fault: Callable[[], bool] = lambda: False
    refused: str = ""
    """The kind of write that the API server does not take at the moment."""
    rejected: set[tuple[int, str]] = field(default_factory=set)
    """Attempts that were rolled back, with their candidate."""
    checked: dict[str, str] = field(default_factory=dict)
    """Gates that were opened, with the candidate that they check."""
    plan: Plan | None = None
    having: tuple[int, str | None, frozenset[int]] = (0, None, frozenset())
    """Clients that have the candidate by their keys: the attempt, the candidate, and who."""
    latched: bool = False
    """The route said before this plan that the attempt was rolled back."""

    def __call__(self, action: Action) -> None:
        """Check an action."""
        if self.world.last is not self.plan:
            self.plan, self.latched = self.world.last, self.world.latch is not None
        if type(action).__name__ == self.refused:
            raise Refused
        match action:
            case SetRoute(split):
                self.route(split)
            case EnsureRevision(revision, replicas) | ScaleRevision(revision, replicas):
                self.scale(revision, replicas)
            case DeleteRevision(revision):
                assert not self.world.split.names(revision)
                assert self.world.pods[revision].desired == 0
            case EnsureComparer() | DeleteComparer():
                self.comparer(action)
            case OpenGate(ident, _, _, candidate):
                assert self.checked.setdefault(ident, candidate) == candidate, "a gate's id for another candidate"
            case SaveStatus():
                self.status()
        if self.fault():
            raise Died

    @property
    def spec(self) -> Spec:
        """The spec as it is now."""
        return self.world.rollout().spec

    @property
    def made(self) -> Status:
        """The status that the plan in progress leads to."""
        assert self.world.last is not None
        return self.world.last.status

    def route(self, split: Split) -> None:
        """Check what is written to the route."""
        world, status, weights = self.world, self.made, dict(split.weights)
        assert sum(weights.values()) == 100
        assert set(weights) <= set(world.pods), "a weight for a revision that does not exist"
        for revision, weight in weights.items():
            back = status.phase is Phase.ROLLED_BACK or revision == status.stable
            if weight > world.weights.get(revision, 0) and not back:
                assert world.ready(revision) >= pods_for(self.spec, weight).candidate, "traffic before capacity"
            assert (status.attempt, revision) not in self.rejected, "a rejected candidate got traffic again"
        self.besides(split)
        if status.phase is Phase.ROLLED_BACK:
            assert world.last is not None
            assert isinstance(world.last.actions[0], SetRoute), "a rollback wrote something before the route"
            assert world.last.actions[0].split == split
            self.rejected.add((status.attempt, status.target or ""))

    def besides(self, split: Split) -> None:
        """Check copies and matches of a route."""
        world, status = self.world, self.made
        if split.mirror is not None or split.matched is not None:
            assert split.weights == {status.stable: 100}, "a mirror or match beside weights"
            assert status.phase in UNDERWAY
        if split.mirror is not None and split.mirror.to == COMPARER:
            found = world.observe().comparer
            assert found is not None, "mirrors to a comparer that does not exist"
            assert found.ready, "mirrors to a comparer that is not ready"
            assert (found.stable, found.candidate) == (status.stable, status.candidate)
        if split.matched is not None and split.matched != world.split.matched:
            assert split.matched.revision == status.candidate
            asked = split.matched.headers or split.matched.cookies or split.matched.patterns
            assert asked, "a match that all requests meet"
            assert world.ready(split.matched.revision) > 0, "matched requests before capacity"
            assert (status.attempt, split.matched.revision) not in self.rejected, "a rejected candidate got clients"
        self.clients(split)

    def clients(self, split: Split) -> None:
        """Check whom the candidate gets by their keys: those of its weight, and nobody who had it loses it."""
        world, status, key, matched = self.world, self.made, by_key(self.spec), split.matched
        attempt, candidate, before = self.having
        if key is None or status.phase not in UNDERWAY or not status.weights.candidate:
            return
        weight = weight_of(key, matched.revision, matched.patterns) if matched is not None else 0
        now = taken(matched, CLIENTS) if matched is not None and weight else frozenset()
        assert weight <= status.weights.candidate, "clients beyond the weight"
        assert not now & KEYLESS, "clients without a key got the candidate"
        if (attempt, candidate) == (status.attempt, status.candidate):
            assert now >= before, "clients went back to stable though nothing was rolled back"
        if matched is not None and matched != world.split.matched and now > before:
            assert world.ready(matched.revision) >= pods_for(self.spec, weight).candidate, "clients before capacity"
        self.having = (status.attempt, status.candidate, now)

    def scale(self, revision: str, replicas: int) -> None:
        """Check what is written to a Deployment."""
        world, spec, status = self.world, self.spec, self.made
        surge = share_of(spec.strategy.surge, spec.replicas)
        before = world.pods[revision].desired if revision in world.pods else 0
        others = sum(pods.desired for name, pods in world.pods.items() if name != revision)
        if replicas > before:
            assert replicas + others <= spec.replicas + surge, "more pods than replicas and surge"
        if replicas >= before:
            return
        floor = min(spec.replicas, max(1, share_of(spec.strategy.floor, spec.replicas)))
        if revision in (status.stable, status.previous):
            assert replicas >= floor, "stable below its floor"
            assert surge < spec.replicas or replicas >= spec.replicas, "pods taken from stable though surge is whole"
        elif revision != status.candidate:
            assert not world.split.names(revision), "pods taken away while traffic flows"
            assert not world.gateway.serving.names(revision), "pods taken away before the gateway let go of them"

    def comparer(self, action: Action) -> None:
        """Check that a comparer runs for a shadow step alone, and is not touched while it is mirrored to."""
        found = self.world.observe().comparer
        mirrored = self.world.split.mirror is not None or self.world.gateway.serving.mirror is not None
        assert not (mirrored and found is not None and found.ready), "a comparer changed under its mirror"
        if isinstance(action, EnsureComparer):
            status, steps = self.made, steps_of(self.spec)
            index = status.step.index if status.step else -1
            near = [step for step in steps[max(index, 0) : index + 2] if step.shadow is not None]
            asked = status.skip_to is not None and steps[status.skip_to].shadow is not None
            assert near or asked, "a comparer without need"

    def status(self) -> None:
        """Check what is written to the status."""
        status, before = self.made, self.world.saved
        assert status.weights.stable + status.weights.candidate == 100
        assert len(status.model_dump_json(by_alias=True)) < SMALL
        if status.step is not None and status.step.verified is None:
            assert status.window_end is None, "evidence counts before the route was verified"
        known = {(move.at, move.move, move.message) for move in before.history}
        for move in status.history:
            if (move.at, move.move, move.message) not in known:
                self.moved(move.move, move.message, move.at)

    def moved(self, move: str, message: str, at: datetime) -> None:
        """Check a move that is about to be remembered."""
        strategy, before = self.spec.strategy, self.world.status
        moves = [one.move for one in self.made.history if one.at == at]
        asked = before.skip_to is not None or "Skipped" in moves or "Resumed" in moves or "as asked" in message
        asked = asked or (self.made.request is not None and self.made.request != before.request)
        first = before.step is None or before.attempt != self.made.attempt
        if move in FORWARD and not asked:
            if strategy.schedule is not None and self.spec.replicas:
                assert frozen_until(strategy.schedule, at) is None, f"{move} in a freeze"
            steps = steps_of(self.spec)
            left = steps[before.step.index] if before.step and before.step.index < len(steps) else None
            approved = left is not None and left.gate is not None and left.gate.approval is not None
            if mode_of(strategy, left, "promotion") == "manual" and not first and not approved:
                assert move == "Reported", f"{move} without a person"
        if move in ("RolledBack", "TimedOut") and not self.latched:
            steps = steps_of(self.spec)
            left = steps[before.step.index] if before.step and before.step.index < len(steps) else None
            same = before.attempt == self.made.attempt
            assert mode_of(strategy, left if same else None, "rollback") != "manual", f"{move} without a person"
