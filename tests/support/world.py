"""A small model of what surrounds the operator: API server, pods, gateway, traffic and Prometheus.

It stands in for the cluster, never for our own code: `plan` decides, the world carries out what it is told, and
may fail or die between any two actions. Deterministic for a seed.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from modelrollout.api.resource import Metadata, ModelRollout
from modelrollout.api.spec import Spec
from modelrollout.api.status import Move, Status
from modelrollout.core.actions import (
    Action,
    Announce,
    DeleteRevision,
    EnsureRevision,
    Plan,
    SaveStatus,
    ScaleRevision,
    SetRoute,
)
from modelrollout.core.evidence.windows import Reading, Series
from modelrollout.core.observed import Observed, Request, Route, Workload
from modelrollout.core.plan import plan
from modelrollout.core.settings import Settings
from modelrollout.core.split import Split

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
SPEC = {
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
BOUNDS = (0.01, 0.02, 0.025, 0.03125, 0.04, 0.08, float("inf"))


class Died(Exception):
    """The operator was killed between two actions."""


class Refused(Exception):
    """The API server did not take a write, this time."""


@dataclass
class Pods:
    """A Deployment."""

    desired: int
    since: datetime
    """When the youngest of its pods was created."""
    before: int = 0
    """Pods that were ready then."""


@dataclass
class Model:
    """How a revision answers."""

    error_rate: float = 0.001
    slow: float = 1.0
    """Factor on its latency."""
    starts: bool = True


@dataclass
class World:
    """The surroundings; `tick` lets a second pass, `reconcile` lets the operator look once."""

    spec: dict = field(default_factory=lambda: SPEC)
    seed: int = 0
    rps: float = 80.0
    window: int = 2
    pod_start: float = 3.0
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
    prometheus: bool = True
    request: Request | None = None
    counters: dict[tuple[str, str, bool], int] = field(default_factory=dict)
    history: dict[int, dict[tuple[str, str, bool], int]] = field(default_factory=dict)
    writes: int = 0
    log: list[str] = field(default_factory=list)
    announced: list[Move] = field(default_factory=list)
    before_action: Callable[[Action], None] = lambda _: None
    last: Plan | None = None

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - a simulation
        self.settings = Settings(window=self.window, settle=timedelta(milliseconds=500))

    # what people do

    def push(self, revision: str, model: Model | None = None) -> None:
        """Apply a new template."""
        self.desired, self.generation = revision, self.generation + 1
        self.models[revision] = model or Model()

    def ask(self, action: str, ident: str | None = None, **fields: object) -> None:
        """Write a request."""
        self.request = Request(id=ident or f"{action}-{self.now}", action=action, by="alice", **fields)  # type: ignore[arg-type]

    # time

    def tick(self, seconds: int = 1) -> None:
        """Let time pass, second by second."""
        for _ in range(seconds):
            self.now += timedelta(seconds=1)
            self._serve()
            instant = int(self.now.timestamp())
            if instant % self.window == 0 and self.prometheus:
                self.history[instant] = dict(self.counters)

    @property
    def weights(self) -> dict[str, int]:
        """Return the weights of the route as written."""
        return dict(self.split.weights)

    def _serve(self) -> None:
        for revision, weight in self.weights.items():
            model = self.models.get(revision, Model())
            for _ in range(self._poisson(self.rps * weight / 100)):
                bad = self.random.random() < model.error_rate or self.ready(revision) == 0
                if (revision, "le0", False) not in self.counters:
                    self.counters.update({(revision, f"le{k}", False): 0 for k in range(len(BOUNDS))})
                self._count((revision, "code", bad))
                seconds = self.random.lognormvariate(-4.0, 0.3) * model.slow
                bucket = next(k for k, bound in enumerate(BOUNDS) if seconds <= bound)
                for k in range(bucket, len(BOUNDS)):
                    self._count((revision, f"le{k}", False))

    def _poisson(self, mean: float) -> int:
        whole, part = divmod(mean, 1.0)
        return int(whole) + (self.random.random() < part)

    def _count(self, key: tuple[str, str, bool]) -> None:
        self.counters[key] = self.counters.get(key, 0) + 1

    def ready(self, revision: str) -> int:
        """Return the ready pods of a revision."""
        pods = self.pods.get(revision)
        if pods is None or not self.models.get(revision, Model()).starts:
            return 0
        grown = self.now - pods.since >= timedelta(seconds=self.pod_start)
        return pods.desired if grown else min(pods.desired, pods.before)

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
        accepted = self.route_changed is not None and self.now - self.route_changed >= timedelta(seconds=1)
        return Observed(
            desired=self.desired,
            image=f"model:{self.desired}",
            workloads={
                r: Workload(
                    revision=r,
                    desired=p.desired,
                    ready=self.ready(r),
                    total=p.desired,
                    image=f"model:{r}",
                    crash_loop=not self.models.get(r, Model()).starts and self.now - p.since > timedelta(seconds=40),
                )
                for r, p in self.pods.items()
            },
            route=Route(self.split, current=True, accepted=accepted, latch=self.latch) if self.weights else None,
            readings=self._readings(),
            request=self.request,
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
        return {name: self._reading(name, watch.stable, watch.candidate, instants) for name in watch.metrics}

    def _reading(self, name: str, stable: str, candidate: str, instants: tuple[int, ...]) -> Reading:
        def side(revision: str) -> tuple[Series, ...]:
            keys = [k for k in self.counters if k[0] == revision and (k[1] == "code") == (name == "errors")]
            return tuple(
                Series(
                    bad=key[2],
                    le=BOUNDS[int(key[1][2:])] if key[1] != "code" else None,
                    source="gateway",
                    values=tuple(self.history[t].get(key) for t in instants),
                )
                for key in sorted(keys)
            )

        return Reading(instants=instants, stable=side(stable), candidate=side(candidate))

    def reconcile(self) -> Plan:
        """Let the operator look once, and carry out its plan.

        Died leaves the rest undone and its memory lost; Refused only leaves the rest undone.
        """
        self.last = plan(self.rollout(), self.observe(), self.now, self.settings)
        try:
            for action in self.last.actions:
                self.before_action(action)
                self._carry_out(action, self.last)
        except Died:
            self.die()
            raise
        except Refused:
            return self.last
        self.working = self.last.status
        return self.last

    def die(self) -> None:
        """Forget everything outside the resource."""
        self.working, self.last = None, None

    def _carry_out(self, action: Action, made: Plan) -> None:
        self.writes += 1
        self.log.append(f"{(self.now - START).total_seconds():.0f} {action}")
        match action:
            case EnsureRevision(revision, replicas) | ScaleRevision(revision, replicas):
                self.writes += isinstance(action, EnsureRevision)
                pods, ready = self.pods.get(revision), self.ready(revision)
                since = self.now if pods is None or replicas > pods.desired else pods.since
                self.pods[revision] = Pods(replicas, since, ready)
            case DeleteRevision(revision):
                self.pods.pop(revision, None)
            case SetRoute(split, latch):
                self.split, self.latch, self.route_changed = split, latch, self.now
            case SaveStatus():
                self.saved = Status.model_validate_json(made.status.model_dump_json())
                self.working = made.status
            case Announce(move):
                self.announced.append(move)

    def run(self, seconds: int, until: Callable[["World"], bool] = lambda _: False) -> "World":
        """Let time pass with the operator looking each second."""
        for _ in range(seconds):
            self.reconcile()
            if until(self):
                return self
            self.tick()
        return self


def settled(seed: int = 0, **changes: object) -> World:
    """Return a world with a first revision that has served for a while."""
    world = replace(World(seed=seed), **changes)  # type: ignore[arg-type]
    world.models["r1"] = Model()
    world.run(40)
    world.writes, world.log, world.announced = 0, [], []
    return world
