"""The whole operator on a real API server; a test plays kubelet, gateway and Prometheus."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from modelrollout.api.base import API_VERSION, KIND, REVISION_LABEL
from modelrollout.api.resource import ModelRollout
from modelrollout.core.actions import Watch
from modelrollout.core.evidence.windows import Reading, Series
from modelrollout.core.settings import Settings
from modelrollout.ports import Key
from modelrollout.runtime.app import run
from modelrollout.runtime.metrics import OperatorMetrics
from modelrollout.runtime.options import Options
from tests.support.kube import Kube, Object

GATEWAY = "gateway.networking.k8s.io/v1"
BOUNDS = (0.01, 0.02, 0.04, float("inf"))
RATE = 1000
"""Requests a second."""


@dataclass
class Counts:
    """A Prometheus whose counters grow by the clock: every revision gets its weight's share of RATE."""

    failing: set[str] = field(default_factory=set)
    """Revisions of which half of the requests fail."""
    silent: bool = False
    reads: int = 0

    async def read(
        self, watches: Mapping[Key, tuple[ModelRollout, Watch]], until: int
    ) -> Mapping[Key, Mapping[str, Reading]]:
        self.reads += 1
        return {
            key: {name: self._reading(name, rollout, watch, until) for name in watch.metrics}
            for key, (rollout, watch) in watches.items()
        }

    def _reading(self, name: str, rollout: ModelRollout, watch: Watch, until: int) -> Reading:
        if self.silent:
            return Reading(error="connection refused")
        instants = tuple(range(watch.since, until + 1))
        # In the guard the candidate is the revision that serves by now.
        weight = 100 if watch.candidate == rollout.status.stable else rollout.status.weights.candidate
        rates = {watch.stable: RATE * (100 - weight) // 100, watch.candidate: RATE * weight // 100}
        stable, candidate = (tuple(self._series(name, revision, rates[revision], instants)) for revision in rates)
        return Reading(instants, stable, candidate)

    def _series(self, name: str, revision: str, rate: int, instants: tuple[int, ...]) -> Iterator[Series]:
        if name == "errors":
            bad = rate // 2 if revision in self.failing else 0
            yield Series(True, None, "gw", tuple(float(bad * t) for t in instants))
            yield Series(False, None, "gw", tuple(float((rate - bad) * t) for t in instants))
            return
        for bound, share in zip(BOUNDS, (0.5, 0.9, 0.99, 1.0), strict=True):
            yield Series(False, bound, "gw", tuple(float(int(rate * share) * t) for t in instants))


@dataclass
class Surroundings:
    """Deployment controller, kubelet and gateway: whatever is asked for is there a moment later."""

    api: Kube
    namespace: str
    broken: set[str] = field(default_factory=set)
    """Revisions whose pods do not become ready."""
    controller: str = "example.com/gateway"
    """Of the gateways."""

    async def run(self) -> None:
        while True:
            await asyncio.to_thread(self._once)
            await asyncio.sleep(0.05)

    def _once(self) -> None:
        for raw in self.api.list("Deployment", api="apps/v1", namespace=self.namespace):
            self._deployment(raw)
        for raw in self.api.list("HTTPRoute", api=GATEWAY, namespace=self.namespace):
            self._route(raw)

    def _deployment(self, raw: Object) -> None:
        meta, pods = raw["metadata"], raw["spec"]["replicas"]
        ready = 0 if meta["labels"].get(REVISION_LABEL) in self.broken else pods
        status = {"observedGeneration": meta["generation"], "replicas": pods, "readyReplicas": ready}
        status |= {"updatedReplicas": pods, "availableReplicas": ready}
        if any(raw.get("status", {}).get(name, 0) != value for name, value in status.items()):
            self.api.patch(
                "Deployment", meta["name"], {"status": status}, api="apps/v1", namespace=self.namespace, sub="status"
            )

    def _route(self, raw: Object) -> None:
        meta = raw["metadata"]
        parents = raw.get("status", {}).get("parents") or [{"conditions": [{"observedGeneration": 0}]}]
        if parents[0]["conditions"][0]["observedGeneration"] == meta["generation"]:
            return
        common = {"status": "True", "message": "", "observedGeneration": meta["generation"]}
        common["lastTransitionTime"] = "2026-01-01T00:00:00Z"
        parent = {
            "parentRef": raw["spec"]["parentRefs"][0],
            "controllerName": self.controller,
            "conditions": [
                {"type": "Accepted", "reason": "Accepted", **common},
                {"type": "ResolvedRefs", "reason": "ResolvedRefs", **common},
            ],
        }
        self.api.patch(
            "HTTPRoute",
            meta["name"],
            {"status": {"parents": [parent]}},
            api=GATEWAY,
            namespace=self.namespace,
            sub="status",
        )


@dataclass
class Story:
    """What a test sees and does."""

    api: Kube
    namespace: str
    counts: Counts
    surroundings: Surroundings
    metrics: OperatorMetrics
    task: "asyncio.Task[int]"
    stop: asyncio.Event

    async def get(self, name: str = "fraud") -> Object:
        return await asyncio.to_thread(self.api.get, KIND, name, api=API_VERSION, namespace=self.namespace)

    async def apply(self, raw: Object) -> Object:
        return await asyncio.to_thread(self.api.apply, raw)

    async def patch(self, patch: Object) -> Object:
        return await asyncio.to_thread(self.api.patch, KIND, "fraud", patch, api=API_VERSION, namespace=self.namespace)

    async def seen(self, raw: Object) -> None:
        """Wait until the operator looked at the rollout after a change of it."""
        before = self._looks()
        await self.patch({"metadata": {"annotations": {"test/look": raw["metadata"]["resourceVersion"]}}})
        await self.eventually("a look at the rollout", lambda: self._looks() > before)

    def _looks(self) -> float:
        return self.metrics.registry.get_sample_value("modelrollout_reconcile_seconds_count") or 0.0

    async def eventually(self, what: str, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not condition():  # noqa: ASYNC110 - the condition is another process's
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"not seen: {what}")

    async def until(
        self, what: str, condition: Callable[[Object], Any], *, name: str = "fraud", seconds: float = 30.0
    ) -> Object:
        """Look at the rollout until its status meets the condition."""
        raw: Object = {}
        try:
            async with asyncio.timeout(seconds):
                while True:
                    raw = await self.get(name)
                    if raw.get("status") and condition(raw["status"]):
                        return raw
                    if self.task.done():
                        pytest.fail(f"the operator ended with {self.task.result()} before {what}")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"not seen: {what}; status: {raw.get('status')}")

    async def routed(self, **weights: int) -> None:
        """Wait until the route is as expected: forward moves write it after the status."""
        found: dict[str, int] = {}
        try:
            async with asyncio.timeout(30):
                while (found := await self._weights()) != weights:  # noqa: ASYNC110 - the other side is a server
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"the route has {found} instead of {weights}")

    async def _weights(self) -> dict[str, int]:
        routes = await asyncio.to_thread(self.api.list, "HTTPRoute", api=GATEWAY, namespace=self.namespace)
        backends = [ref for raw in routes for ref in raw["spec"]["rules"][0]["backendRefs"]]
        return {ref["name"].removeprefix("fraud-"): ref["weight"] for ref in backends}

    async def announced(self, move: str) -> None:
        """Wait until a move was announced, the last write about it."""
        read, name = self.metrics.registry.get_sample_value, "modelrollout_decisions_total"
        await self.eventually(f"event of {move}", lambda: bool(read(name, {"move": move})))

    def writes(self) -> dict[str, float]:
        """Return writes of the operator so far, by verb and kind; leases apart."""
        return {
            f"{sample.labels['verb']} {sample.labels['resource']}": sample.value
            for family in self.metrics.api_requests.collect()
            for sample in family.samples
            if sample.name.endswith("_total")
            and sample.labels["verb"] not in ("get", "list", "watch")
            and sample.labels["resource"] != "leases"
        }


