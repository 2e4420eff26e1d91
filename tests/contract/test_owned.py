"""Names that we would use and somebody else has: nothing of theirs is touched, and a person is told."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from modelrollout.adapters.kubernetes.budget import budget_fits
from modelrollout.adapters.kubernetes.cache import Routes, Workloads
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.cluster import KubernetesCluster
from modelrollout.adapters.kubernetes.own_image import OwnImage
from modelrollout.adapters.kubernetes.resources import BUDGETS, DEPLOYMENTS, SERVICES, Resource
from modelrollout.api.base import NAME_LABEL
from modelrollout.api.resource import ModelRollout
from modelrollout.api.strategy import Comparer
from modelrollout.core.revision import revision_of
from modelrollout.ports import AsideError, TerminalError
from tests.contract.operator_story import operator, rollout
from tests.contract.test_operator import begin, condition, serves
from tests.support.kube import Kube, KubeError, Object
from tests.support.rollouts import REVISION, container, rollout_in, template

CANDIDATE = "c2d3f4g5h6"
_SELECTED: Object = {"matchLabels": {"app": "theirs"}}
SPECS: dict[str, Object] = {
    "Service": {"selector": {"app": "theirs"}, "ports": [{"name": "http", "port": 80, "targetPort": 1234}]},
    "PodDisruptionBudget": {"maxUnavailable": 1, "selector": _SELECTED},
    "Deployment": {
        "selector": _SELECTED,
        "template": {"metadata": {"labels": {"app": "theirs"}}, "spec": {"containers": [container()]}},
    },
}


@dataclass(frozen=True)
class Wanted:
    """An object that the cluster port writes: how it comes and goes."""

    resource: Resource
    name: str
    write: Callable[[KubernetesCluster, ModelRollout], Awaitable[None]]
    drop: Callable[[KubernetesCluster, ModelRollout], Awaitable[None]]
    remedy: str
    error: type[TerminalError] = TerminalError


def _revision(cluster: KubernetesCluster, of: ModelRollout) -> Awaitable[None]:
    return cluster.apply_revision(of, REVISION, template(), 1)


def _no_revision(cluster: KubernetesCluster, of: ModelRollout) -> Awaitable[None]:
    return cluster.delete_revision(of, REVISION)


def _preview(cluster: KubernetesCluster, of: ModelRollout) -> Awaitable[None]:
    return cluster.apply_preview(of, REVISION)


def _no_preview(cluster: KubernetesCluster, of: ModelRollout) -> Awaitable[None]:
    return cluster.apply_preview(of, None)


def _budget(cluster: KubernetesCluster, of: ModelRollout) -> Awaitable[None]:
    return cluster.apply_budget(of)


def _no_budget(cluster: KubernetesCluster, of: ModelRollout) -> Awaitable[None]:
    return cluster.apply_budget(of.model_copy(update={"spec": of.spec.model_copy(update={"disruption_budget": None})}))


def _comparer(cluster: KubernetesCluster, of: ModelRollout) -> Awaitable[None]:
    return cluster.apply_comparer(of, REVISION, CANDIDATE, Comparer())


def _no_comparer(cluster: KubernetesCluster, of: ModelRollout) -> Awaitable[None]:
    return cluster.delete_comparer(of)


HANDED = "delete it, label it modelrollout.dev/name=fraud to hand it over, or"
RENAMED = "delete it, or give the rollout another name"
ALONE = "delete it, or set shadow.comparer.enabled to false"
WANTED = {
    "budget": Wanted(
        BUDGETS, "fraud", _budget, _no_budget, f"{HANDED} take spec.disruptionBudget out", error=AsideError
    ),
    "preview": Wanted(SERVICES, "fraud-preview", _preview, _no_preview, f"{HANDED} take spec.traffic.preview out"),
    "revision's Deployment": Wanted(DEPLOYMENTS, f"fraud-{REVISION}", _revision, _no_revision, RENAMED),
    "revision's Service": Wanted(SERVICES, f"fraud-{REVISION}", _revision, _no_revision, RENAMED),
    "comparer's Deployment": Wanted(DEPLOYMENTS, "fraud-comparer", _comparer, _no_comparer, ALONE),
    "comparer's Service": Wanted(SERVICES, "fraud-comparer", _comparer, _no_comparer, ALONE),
}


class Setting:
    """A rollout that asks for all of them, and a cluster to write them to."""

    def __init__(self, api: Kube, connection: Api, namespace: str) -> None:
        self.api = api
        traffic = {"gatewayAPI": {"parentRefs": [{"name": "public"}]}, "preview": {}}
        self.rollout = rollout_in(api, namespace, traffic=traffic, disruptionBudget={"maxUnavailable": 1})
        self.namespace = namespace
        self.routes = Routes(lambda _: None)
        image = OwnImage(connection, namespace, "operator", given="registry.example/modelrollout:1")
        self.cluster = KubernetesCluster(connection, Workloads(lambda _: None), self.routes, image)

    def create(self, wanted: Wanted, **meta: Any) -> Object:
        """Create an object of somebody else."""
        return create(self.api, self.namespace, wanted.resource, wanted.name, **meta)

    def get(self, wanted: Wanted) -> Object | None:
        try:
            return self.api.get(wanted.resource.kind, wanted.name, api=wanted.resource.api, namespace=self.namespace)
        except KubeError as error:
            assert error.code == 404  # noqa: PT017
            return None

    def names(self) -> set[str]:
        """Return every object that there is, of these kinds."""
        kinds = (SERVICES, DEPLOYMENTS, BUDGETS)
        found = {kind: self.api.list(kind.kind, api=kind.api, namespace=self.namespace) for kind in kinds}
        return {f"{kind.kind} {raw['metadata']['name']}" for kind, raws in found.items() for raw in raws}


def create(api: Kube, namespace: str, resource: Resource, name: str, **meta: Any) -> Object:
    head = {"name": name, "namespace": namespace, **meta}
    body = {"apiVersion": resource.api, "kind": resource.kind, "metadata": head, "spec": SPECS[resource.kind]}
    return api.create(body, fieldManager="their-tool")


@pytest.fixture
def setting(api: Kube, connection: Api, namespace: str) -> Setting:
    return Setting(api, connection, namespace)


@pytest.fixture(params=WANTED.values(), ids=[name.replace(" ", "-") for name in WANTED])
def wanted(request: pytest.FixtureRequest) -> Wanted:
    assert isinstance(request.param, Wanted)
    return request.param


async def test_an_object_of_somebody_else_is_left_alone_and_told(setting: Setting, wanted: Wanted) -> None:
    before = setting.create(wanted)
    said = f"{wanted.resource.kind} {setting.namespace}/{wanted.name} exists and was not made by this rollout"
    for _ in range(2):
        with pytest.raises(wanted.error) as caught:
            await wanted.write(setting.cluster, setting.rollout)
        assert str(caught.value) == f"{said} (it is written by their-tool); {wanted.remedy}"
    assert setting.get(wanted) == before
    assert setting.names() == {f"{wanted.resource.kind} {wanted.name}"}, "nor is anything else begun that needs it"
    await wanted.drop(setting.cluster, setting.rollout)
    assert setting.get(wanted) == before


async def test_our_own_comes_and_goes(setting: Setting, wanted: Wanted) -> None:
    for _ in range(2):
        for _ in range(2):
            await wanted.write(setting.cluster, setting.rollout)
        assert setting.get(wanted) is not None
        for _ in range(2):
            await wanted.drop(setting.cluster, setting.rollout)
        assert setting.get(wanted) is None


async def test_one_that_took_the_name_of_ours_is_left_alone(setting: Setting, wanted: Wanted) -> None:
    """The cache still speaks of ours, which somebody deleted and made anew as their own."""
    await wanted.write(setting.cluster, setting.rollout)
    kind, api = wanted.resource.kind, wanted.resource.api
    setting.api.delete(kind, wanted.name, api=api, namespace=setting.namespace)
    before = setting.create(wanted)
    # That the object is another one is a conflict for those who look it up in the cache first: they look again.
    try:
        await wanted.drop(setting.cluster, setting.rollout)
    except TerminalError as error:
        pytest.fail(str(error))
    except Exception as error:
        assert "delete refused" in str(error)  # noqa: PT017
    assert setting.get(wanted) == before


@pytest.mark.parametrize(
    ("meta", "owner"),
    [
        ({"labels": {NAME_LABEL: "other"}}, "of rollout other"),
        ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "managed by Helm"),
        (
            {
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Budgeter", "name": "shop", "uid": "1", "controller": True}
                ]
            },
            "of Budgeter shop",
        ),
    ],
    ids=["rollout", "tool", "owner"],
)
async def test_whose_it_is_is_told_as_far_as_it_can_be(setting: Setting, meta: Object, owner: str) -> None:
    wanted = WANTED["budget"]
    setting.create(wanted, **meta)
    with pytest.raises(AsideError, match=f"was not made by this rollout .it is {owner}.; delete it"):
        await wanted.write(setting.cluster, setting.rollout)


async def test_what_is_handed_over_becomes_ours(setting: Setting) -> None:
    wanted = WANTED["budget"]
    setting.create(wanted, labels={NAME_LABEL: "fraud"})
    await wanted.write(setting.cluster, setting.rollout)
    assert budget_fits(setting.routes)(setting.rollout)


async def test_ours_go_with_the_rollout_where_that_is_asked_for(api: Kube, connection: Api, namespace: str) -> None:
    setting = Setting(api, connection, namespace)
    spec = setting.rollout.spec.model_copy(update={"deletion_policy": "Delete"})
    setting.rollout = setting.rollout.model_copy(update={"spec": spec})
    for wanted in WANTED.values():
        await wanted.write(setting.cluster, setting.rollout)
        raw = setting.get(wanted)
        assert raw is not None
        assert [one["uid"] for one in raw["metadata"]["ownerReferences"]] == [setting.rollout.metadata.uid]


# The whole operator


async def test_a_budget_of_somebody_else_stops_no_rollout(api: Kube, namespace: str) -> None:
    theirs = await asyncio.to_thread(create, api, namespace, BUDGETS, "fraud")
    spec = {"disruptionBudget": {"maxUnavailable": "50%"}}
    async with operator(api, namespace) as story:
        stable = await begin(story, **spec)
        await story.routed(**{stable: 100})
        said = f"PodDisruptionBudget {namespace}/fraud exists and was not made by this rollout"
        raw = await story.until("told", lambda status: said in condition(status, "Stalled").get("message", ""))
        assert condition(raw["status"], "Stalled")["status"] == "True"
        await story.apply(rollout(namespace, "model:2", **spec))
        done = await story.until("promoted", lambda status: serves(status) and status["stable"] != stable)
        assert said in condition(done["status"], "Stalled")["message"]
        await story.apply(rollout(namespace, "model:2"))
        await story.until("content", lambda status: condition(status, "Stalled")["status"] == "False")
    assert await asyncio.to_thread(api.get, "PodDisruptionBudget", "fraud", api=BUDGETS.api, namespace=namespace) == (
        theirs
    )


@pytest.mark.parametrize("kind", [SERVICES, DEPLOYMENTS], ids=lambda kind: kind.kind)
async def test_a_revision_whose_name_somebody_else_has_is_not_begun(api: Kube, namespace: str, kind: Resource) -> None:
    async with operator(api, namespace) as story:
        stable = await begin(story)
        second = rollout(namespace, "model:2")
        name = f"fraud-{revision_of(namespace, 'fraud', second['spec']['template'], {})}"
        labels = {"app": "theirs"}
        theirs = await asyncio.to_thread(lambda: create(api, namespace, kind, name, labels=labels))
        await story.apply(second)
        said = f"{kind.kind} {namespace}/{name} exists and was not made by this rollout"
        raw = await story.until("told", lambda status: said in condition(status, "Stalled").get("message", ""))
        assert (raw["status"]["phase"], raw["status"]["stable"]) == ("Promoted", stable)
        await story.routed(**{stable: 100})
        found = await asyncio.to_thread(api.get, kind.kind, name, api=kind.api, namespace=namespace)
        assert (found["spec"], found["metadata"]["labels"]) == (theirs["spec"], labels)
        await story.apply(rollout(namespace, "model:3"))
        await story.until("promoted", lambda status: serves(status) and status["stable"] != stable)


async def test_a_preview_of_somebody_else_lets_no_candidate_serve(api: Kube, namespace: str) -> None:
    """What people and gates would test there is not the candidate."""
    async with operator(api, namespace) as story:
        stable = await begin(story)
        theirs = await asyncio.to_thread(create, api, namespace, SERVICES, "fraud-preview")
        traffic = {"gatewayAPI": {"parentRefs": [{"name": "public"}]}, "preview": {}}
        await story.apply(rollout(namespace, "model:2", traffic=traffic))
        said = f"Service {namespace}/fraud-preview exists and was not made by this rollout"
        raw = await story.until("told", lambda status: said in condition(status, "Stalled").get("message", ""))
        assert raw["status"]["stable"] == stable
        await story.routed(**{stable: 100})
        found = await asyncio.to_thread(api.get, "Service", "fraud-preview", api="v1", namespace=namespace)
        assert found == theirs
        await asyncio.to_thread(api.delete, "Service", "fraud-preview", api="v1", namespace=namespace)
        await story.apply(rollout(namespace, "model:2", traffic=traffic, progressDeadline="11m"))
        await story.until("a step", lambda status: status.get("step"))
        found = await asyncio.to_thread(api.get, "Service", "fraud-preview", api="v1", namespace=namespace)
        assert found["spec"]["selector"]["modelrollout.dev/revision"] == raw["status"]["candidate"]
