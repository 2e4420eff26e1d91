"""What is kept of Deployments and routes, and who is told."""

from typing import Any

import pytest

from modelrollout.adapters.kubernetes.cache import Routes, Workloads
from modelrollout.adapters.kubernetes.resources import HTTP_ROUTES
from modelrollout.api.base import NAME_LABEL
from modelrollout.core.observed import Workload
from modelrollout.ports import Key

KEY = Key("shop", "fraud")


def deployment(version: int = 1, revision: str = "r1", name: str | None = None, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name or f"fraud-{revision}",
            "namespace": "shop",
            "uid": f"uid-{revision}",
            "resourceVersion": str(version),
            "generation": 2,
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": {"modelrollout.dev/name": "fraud", "modelrollout.dev/revision": revision},
        },
        "spec": {"replicas": 3, "template": {"spec": {"containers": [{"image": "model:1"}]}}},
        "status": {"observedGeneration": 2, "replicas": 3, "readyReplicas": 3, **status},
    }


def kept(raw: dict[str, Any]) -> Workload:
    workloads = Workloads(lambda _: None)
    workloads.event("ADDED", raw)
    return workloads.of(KEY)["r1"]


@pytest.mark.parametrize(
    ("status", "ready", "total"),
    [
        ({}, 3, 3),
        ({"readyReplicas": 5, "replicas": 5}, 3, 5),
        ({"observedGeneration": 1}, 0, 3),
        ({"readyReplicas": 0}, 0, 3),
    ],
    ids=["all ready", "more than asked for", "not looked at yet", "none"],
)
def test_ready_pods(status: dict[str, Any], ready: int, total: int) -> None:
    workload = kept(deployment(**status))
    assert (workload.ready, workload.total, workload.desired) == (ready, total, 3)


def test_a_deployment_that_nobody_looked_at_has_no_pods() -> None:
    raw = deployment()
    del raw["status"]
    assert (kept(raw).ready, kept(raw).total, kept(raw).deadline_exceeded) == (0, 0, False)


def test_the_deployment_that_gave_up_says_so() -> None:
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    assert kept(deployment(conditions=[condition])).deadline_exceeded
    assert not kept(deployment(conditions=[condition], observedGeneration=1)).deadline_exceeded


def test_pods_that_cannot_even_be_created_are_trouble() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    assert kept(deployment(conditions=[condition])).trouble == "FailedCreate: exceeded quota"
    assert kept(deployment(conditions=[condition | {"status": "False"}])).trouble is None


class Told:
    """Caches that write down whom they told."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.workloads = Workloads(self.keys.append)
        self.routes = Routes(self.keys.append)


@pytest.fixture
def told() -> Told:
    return Told()


def test_only_what_matters_is_told(told: Told) -> None:
    told.workloads.event("ADDED", deployment(1))
    told.workloads.event("MODIFIED", deployment(2, collisionCount=1))
    assert told.keys == [KEY]
    told.workloads.event("MODIFIED", deployment(3, readyReplicas=2))
    assert told.keys == [KEY, KEY]


def test_an_older_state_never_replaces_a_newer_one(told: Told) -> None:
    told.workloads.event("MODIFIED", deployment(9, readyReplicas=1))
    told.workloads.event("MODIFIED", deployment(8, readyReplicas=3))
    told.workloads.event("DELETED", deployment(8))
    assert told.workloads.of(KEY)["r1"].ready == 1


def test_a_deletion_is_forgotten_and_told_once(told: Told) -> None:
    told.workloads.event("ADDED", deployment(1))
    told.workloads.event("DELETED", deployment(2))
    told.workloads.event("DELETED", deployment(3))
    assert told.workloads.of(KEY) == {}
    assert told.workloads.uid(KEY, "r1") is None
    assert told.keys == [KEY, KEY]


def test_another_object_of_the_same_name_is_news(told: Told) -> None:
    told.workloads.event("ADDED", deployment(1))
    again = deployment(5)
    again["metadata"]["uid"] = "another"
    told.workloads.event("ADDED", again)
    assert told.workloads.uid(KEY, "r1") == "another"
    assert told.keys == [KEY, KEY]


@pytest.mark.parametrize("name", ["fraud", "other-r1"])
def test_our_labels_on_something_else_make_it_no_revision(told: Told, name: str) -> None:
    told.workloads.event("ADDED", deployment(name=name))
    assert told.workloads.of(KEY) == {}


def test_what_is_not_retained_is_forgotten(told: Told) -> None:
    told.workloads.event("ADDED", deployment(1, "r1"))
    told.workloads.event("ADDED", deployment(1, "r2"))
    told.keys.clear()
    told.workloads.retain({("shop", "fraud-r2"), ("other", "fraud-r1")})
    assert set(told.workloads.of(KEY)) == {"r2"}
    assert told.keys == [KEY]


def route(version: int, **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": "fraud",
            "namespace": "shop",
            "labels": {NAME_LABEL: "fraud"},
            "resourceVersion": str(version),
            "generation": 4,
            "managedFields": [{"manager": "x" * 1000}],
            "annotations": {"modelrollout.dev/latch": "3", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
        },
        "spec": {"rules": []},
        "status": {"parents": []},
        **more,
    }


def test_a_route_is_kept_without_bookkeeping(told: Told) -> None:
    told.routes.event(HTTP_ROUTES, "ADDED", route(1))
    assert told.routes.get(HTTP_ROUTES, KEY.namespace, KEY.name) == {
        "metadata": {
            "name": "fraud",
            "namespace": "shop",
            "generation": 4,
            "labels": {NAME_LABEL: "fraud"},
            "annotations": {"modelrollout.dev/latch": "3"},
        },
        "spec": {"rules": []},
        "status": {"parents": []},
    }


def test_a_route_tells_of_changes_newer_than_what_it_holds(told: Told) -> None:
    told.routes.event(HTTP_ROUTES, "ADDED", route(5))
    told.routes.event(HTTP_ROUTES, "MODIFIED", route(6))
    told.routes.event(HTTP_ROUTES, "MODIFIED", route(4, spec={"rules": [1]}))
    assert told.keys == [KEY]
    told.routes.event(HTTP_ROUTES, "MODIFIED", route(7, spec={"rules": [2]}))
    assert told.keys == [KEY, KEY]
    told.routes.retain(HTTP_ROUTES, [])
    assert told.routes.get(HTTP_ROUTES, KEY.namespace, KEY.name) is None
    assert told.keys == [KEY] * 3
