"""What only the plain Service has: pods that must not be selected, ports of revisions, and what its owner adds."""

from typing import Any

import pytest

from modelrollout.adapters.kubernetes.client import Api
from modelrollout.core.split import Split
from modelrollout.ports import TerminalError, TransientError
from tests.contract.routers.case import CANDIDATE, STABLE, Setting
from tests.contract.routers.service import CASES
from tests.support.kube import Kube, Object

ALL, BOTH = Split({STABLE: 100}), Split({STABLE: 67, CANDIDATE: 33})
OLD = "dddddddddd"


@pytest.fixture
def setting(api: Kube, connection: Api, namespace: str) -> Setting:
    return Setting(CASES[0], api, connection, namespace)


def pod(setting: Setting, name: str, revision: str | None, **more: Any) -> Object:
    """Create a pod of the rollout."""
    labels = {"modelrollout.dev/name": "fraud", **({"modelrollout.dev/revision": revision} if revision else {})}
    meta = {"name": name, "namespace": setting.key.namespace, "labels": labels, **more}
    spec = {"containers": [{"name": "model", "image": "model"}], "terminationGracePeriodSeconds": 30}
    return setting.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})


def service(setting: Setting, revision: str, port: int | str) -> None:
    """Create the Service of a revision."""
    meta = {"name": f"fraud-{revision}", "namespace": setting.key.namespace}
    spec = {"ports": [{"name": "http", "port": 80, "targetPort": port}]}
    setting.api.create({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})


def target(setting: Setting) -> int | str:
    found = setting.raw()["spec"]["ports"][0]["targetPort"]
    assert isinstance(found, int | str)
    return found


async def test_pods_of_a_third_revision_hold_up_a_split(setting: Setting) -> None:
    for name, revision in (("stable", STABLE), ("candidate", CANDIDATE), ("old", OLD)):
        pod(setting, name, revision)
    await setting.set(ALL)
    before = setting.raw()
    words = f"Service {setting.key.namespace}/fraud: it would also select pod old, which is of neither {STABLE} nor"
    with pytest.raises(TransientError, match=words):
        await setting.set(BOTH)
    assert setting.raw() == before
    # The way back is free whatever pods there are.
    await setting.set(Split({CANDIDATE: 100}))
    setting.api.delete("Pod", "old", api="v1", namespace=setting.key.namespace)
    await setting.set(BOTH)
    assert (setting.route().split, setting.route().current) == (BOTH, True)


async def test_any_pod_with_the_rollouts_name_counts(setting: Setting) -> None:
    pod(setting, "stray", None)
    with pytest.raises(TransientError, match="pod stray"):
        await setting.set(BOTH)


async def test_pods_that_get_no_requests_do_not(setting: Setting) -> None:
    pod(setting, "going", OLD, finalizers=["tests.example/stays"])
    setting.api.delete("Pod", "going", api="v1", namespace=setting.key.namespace)
    pod(setting, "done", OLD)
    setting.api.patch(
        "Pod", "done", {"status": {"phase": "Succeeded"}}, api="v1", namespace=setting.key.namespace, sub="status"
    )
    await setting.set(BOTH)
    assert setting.route().current


async def test_requests_go_where_the_pods_of_a_revision_listen(setting: Setting) -> None:
    """On the way back the spec's template is that of the candidate."""
    service(setting, STABLE, 9000)
    service(setting, CANDIDATE, 9001)
    await setting.set(ALL)
    assert target(setting) == 9000
    await setting.set(Split({STABLE: 0, CANDIDATE: 100}))
    assert target(setting) == 9001
    await setting.set(ALL)
    assert target(setting) == 9000
    words = (
        f"listen on different ones \\({STABLE} on 9000, {CANDIDATE} on 9001\\); name the container port http in every"
    )
    with pytest.raises(TerminalError, match=words):
        await setting.set(BOTH)
    assert target(setting) == 9000


async def test_ports_of_the_spec_that_change_are_seen_at_once(setting: Setting) -> None:
    """At rest nothing else would make the operator write."""
    service(setting, STABLE, 9000)
    await setting.set(ALL)
    for traffic in ({"service": {"port": 8000}}, {"service": {}, "port": 9000}, {"service": {}, "port": 9002}):
        setting.rollout = setting.with_spec(traffic=traffic)
        assert (setting.route().split, setting.route().current) == (ALL, False)
        if "port" in traffic:
            patch = {"spec": {"ports": [{"name": "http", "port": 80, "targetPort": traffic["port"]}]}}
            setting.api.patch("Service", f"fraud-{STABLE}", patch, api="v1", namespace=setting.key.namespace)
        await setting.set(ALL)
        assert (setting.route().split, setting.route().current) == (ALL, True)
    (port,) = setting.raw()["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (80, 9002)


async def test_without_their_services_the_template_tells(setting: Setting) -> None:
    await setting.set(BOTH)
    assert target(setting) == "http"


async def test_each_change_is_one_write(setting: Setting) -> None:
    await setting.set(ALL)
    versions = []
    for split in (BOTH, ALL, Split({CANDIDATE: 100})):
        before = setting.raw()["metadata"]["managedFields"]
        await setting.set(split)
        assert len(setting.raw()["metadata"]["managedFields"]) == len(before)
        versions.append(setting.raw()["spec"]["selector"])
    name = {"modelrollout.dev/name": "fraud"}
    assert versions == [
        name,
        {**name, "modelrollout.dev/revision": STABLE},
        {**name, "modelrollout.dev/revision": CANDIDATE},
    ]


async def test_what_its_owner_adds_stays(setting: Setting) -> None:
    await setting.set(ALL)
    grpc = {"name": "grpc", "port": 81, "protocol": "TCP", "targetPort": 9000}

    def add(spec: Object) -> None:
        spec["ports"].append(grpc)
        spec["sessionAffinity"] = "ClientIP"
        spec["type"] = "NodePort"

    setting.edit(add)
    assert setting.route().current
    await setting.set(BOTH)
    spec = setting.raw()["spec"]
    assert (spec["type"], spec["sessionAffinity"]) == ("NodePort", "ClientIP")
    assert [one["name"] for one in spec["ports"]] == ["http", "grpc"]


async def test_the_service_of_another_rollout_is_not_taken_over(setting: Setting) -> None:
    other = setting.create_theirs()
    setting.annotate(**{"modelrollout.dev/name": "other"})
    setting.watch()
    assert setting.router.read(setting.rollout) is None
    with pytest.raises(TerminalError, match="exists and was not made by this rollout"):
        await setting.set(ALL)
    assert setting.raw()["spec"] == other["spec"]