def rollout(namespace: str, image: str = "model:1", **spec: Any) -> Object:
    container = {"name": "m", "image": image, "ports": [{"name": "http", "containerPort": 80}]}
    steps = [{"weight": 20}, {"weight": 50}]
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "fraud", "namespace": namespace},
        "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [container]}},
            "traffic": {"gatewayAPI": {"parentRefs": [{"name": "public"}]}},
            "strategy": {
                "steps": steps,
                "minStepDuration": "1s",
                "guard": {"duration": "2s"},
            },
            "analysis": {"preset": "traefik"},
            **spec,
        },
    }


@contextlib.asynccontextmanager
async def operator(api: Kube, namespace: str, *, code: int = 0, **changes: Any) -> AsyncIterator[Story]:
    counts, surroundings, metrics = Counts(), Surroundings(api, namespace), OperatorMetrics()
    stop = asyncio.Event()
    fields = {"host": "127.0.0.1", "port": 0, "namespaces": (namespace,), "lease_namespace": namespace, **changes}
    options = Options(
        settings=Settings(window=1, settle=timedelta(milliseconds=100)), kubeconfig=str(api.kubeconfig), **fields
    )
    task = asyncio.create_task(run(options, counts, metrics, stop=stop))
    world = asyncio.create_task(surroundings.run())
    try:
        yield Story(api, namespace, counts, surroundings, metrics, task, stop)
    finally:
        stop.set()
        world.cancel()
        async with asyncio.timeout(20):
            assert await task == code
