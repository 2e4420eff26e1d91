"""The ordering rules, checked at every action of every run."""

from dataclasses import dataclass, field
from typing import Final

from modelrollout.api.status import Phase, Status, VerdictKind
from modelrollout.core.actions import Action, DeleteRevision, Plan, SaveStatus, ScaleRevision, SetRoute
from modelrollout.core.capacity import pods_for, share_of
from modelrollout.core.evidence.windows import Reading
from modelrollout.core.split import COMPARER, Split
from modelrollout.core.strategies import steps_of
from modelrollout.simulate.cluster import Cluster

FORWARD: Final = ("Weight", "Match", "Promoted", "Reported")
"""Moves that take evidence, where the step before them gathers any."""


@dataclass
class Rules:
    """Looks on while plans are carried out, and notes what must never happen."""

    cluster: Cluster
    broken: list[str] = field(default_factory=list)
    rejected: set[tuple[int, str]] = field(default_factory=set)
    """Attempts that were rolled back, with their candidate."""

    def planned(self, before: Status, made: Plan, readings: dict[str, Reading]) -> None:
        """Check a plan as a whole: what no evidence speaks for must not move a rollout."""
        after = made.status
        self._must(after.weights.stable + after.weights.candidate == 100, "weights do not sum to 100")
        if after.step is not None and after.step.verified is None:
            self._must(after.window_end is None, "evidence counts before the route was verified")
        news = after.history[-1] if after.history and after.history != before.history else None
        if news is None or before.attempt != after.attempt:
            return
        silent = not readings or all(reading.error is not None for reading in readings.values())
        if news.move == "RolledBack":
            told = "crash" in news.message or news.message.startswith("gate ")
            blamed = any(v.verdict is VerdictKind.FAIL for v in after.verdicts) or told
            self._must(blamed and (told or not silent), "rolled back without evidence of harm")
        if news.move in FORWARD and self._earns(before):
            passed = after.verdicts or before.verdicts
            shown = all(v.verdict is VerdictKind.PASS for v in before.verdicts) or not silent
            self._must(bool(passed) and shown, f"{news.move} without evidence")

    def _earns(self, status: Status) -> bool:
        """Say whether a step is in progress that must not end without evidence."""
        steps, current = steps_of(self.cluster.stage.rollout.spec), status.step
        if current is None or current.index >= len(steps):
            return False
        step = steps[current.index]
        return step.kind in ("weight", "shadow", "match") and step.on_timeout != "Promote"

    def acting(self, action: Action, made: Plan) -> None:
        """Check an action just before it takes effect."""
        match action:
            case SetRoute(split):
                self._route(split, made)
            case ScaleRevision(revision, replicas):
                fleet = self.cluster.fleets[revision]
                if replicas < min(fleet.desired, self._least):
                    self._must(not self.cluster.split.names(revision), "pods taken away while traffic flows")
                    self._must(revision != made.status.previous, "the guard's way back was taken away")
            case DeleteRevision(revision):
                self._must(revision not in self.cluster.weights, "a revision with traffic was deleted")
            case SaveStatus():
                self._must(len(made.status.history) <= 30, "the history of the status has no bound")

    @property
    def _least(self) -> int:
        """Return the pods that a revision with traffic keeps: all, or where surge is too small for that, the floor."""
        spec = self.cluster.stage.rollout.spec
        if share_of(spec.strategy.surge, spec.replicas) >= spec.replicas and spec.traffic.service is None:
            return spec.replicas
        return min(spec.replicas, max(1, share_of(spec.strategy.floor, spec.replicas)))

    def _beside(self, split: Split) -> None:
        """Check copies and matches: they reach nobody but a ready candidate, or a ready comparer."""
        cluster, mirror, matched = self.cluster, split.mirror, split.matched
        ready = {revision: fleet.ready(cluster.now) for revision, fleet in cluster.fleets.items()}
        if mirror is not None and mirror.to == COMPARER:
            comparer = cluster.copies.state(cluster.now)
            self._must(comparer is not None and comparer.ready, "copies to a comparer that is not ready")
        elif mirror is not None:
            self._must(bool(ready.get(mirror.to)), "copies to a revision without pods")
        if matched is not None:
            self._must(bool(ready.get(matched.revision)), "matched requests to a revision without pods")

    def _route(self, split: Split, made: Plan) -> None:
        weights = self.cluster.stage.weights(split)
        self._beside(split)
        self._must(sum(weights.values()) == 100, "weights of the route do not sum to 100")
        self._must(set(weights) <= set(self.cluster.fleets), "a weight for a revision that does not exist")
        status, spec = made.status, self.cluster.stage.rollout.spec
        for revision, weight in weights.items():
            fleet = self.cluster.fleets.get(revision)
            risen = weight > self.cluster.weights.get(revision, 0)
            back = status.phase is Phase.ROLLED_BACK or revision == status.stable
            if risen and not back and fleet is not None:
                self._must(fleet.ready(self.cluster.now) >= pods_for(spec, weight).candidate, "traffic before capacity")
            self._must((status.attempt, revision) not in self.rejected, "a rejected candidate got traffic again")
        if status.phase is Phase.ROLLED_BACK:
            first = made.actions[0]
            self._must(isinstance(first, SetRoute), "a rollback wrote something before the route")
            self.rejected.add((status.attempt, status.target or ""))

    def _must(self, holds: bool, rule: str) -> None:
        if not holds:
            self.broken.append(f"{self.cluster.now:.1f}s: {rule}")
