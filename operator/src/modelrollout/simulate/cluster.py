"""The synthetic cluster: pods that take time to start, and a gateway that takes time to apply a route.

Without a gateway (a plain Service) what counts is pods: each that is routed to gets as many requests as any other.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from modelrollout.api.strategy import Comparer
from modelrollout.core.observed import Route, Workload
from modelrollout.core.revision import object_name
from modelrollout.core.split import Split
from modelrollout.simulate.copies import Copies
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
    """When it first took requests, or copies of them."""
    excess: float = 0.0
    """Failed requests beyond those that stable would have failed."""
    path: list[tuple[float, float]] = field(default_factory=list)
    """Its per cent of the requests of users from each moment on."""


class Cluster:
    """Everything outside the operator but Prometheus; moved on by whoever asks."""

    def __init__(self, stage: Stage, grid: Grid, random: np.random.Generator) -> None:
        self.stage, self.grid, self.random = stage, grid, random
        self.now = 0.0
        self.fleets: dict[str, Fleet] = {}
        self.split = Split({stage.stable: 100})
        """As written."""
        self.serving = self.split
        """As the gateway routes now."""
        self.shares: dict[str, float] = {stage.stable: 1.0}
        """What part of the requests of users reaches each revision now."""
        self.preview: str | None = None
        self.latch: str | None = None
        self.applied_at = -math.inf
        self.exposures: dict[str, Exposure] = {revision: Exposure() for _, revision in stage.templates}
        self._settled = 0.0
        self._dice = Dice(random, stage.shape, stage.scenario.cluster_size)
        self.copies = Copies(stage, grid, random, self._dice)
        self._by_pods = stage.rollout.spec.traffic.routers == ("service",)
        self._begin()

    @property
    def weights(self) -> dict[str, int]:
        """Weights as written."""
        return self.stage.weights(self.split)

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

    def set_route(self, split: Split, latch: str | None) -> None:
        """Write the route; the gateway follows a little later."""
        self.split, self.latch, self.applied_at = split, latch, self.now + APPLY

    def ensure_comparer(self, stable: str, candidate: str, settings: Comparer) -> None:
        """Create the comparer's pod."""
        self.copies.ensure(stable, candidate, settings, self.now)
        self._share_out()

    def delete_comparer(self) -> None:
        """Delete the comparer's pod."""
        self.copies.delete(self.now)

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
        return min([*times, self.copies.next_change(self.now)])

    def advance(self, time: float) -> bool:
        """Let time pass up to the next change at most; True if something changed at `time`."""
        changes = self.next_change() <= time
        self.now = time
        if self.serving != self.split and self.applied_at <= time:
            self.serving = self.split
            changes = True
        if changes:
            self._share_out()
        return changes

    def settle(self) -> None:
        """Count the harm that candidates did since the split last changed."""
        span, self._settled = np.array([self._settled, self.now]), self.now
        for revision, share in self.shares.items():
            if revision in self.exposures:
                own, stable = (self.stage.tables[name].failures(span) for name in (revision, self.stage.stable))
                self.exposures[revision].excess += share * float((own[1] - own[0]) - (stable[1] - stable[0]))

    def _share_out(self) -> None:
        """Give each pod its share of the traffic as it is routed now."""
        ready = {revision: fleet.ready(self.now) for revision, fleet in self.fleets.items()}
        shares = self._shares(ready)
        if shares != self.shares:
            self.settle()
            self.shares = shares
        self._expose()
        for revision, fleet in self.fleets.items():
            each = shares.get(revision, 0.0) / ready[revision] if ready[revision] else 0.0
            for batch in fleet.batches:
                serves = (batch.gone > self.now) & (batch.ready <= self.now)
                batch.change(self.now, np.where(serves, each, 0.0))
        self.copies.share_out(self.serving.mirror, ready, self.now)

    def _shares(self, ready: dict[str, int]) -> dict[str, float]:
        split = self.serving
        matched = self.stage.matched(split.matched) if split.matched is not None else 0.0
        pods = {revision: float(ready.get(revision, 0)) for revision, weight in split.weights.items() if weight}
        total = sum(pods.values())
        if self._by_pods and total:
            return {revision: number / total for revision, number in pods.items()}
        shares = {revision: (1.0 - matched) * weight / 100.0 for revision, weight in split.weights.items()}
        if split.matched is not None:
            shares[split.matched.revision] = shares.get(split.matched.revision, 0.0) + matched
        return shares

    def _expose(self) -> None:
        """Note what candidates get of the requests of users."""
        for revision, exposure in self.exposures.items():
            percent = round(100.0 * self.shares.get(revision, 0.0), 6)
            mirror = self.serving.mirror
            copied = mirror is not None and (mirror.to == revision or self._compared(revision))
            if (percent or copied) and exposure.first is None:
                exposure.first = self.now
            if exposure.first is not None and (not exposure.path or exposure.path[-1][1] != percent):
                exposure.path.append((self.now, percent))

    def _compared(self, revision: str) -> bool:
        comparer = self.copies.state(self.now)
        return comparer is not None and comparer.ready and comparer.candidate == revision

    # what the operator sees

    def workloads(self) -> dict[str, Workload]:
        """Return the Deployments."""
        return {
            revision: Workload(revision, fleet.desired, fleet.ready(self.now), fleet.alive)
            for revision, fleet in self.fleets.items()
        }

    def route(self) -> Route:
        """Return the route as it reads back."""
        return Route(self.split, current=True, accepted=self.applied_at <= self.now, latch=self.latch)
