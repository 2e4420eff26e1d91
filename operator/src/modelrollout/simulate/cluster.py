"""The synthetic cluster: pods that take time to start, and a gateway that takes time to apply a route."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from modelrollout.core.observed import Route, Workload
from modelrollout.core.revision import object_name
from modelrollout.core.split import Split
from modelrollout.simulate.pods import Batch, Dice, Grid, past_of
from modelrollout.simulate.stage import Stage

APPLY: Final = 1.0
"""Seconds from a write of the route until the gateway routes so and says so."""


@dataclass(eq=False)
class Fleet:
    """The Deployment of one revision."""

    desired: int
    batches: list[Batch] = field(default_factory=list)
    created: int = 0

    @property
    def alive(self) -> int:
        """Pods that exist."""
        return sum(batch.alive for batch in self.batches)

    def ready(self, time: float) -> int:
        """Return the pods that serve."""
        return sum(batch.alive for batch in self.batches if batch.ready <= time)


@dataclass
class Exposure:
    """What a candidate did to users; the simulation's own knowledge."""

    first: float | None = None
    """When it first took traffic."""
    excess: float = 0.0
    """Failed requests beyond those that stable would have failed."""
    path: list[tuple[float, int]] = field(default_factory=list)
    """Its weight from each moment on."""


class Cluster:
    """Everything outside the operator but Prometheus; moved on by whoever asks."""

    def __init__(self, stage: Stage, grid: Grid, random: np.random.Generator) -> None:
        self.stage, self.grid, self.random = stage, grid, random
        self.now = 0.0
        self.fleets: dict[str, Fleet] = {}
        self.weights: dict[str, int] = {stage.stable: 100}
        """As written."""
        self.serving: dict[str, int] = dict(self.weights)
        """As the gateway routes now."""
        self.latch: str | None = None
        self.applied_at = -math.inf
        self.exposures: dict[str, Exposure] = {revision: Exposure() for _, revision in stage.templates}
        self.comparers: dict[str, Batch] = {}
        self._settled = 0.0
        self._dice = Dice(random, stage.shape, stage.scenario.cluster_size)
        self._begin()

    def _begin(self) -> None:
        stable, pods = self.stage.stable, self.stage.rollout.spec.replicas
        table = self.stage.tables[stable]
        past = past_of(table, self._dice, pods, 1.0 / pods)
        fleet = self.fleets[stable] = Fleet(pods)
        fleet.batches.append(self._batch(stable, fleet, pods, ready=0.0, past=past))
        self._share_out()

    def _batch(self, revision: str, fleet: Fleet, pods: int, ready: float, past: np.ndarray | None = None) -> Batch:
        prefix = object_name(self.stage.rollout.metadata.name, revision)
        names = tuple(f"{prefix}-{len(fleet.batches)}-{fleet.created + index}" for index in range(pods))
        fleet.created += pods
        phases = self.grid.window * (1.0 - self.random.random(pods))
        base = None if past is None else past[-1]
        return Batch(self.grid, names, phases, self.stage.tables[revision], self._dice, ready, base, past)

    # what the operator does

    def scale(self, revision: str, replicas: int) -> None:
        """Create pods, or let the youngest go."""
        fleet = self.fleets.setdefault(revision, Fleet(0))
        fleet.desired = replicas
        surplus = fleet.alive - replicas
        if surplus < 0:
            ready = self.now + self.stage.scenario.pod_start
            fleet.batches.append(self._batch(revision, fleet, -surplus, ready))
        for batch in reversed(fleet.batches):
            surplus -= batch.leave(self.now, max(0, surplus))
        self._share_out()

    def delete(self, revision: str) -> None:
        """Delete a Deployment."""
        self.scale(revision, 0)
        self.fleets.pop(revision)

    def set_route(self, weights: dict[str, int], latch: str | None) -> None:
        """Write the route; the gateway follows a little later."""
        self.weights, self.latch, self.applied_at = weights, latch, self.now + APPLY

    # what others do

    def restart_pod(self, revision: str) -> None:
        """Restart the container of the first pod of a revision."""
        for batch in self.fleets[revision].batches if revision in self.fleets else ():
            for pod in np.flatnonzero(batch.gone > self.now)[:1]:
                batch.restart(self.now, int(pod))
                return

    # what is drawn

    def mark(self) -> Callable[[], None]:
        """Return what takes back everything drawn from now on; nothing else may change meanwhile."""
        state = self.random.bit_generator.state
        undo = [batch.mark() for fleet in self.fleets.values() for batch in fleet.batches]

        def back() -> None:
            self.random.bit_generator.state = state
            for one in undo:
                one()

        return back

    # time

    def next_change(self) -> float:
        """Return when something changes by itself."""
        times = [batch.ready for fleet in self.fleets.values() for batch in fleet.batches if batch.ready > self.now]
        if self.applied_at > self.now:
            times.append(self.applied_at)
        return min(times, default=math.inf)

    def advance(self, time: float) -> bool:
        """Let time pass up to the next change at most; True if something changed at `time`."""
        changes = self.next_change() <= time
        self.now = time
        if self.serving != self.weights and self.applied_at <= time:
            self.settle()
            self.serving = dict(self.weights)
            for revision, exposure in self.exposures.items():
                weight = self.serving.get(revision, 0)
                if weight and exposure.first is None:
                    exposure.first = time
                if exposure.first is not None and (not exposure.path or exposure.path[-1][1] != weight):
                    exposure.path.append((time, weight))
        if changes:
            self._share_out()
        return changes

    def settle(self) -> None:
        """Count the harm that candidates did since the split last changed."""
        span, self._settled = np.array([self._settled, self.now]), self.now
        for revision, weight in self.serving.items():
            if revision in self.exposures:
                own, stable = (self.stage.tables[name].failures(span) for name in (revision, self.stage.stable))
                self.exposures[revision].excess += weight / 100.0 * float((own[1] - own[0]) - (stable[1] - stable[0]))

    def _share_out(self) -> None:
        """Give each pod its share of the traffic as it is routed now."""
        for revision, fleet in self.fleets.items():
            ready = fleet.ready(self.now)
            each = self.serving.get(revision, 0) / 100.0 / ready if ready else 0.0
            for batch in fleet.batches:
                serves = (batch.gone > self.now) & (batch.ready <= self.now)
                batch.change(self.now, np.where(serves, each, 0.0))
        if self.stage.pairs is not None:
            self._compare()

    def _compare(self) -> None:
        assert self.stage.pairs is not None  # noqa: S101
        for revision in self.exposures:
            serves = revision in self.fleets and self.fleets[revision].ready(self.now) > 0
            if serves and revision not in self.comparers:
                phase = self.grid.window * (1.0 - self.random.random(1))
                dice = Dice(self.random, type(self.stage.shape)(), 1.0)
                names = ("comparer-0",)
                self.comparers[revision] = Batch(self.grid, names, phase, self.stage.pairs, dice, self.now)
            if revision in self.comparers:
                self.comparers[revision].change(self.now, np.full(1, 1.0 if serves else 0.0))

    # what the operator sees

    def workloads(self) -> dict[str, Workload]:
        """Return the Deployments."""
        return {
            revision: Workload(revision, fleet.desired, fleet.ready(self.now), fleet.alive)
            for revision, fleet in self.fleets.items()
        }

    def route(self) -> Route:
        """Return the route as it reads back."""
        return Route(Split(self.weights), current=True, accepted=self.applied_at <= self.now, latch=self.latch)
