"""A small model of what surrounds the operator: API server, pods, gateway, traffic and Prometheus.

It stands in for the cluster, never for our own code: `plan` decides, the world carries out what it is told, and
may fail or die between any two actions. The operator looks when something that it sees has changed, and when it asked
to: a look that it forgot to ask for never comes. Deterministic for a seed.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from modelrollout.api.resource import Metadata, ModelRollout
from modelrollout.api.spec import Spec
from modelrollout.api.status import Move, Status
from modelrollout.core.actions import (
    Action,
    Announce,
    CloseGate,
    DeleteComparer,
    DeleteRevision,
    EnsureComparer,
    EnsureRevision,
    OpenGate,
    Plan,
    SaveStatus,
    ScaleRevision,
    SetPreview,
    SetRoute,
)
from modelrollout.core.comparer import digest
from modelrollout.core.evidence.windows import Reading
from modelrollout.core.observed import Observed, Request, Route, Workload
from modelrollout.core.plan import plan
from modelrollout.core.settings import Settings
from modelrollout.core.split import Split
from tests.support.surroundings import Checks, ComparerPod, Gateway, Key, Model, Pods, reading, state_of

__all__ = ["SPEC", "START", "Died", "Model", "Refused", "World", "settled"]

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
SPEC: dict[str, Any] = {
    "replicas": 2,
    "template": {"spec": {"containers": [{"name": "model", "image": "model:1"}]}},
    "traffic": {"gatewayAPI": {"parentRefs": [{"name": "public"}]}},
    "strategy": {
        "steps": [{"weight": 5}, {"weight": 20}, {"weight": 40}, {"weight": 60}, {"weight": 80}],
        "minStepDuration": "10s",
        "guard": {"duration": "60s"},
    },
    "analysis": {"preset": "traefik"},
}


class Died(Exception):
    """The operator was killed between two actions."""


class Refused(Exception):
    """The API server did not take a write, this time."""


@dataclass
class World:
    """The surroundings; `tick` lets a second pass, `reconcile` lets the operator look once."""

    spec: dict[str, Any] = field(default_factory=lambda: SPEC)
    seed: int = 0
    rps: float = 80.0
    window: int = 2
    pod_start: float = 3.0
    slots: int = 10_000
    """Pods that the nodes have room for."""
    models: dict[str, Model] = field(default_factory=dict)
    now: datetime = START
    generation: int = 1
    desired: str = "r1"
    saved: Status = field(default_factory=Status)
    working: Status | None = None
    pods: dict[str, Pods] = field(default_factory=dict)
    split: Split = field(default_factory=Split)
    latch: str | None = None
    route_changed: datetime | None = None
    comparer: ComparerPod | None = None
    preview: str | None = None
    checks: Checks = field(default_factory=Checks)
    prometheus: bool = True
    request: Request | None = None
    history: dict[int, dict[Key, int]] = field(default_factory=dict)
    writes: int = 0
    log: list[str] = field(default_factory=list)
    announced: list[Move] = field(default_factory=list)
    told: list[Move] = field(default_factory=list)
    """Moves that the notifiers are told of."""
    routes: list[Split] = field(default_factory=list)
    """Everything that was written to the route."""
    before_action: Callable[[Action], None] = lambda _: None
    last: Plan | None = None
    look_at: datetime | None = None
    seen: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        self.gateway = Gateway(random.Random(self.seed))  # noqa: S311 - a simulation
        self.settings = Settings(window=self.window, settle=timedelta(milliseconds=500))

    # what people do

    def push(self, revision: str, model: Model | None = None) -> None:
        """Apply a new template."""
        self.desired, self.generation = revision, self.generation + 1
        self.models[revision] = model or self.models.get(revision) or Model()

    def ask(self, action: str, ident: str | None = None, **fields: object) -> None:
        """Write a request."""
        self.request = Request(id=ident or f"{action}-{self.now}", action=action, by="alice", **fields)  # type: ignore[arg-type]

    def edit(self, **changes: object) -> None:
        """Change fields of the spec; those of `strategy` one by one."""
        strategy = {**self.spec["strategy"], **changes.pop("strategy", {})}  # type: ignore[dict-item]
        self.spec, self.generation = {**self.spec, "strategy": strategy, **changes}, self.generation + 1

    # time

    def tick(self, seconds: int = 1) -> None:
        """Let time pass, second by second."""
        for _ in range(seconds):
            self.now += timedelta(seconds=1)
            if self._applied:
                self.gateway.serving = self.split
            ready = {revision: self.ready(revision) for revision in self.pods}
            compares = self.comparer is not None and self._comparer_ready
            if self.comparer is not None:
                self.gateway.pair = (self.comparer.stable, self.comparer.candidate)
            self.gateway.serve(self.rps, self.models, ready, comparer=compares)
            self._schedule()
            instant = int(self.now.timestamp())
            if instant % self.window == 0 and self.prometheus:
                self.history[instant] = self.gateway.counters()

    @property
    def weights(self) -> dict[str, int]:
        """Return the weights of the route as written."""
        return dict(self.split.weights)

    @property
    def _applied(self) -> bool:
        return self.route_changed is not None and self.now - self.route_changed >= timedelta(seconds=1)

    @property
    def _comparer_ready(self) -> bool:
        found = state_of(self.comparer, self.now, self.pod_start)
        return found is not None and found.ready

    def ready(self, revision: str) -> int:
        """Return the ready pods of a revision."""
        pods = self.pods.get(revision)
        if pods is None or not self.models.get(revision, Model()).starts:
            return 0
        return pods.ready(self.now, self.pod_start)

    def _schedule(self) -> None:
        for pods in self.pods.values():
            pods.place(self.slots - sum(other.running() for other in self.pods.values()), self.now)

    # the operator

    @property
    def status(self) -> Status:
        """Return what the operator knows now."""
        return self.working or self.saved

    def rollout(self) -> ModelRollout:
        """Return the resource as the operator holds it."""
        meta = Metadata(name="m", namespace="ns", generation=self.generation)
        return ModelRollout(metadata=meta, spec=Spec.model_validate(self.spec), status=self.status)

    def observe(self) -> Observed:
        """Return what the operator sees."""
        return replace(self._around(), readings=self._readings())

    def _around(self) -> Observed:
        return Observed(
            desired=self.desired,
            image=f"model:{self.desired}",
            workloads={revision: self._workload(revision, pods) for revision, pods in self.pods.items()},
            route=Route(self.split, current=True, accepted=self._applied, latch=self.latch) if self.weights else None,
            request=self.request,
            gate=self.checks.result(self.now),
            comparer=state_of(self.comparer, self.now, self.pod_start),
            preview=self.preview,
        )

    def _workload(self, revision: str, pods: Pods) -> Workload:
        starts = self.models.get(revision, Model()).starts
        old = pods.since is not None and self.now - pods.since > timedelta(seconds=40)
        return Workload(
            revision=revision,
            desired=pods.desired,
            ready=self.ready(revision),
            total=pods.desired,
            image=f"model:{revision}",
            crash_loop=not starts and old,
        )

    def _readings(self) -> dict[str, Reading]:
        watch = self.last.watch if self.last else None
        if watch is None:
            return {}
        if not self.prometheus:
            return dict.fromkeys(watch.metrics, Reading(error="connection refused"))
        instants = tuple(t for t in sorted(self.history) if t >= watch.since)
        if len(instants) < 2:
            return {}
        sides = (watch.stable, watch.candidate)
        return {
            name: reading(name, watch.presets.get(name, "gateway"), sides, self.history, instants)
            for name in watch.metrics
        }

    def look(self) -> Plan | None:
        """Let the operator look if anything makes it: what it sees, a window of evidence, or the time it asked for."""
        due = self.look_at is not None and self.now >= self.look_at
        return self.reconcile() if due or self._view() != self.seen else None

    def _view(self) -> tuple[Any, ...]:
        """Return what wakes the operator when it changes."""
        watch = self.last.watch if self.last else None
        windows = int(self.now.timestamp()) // self.window if watch is not None else 0
        return self._around(), self.generation, windows

    def reconcile(self) -> Plan:
        """Let the operator look once, and carry out its plan.

        Died leaves the rest undone and its memory lost; Refused only leaves the rest undone.
        """
        self.seen, self.look_at = (), self.now
        self.last = plan(self.rollout(), self.observe(), self.now, self.settings)
        view = self._view()
        try:
            for action in self.last.actions:
                self.before_action(action)
                self._carry_out(action, self.last)
        except Died:
            self.die()
            raise
        except Refused:
            return self.last
        self.working, self.seen = self.last.status, view
        again = self.last.requeue_after
        self.look_at = None if again is None else self.now + again
        return self.last

    def die(self) -> None:
        """Forget everything outside the resource."""
        self.working, self.last, self.checks.known = None, None, None
        self.seen, self.look_at = (), self.now

    def _carry_out(self, action: Action, made: Plan) -> None:
        self.writes += 1
        self.log.append(f"{(self.now - START).total_seconds():.0f} {action}")
        match action:
            case EnsureRevision(revision, replicas) | ScaleRevision(revision, replicas):
                self.writes += isinstance(action, EnsureRevision)
                self.pods.setdefault(revision, Pods()).scale(replicas, self.now)
                self._schedule()
            case DeleteRevision(revision):
                self.pods.pop(revision, None)
            case SetRoute(split, latch):
                self.split, self.latch, self.route_changed = split, latch, self.now
                self.routes.append(split)
            case SaveStatus():
                self.saved = Status.model_validate_json(made.status.model_dump_json(by_alias=True))
                self.working = made.status
            case Announce(move, _, notify):
                self.announced.append(move)
                self.told += [move] if notify else []
            case _:
                self._carry_out_beside(action)

    def _carry_out_beside(self, action: Action) -> None:
        match action:
            case SetPreview(revision):
                self.preview = revision
            case EnsureComparer(stable, candidate, settings):
                self.comparer = ComparerPod(stable, candidate, digest(settings), self.now)
            case DeleteComparer():
                self.comparer = None
            case OpenGate():
                self.checks.open(action, self.now)
            case CloseGate(ident):
                self.checks.close(ident)

    def run(self, seconds: int, until: Callable[["World"], bool] = lambda _: False) -> "World":
        """Let time pass, second by second; the operator looks when it has reason to."""
        for _ in range(seconds):
            self.look()
            if until(self):
                return self
            self.tick()
        return self


def settled(seed: int = 0, **changes: object) -> World:
    """Return a world with a first revision that has served for a while."""
    world = replace(World(seed=seed), **changes)  # type: ignore[arg-type]
    world.models["r1"] = Model()
    world.run(40)
    world.writes, world.log, world.announced, world.told, world.routes = 0, [], [], [], []
    return world
