"""A cluster in memory: it implements the ports, carries out what it is told, and fails when it is told to."""

# ruff: noqa: ARG002 - the signatures are those of the ports

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from modelrollout.adapters.notify import Silent
from modelrollout.api.base import API_VERSION, KIND
from modelrollout.api.resource import ModelRollout
from modelrollout.api.status import Move, Status
from modelrollout.api.strategy import Comparer
from modelrollout.core.actions import OpenGate, Watch
from modelrollout.core.evidence.windows import Reading
from modelrollout.core.observed import ComparerState, GateResult, Route, Workload
from modelrollout.core.settings import Settings
from modelrollout.core.split import Split
from modelrollout.ports import ConflictError, Key
from modelrollout.runtime.collector import Collector
from modelrollout.runtime.memory import Memories
from modelrollout.runtime.metrics import OperatorMetrics
from modelrollout.runtime.observe import Observer
from modelrollout.runtime.reconcile import Reconciler
from modelrollout.runtime.store import RolloutStore

KEY = Key("ml", "fraud")
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def rollout(image: str = "model:1", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "fraud", "namespace": "ml", "uid": "u", "generation": 1, "resourceVersion": "1"},
        "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [{"name": "m", "image": image}]}},
            "traffic": {"gatewayAPI": {"parentRefs": [{"name": "public"}]}},
            "analysis": {"preset": "traefik"},
            **spec,
        },
    }


@dataclass
class Cluster:
    """API server, kubelet and gateway; every port call is one entry of `calls`."""

    fault: Callable[[int, str], Exception | None] = lambda _, __: None
    """Asked before each call, with its number and name, for what it should fail with."""
    ready: bool = True
    budget_fits: bool = True
    now_: datetime = START
    raw: dict[str, Any] = field(default_factory=rollout)
    pods: dict[str, int] = field(default_factory=dict)
    weights: dict[str, int] | None = None
    latch: str | None = None
    learnt: int = 0
    """How often the router was asked to learn about its gateways."""
    calls: list[str] = field(default_factory=list)
    announced: list[str] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)

    def _call(self, name: str) -> None:
        self.calls.append(name)
        fault = self.fault(len(self.calls) - 1, name)
        if fault is not None:
            raise fault

    # ports.Cluster

    async def apply_revision(
        self, rollout: ModelRollout, revision: str, template: Mapping[str, Any] | None, replicas: int
    ) -> None:
        self._call("apply")
        self.pods[revision] = replicas

    async def scale_revision(self, rollout: ModelRollout, revision: str, replicas: int) -> None:
        self._call("scale")
        self.pods[revision] = replicas

    async def delete_revision(self, rollout: ModelRollout, revision: str) -> None:
        self._call("delete")
        del self.pods[revision]

    async def save_status(self, rollout: ModelRollout, status: Status) -> str:
        self._call("save")
        if rollout.metadata.resource_version != self.raw["metadata"]["resourceVersion"]:
            raise ConflictError("stale")
        self.raw["status"] = json.loads(status.model_dump_json(exclude_none=True))
        self._version()
        self.statuses.append(status)
        return str(self.raw["metadata"]["resourceVersion"])

    async def announce(self, rollout: ModelRollout, move: Move, warning: bool) -> None:
        self._call("announce")
        self.announced.append(move.move)

    async def pod_trouble(self, rollout: ModelRollout, revision: str) -> tuple[str | None, bool]:
        self._call("pods")
        return "ImagePullBackOff: no such image", False

    async def leave(self, key: Key) -> None:
        self._call("leave")

    # ports.TrafficRouter

    async def learn(self, rollout: ModelRollout) -> None:
        self.learnt += 1

    def check(self, rollout: ModelRollout) -> None:
        """Any rollout can be routed."""

    async def set(self, rollout: ModelRollout, split: Split, latch: str | None) -> None:
        self._call("route")
        self.weights, self.latch = dict(split.weights), latch

    def read(self, rollout: ModelRollout) -> Route | None:
        if self.weights is None:
            return None
        return Route(Split(self.weights), current=True, accepted=True, latch=self.latch)

    async def apply_preview(self, rollout: ModelRollout, revision: str | None) -> None:
        self._call("preview")

    async def apply_budget(self, rollout: ModelRollout) -> None:
        self._call("budget")

    async def apply_comparer(self, rollout: ModelRollout, stable: str, candidate: str, settings: Comparer) -> None:
        self._call("comparer")

    async def delete_comparer(self, rollout: ModelRollout) -> None:
        self._call("no comparer")

    # ports.Gates

    def result(self, key: Key) -> GateResult | None:
        return None

    async def open(self, rollout: ModelRollout, gate: OpenGate) -> None:
        self._call("gate")

    async def close(self, rollout: ModelRollout, ident: str) -> None:
        self._call("no gate")

    def forget(self, key: Key) -> None:
        """There is nothing to forget."""

    # caches and clock

    def comparer(self, key: Key) -> ComparerState | None:
        return None

    def of(self, key: Key) -> Mapping[str, Workload]:
        return {
            revision: Workload(revision, desired=pods, ready=pods if self.ready else 0, total=pods)
            for revision, pods in self.pods.items()
        }

    def now(self) -> datetime:
        return self.now_

    # what people do

    def edit(self, **changes: Any) -> None:
        self.raw["spec"] |= changes
        self.raw["metadata"]["generation"] += 1
        self._version()

    def annotate(self, annotations: dict[str, str]) -> None:
        self.raw["metadata"]["annotations"] = annotations
        self._version()

    def _version(self) -> None:
        self.raw["metadata"]["resourceVersion"] = str(int(self.raw["metadata"]["resourceVersion"]) + 1)


class _NoMetrics:
    async def read(
        self, watches: Mapping[Key, tuple[ModelRollout, Watch]], until: int
    ) -> Mapping[Key, Mapping[str, Reading]]:
        return {}


class Operator:
    """A reconciler on such a cluster."""

    def __init__(self, cluster: Cluster, *, may_write: Callable[[], bool] = lambda: True) -> None:
        self.cluster = cluster
        self.store = RolloutStore()
        self.collector = Collector(_NoMetrics(), cluster, window=15, enqueue=lambda _: None)
        self.memories = Memories()
        self.reconciler = Reconciler(
            store=self.store,
            observer=Observer(
                cluster, lambda _: None, lambda _: cluster.budget_fits, None, lambda _: cluster, cluster, cluster
            ),
            cluster=cluster,
            router_for=lambda _: cluster,
            gates=cluster,
            notifier=Silent(),
            collector=self.collector,
            clock=cluster,
            settings=Settings(),
            metrics=OperatorMetrics(),
            memories=self.memories,
            may_write=may_write,
            leave=cluster.leave,
        )

    async def look(self) -> timedelta | None:
        """Let the watch bring the rollout, and reconcile it once."""
        self.store.put(json.loads(json.dumps(self.cluster.raw)))
        return await self.reconciler.reconcile(KEY)

    async def settle(self, *, errors: type[Exception] | tuple[type[Exception], ...] = ()) -> None:
        """Reconcile until nothing more is done; errors of these kinds are tried again."""
        for _ in range(30):
            before = len(self.cluster.calls)
            try:
                again = await self.look()
            except errors:
                continue
            self.cluster.now_ += again or timedelta(0)
            if len(self.cluster.calls) == before and again is None:
                return
            await asyncio.sleep(0)
