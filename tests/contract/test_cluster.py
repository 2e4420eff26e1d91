"""What we write to the API server, and what it makes of it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from modelrollout.adapters.kubernetes.budget import budget_fits
from modelrollout.adapters.kubernetes.cache import Routes, Workloads
from modelrollout.adapters.kubernetes.client import USER_AGENT, Api
from modelrollout.adapters.kubernetes.cluster import KubernetesCluster
from modelrollout.adapters.kubernetes.errors import NotFound
from modelrollout.adapters.kubernetes.own_image import OwnImage
from modelrollout.adapters.kubernetes.preview import preview_of
from modelrollout.api.resource import ModelRollout, parse
from modelrollout.api.status import Move, Phase, Status, StepStatus, Verdict, VerdictKind
from modelrollout.api.strategy import Comparer
from modelrollout.core.comparer import digest
from modelrollout.core.observed import ComparerState
from modelrollout.ports import ConflictError, Key, TerminalError
from tests.support.kube import Kube
from tests.support.rollouts import REVISION, container, document, rollout_in, template

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
IMAGE = "registry.example/modelrollout:1"
POD = "modelrollout-0"
"""The operator's own."""


class Setting:
    """A rollout, a cluster to act on, and the rollouts that were reported as changed."""

    def __init__(self, api: Kube, connection: Api, rollout: ModelRollout) -> None:
        self.api = api
        self.rollout = rollout
        self.changed: list[Key] = []
        self.workloads, self.routes = Workloads(self.changed.append), Routes(self.changed.append)
        self.image = OwnImage(connection, rollout.metadata.namespace, POD)
        self.cluster = KubernetesCluster(connection, self.workloads, self.routes, self.image)

    @property
    def namespace(self) -> str:
        return self.rollout.metadata.namespace

    def deployment(self) -> dict[str, Any]:
        return self.api.get("Deployment", f"fraud-{REVISION}", api="apps/v1", namespace=self.namespace)

    def service(self) -> dict[str, Any]:
        return self.api.get("Service", f"fraud-{REVISION}", api="v1", namespace=self.namespace)


@pytest.fixture
def setting(api: Kube, connection: Api, namespace: str) -> Setting:
    return Setting(api, connection, rollout_in(api, namespace))


async def test_a_revision_becomes_a_deployment_and_a_service(setting: Setting) -> None:
    await setting.cluster.apply_revision(setting.rollout, REVISION, template(), 3)

    found, service = setting.deployment(), setting.service()
    labels = {"modelrollout.dev/name": "fraud", "modelrollout.dev/revision": REVISION}
    assert found["spec"]["replicas"] == 3
    assert found["spec"]["selector"]["matchLabels"] == labels
    assert found["spec"]["template"]["metadata"]["labels"] == {"team": "risk", **labels}
    assert found["spec"]["progressDeadlineSeconds"] == 600
    assert found["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert found["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "modelrollout"
    assert "ownerReferences" not in found["metadata"]
    assert service["spec"]["selector"] == labels
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}]


async def test_the_cache_knows_of_our_own_write_at_once(setting: Setting) -> None:
    await setting.cluster.apply_revision(setting.rollout, REVISION, template(), 3)

    key = Key(setting.namespace, "fraud")
    workload = setting.workloads.of(key)[REVISION]
    assert (workload.desired, workload.ready, workload.image) == (3, 0, "registry.example/fraud:1.5")
    assert setting.changed == [key]


async def test_a_second_apply_changes_nothing(setting: Setting) -> None:
    await setting.cluster.apply_revision(setting.rollout, REVISION, template(), 3)
    before = (setting.deployment(), setting.service())
    await setting.cluster.apply_revision(setting.rollout, REVISION, template(), 3)

    assert (setting.deployment(), setting.service()) == before


async def test_scaling_keeps_the_template_and_a_later_apply_still_works(setting: Setting) -> None:
    cluster, rollout = setting.cluster, setting.rollout
    await cluster.apply_revision(rollout, REVISION, template(), 3)
    before = setting.deployment()["spec"]["template"]

    await cluster.scale_revision(rollout, REVISION, 1)
    assert setting.deployment()["spec"]["replicas"] == 1
    assert setting.deployment()["spec"]["template"] == before

    await cluster.apply_revision(rollout, REVISION, template(), 1)
    assert setting.deployment()["spec"]["template"] == before

    await cluster.apply_revision(rollout, REVISION, template(), 4)
    assert setting.deployment()["spec"]["replicas"] == 4
    assert setting.deployment()["spec"]["template"] == before


async def test_without_a_template_the_deployment_keeps_its_own_and_the_service_is_mended(setting: Setting) -> None:
    cluster, rollout = setting.cluster, setting.rollout
    await cluster.apply_revision(rollout, REVISION, template(), 0)
    before = setting.deployment()["spec"]["template"]
    setting.api.delete("Service", f"fraud-{REVISION}", api="v1", namespace=setting.namespace)

    await cluster.apply_revision(rollout, REVISION, None, 2)

    assert setting.deployment()["spec"]["replicas"] == 2
    assert setting.deployment()["spec"]["template"] == before
    assert setting.service()["spec"]["ports"][0]["targetPort"] == "http"


async def test_without_a_template_and_a_deployment_a_person_has_to_act(setting: Setting) -> None:
    with pytest.raises(TerminalError, match=f"fraud-{REVISION} is gone.*set spec.template"):
        await setting.cluster.apply_revision(setting.rollout, REVISION, None, 2)


async def test_scaling_what_is_gone_asks_for_a_new_plan(setting: Setting) -> None:
    with pytest.raises(ConflictError, match=f"Deployment .*/fraud-{REVISION}: patch refused"):
        await setting.cluster.scale_revision(setting.rollout, REVISION, 1)


async def test_what_somebody_else_forced_is_taken_back(setting: Setting) -> None:
    cluster, rollout = setting.cluster, setting.rollout
    await cluster.apply_revision(rollout, REVISION, template(), 3)
    name = f"fraud-{REVISION}"
    theirs = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": setting.namespace, "annotations": {"team": "theirs"}},
        "spec": {"replicas": 9, "progressDeadlineSeconds": 7},
    }
    setting.api.apply(theirs, manager="somebody-else")
    assert setting.deployment()["spec"]["replicas"] == 9

    await cluster.apply_revision(rollout, REVISION, template(), 3)

    found = setting.deployment()
    assert (found["spec"]["replicas"], found["spec"]["progressDeadlineSeconds"]) == (3, 600)
    assert found["metadata"]["annotations"]["team"] == "theirs"


async def test_deletion_policy_delete_makes_the_rollout_the_owner(api: Kube, connection: Api, namespace: str) -> None:
    setting = Setting(api, connection, rollout_in(api, namespace, deletionPolicy="Delete"))
    await setting.cluster.apply_revision(setting.rollout, REVISION, template(), 1)

    owner = {
        "apiVersion": "modelrollout.dev/v1alpha1",
        "kind": "ModelRollout",
        "name": "fraud",
        "uid": setting.rollout.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    assert setting.deployment()["metadata"]["ownerReferences"] == [owner]
    assert setting.service()["metadata"]["ownerReferences"] == [owner]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        pytest.param(
            template(imag="x"),
            r"Deployment .*/fraud-b2c3d4f5g6.*\.imag: field not declared.*correct that field",
            id="unknown field",
        ),
        pytest.param(
            template(env="x"),
            r"Deployment .*/fraud-b2c3d4f5g6.*\.env: expected list.*correct that field",
            id="wrong type",
        ),
        pytest.param(template(resources={"limits": {"cpu": "some"}}), "quantities must match", id="no quantity"),
        pytest.param(template(image=""), r"spec\.template\.spec\.containers\[0\]\.image: Required", id="no image"),
        pytest.param(
            template(imagePullPolicy="Now"), r"spec\.template\.spec\.containers\[0\]\.imagePullPolicy", id="bad value"
        ),
        pytest.param({"spec": {"containers": "model"}}, r"spec\.template\.spec\.containers", id="no containers"),
        pytest.param(template(ports=[]), r"spec\.template\.spec\.containers\[0\]\.ports: no port", id="no port"),
        pytest.param(
            template(ports=[{"containerPort": "http"}]),
            r"spec\.template\.spec\.containers\[0\]\.ports: no port",
            id="port is no number",
        ),
    ],
)
async def test_a_template_that_cannot_be_is_refused_with_its_field(
    setting: Setting, wrong: dict[str, Any], words: str
) -> None:
    with pytest.raises(TerminalError, match=words):
        await setting.cluster.apply_revision(setting.rollout, REVISION, wrong, 1)


async def test_delete_removes_what_is_ours_once(setting: Setting) -> None:
    await setting.cluster.apply_revision(setting.rollout, REVISION, template(), 1)

    await setting.cluster.delete_revision(setting.rollout, REVISION)
    await setting.cluster.delete_revision(setting.rollout, REVISION)

    left = setting.api.list("Service", api="v1", namespace=setting.namespace)
    assert left == []
    # With background propagation the Deployment itself goes at once.
    assert setting.api.list("Deployment", api="apps/v1", namespace=setting.namespace) == []


async def test_delete_leaves_what_is_not_ours(setting: Setting) -> None:
    name = f"fraud-{REVISION}"
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": setting.namespace},
        "spec": {"ports": [{"port": 80}]},
    }
    setting.api.create(service)
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": setting.namespace},
        "spec": {
            "selector": {"matchLabels": {"app": "x"}},
            "template": {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [container()]}},
        },
    }
    setting.api.create(deployment)

    await setting.cluster.delete_revision(setting.rollout, REVISION)

    assert setting.service()
    assert setting.deployment()


async def test_delete_leaves_an_object_that_took_the_name(setting: Setting, connection: Api) -> None:
    """The cache speaks of a Deployment that was deleted and made again by somebody else."""
    await setting.cluster.apply_revision(setting.rollout, REVISION, template(), 1)
    old = setting.deployment()
    setting.api.delete("Deployment", old["metadata"]["name"], api="apps/v1", namespace=setting.namespace)
    fresh = {key: old["metadata"][key] for key in ("name", "namespace", "labels")}
    setting.api.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": fresh, "spec": old["spec"]})

    with pytest.raises(ConflictError):
        await setting.cluster.delete_revision(setting.rollout, REVISION)

    assert setting.deployment()["metadata"]["uid"] != old["metadata"]["uid"]


FULL = Status(
    phase=Phase.PROGRESSING,
    message="under way",
    candidate=REVISION,
    step=StepStatus(index=1, name="weight 5", since=AT, verified=AT),
    verdict=VerdictKind.NO_DATA,
    verdicts=[Verdict(name="errors", verdict=VerdictKind.NO_DATA, message="waits")],
    paused="a person asked",
)


async def read(setting: Setting) -> ModelRollout:
    raw = setting.api.get("ModelRollout", "fraud", api="modelrollout.dev/v1alpha1", namespace=setting.namespace)
    return parse(raw)


async def test_status_is_written_whole_and_what_is_unset_vanishes(setting: Setting) -> None:
    version = await setting.cluster.save_status(setting.rollout, FULL)
    written = await read(setting)
    assert written.status == FULL
    assert written.spec == setting.rollout.spec
    assert written.metadata.resource_version == version
    assert written.metadata.generation == setting.rollout.metadata.generation

    lean = Status(phase=Phase.PROMOTED, message="serves", step=None, stable=REVISION)
    await setting.cluster.save_status(written, lean)
    raw = setting.api.get("ModelRollout", "fraud", api="modelrollout.dev/v1alpha1", namespace=setting.namespace)
    assert {"step", "candidate", "paused", "verdict"}.isdisjoint(raw["status"])
    assert (await read(setting)).status == lean


async def test_a_stale_status_write_is_a_conflict_and_changes_nothing(setting: Setting) -> None:
    await setting.cluster.save_status(setting.rollout, FULL)

    with pytest.raises(ConflictError, match=r"ModelRollout .*/fraud: update refused"):
        await setting.cluster.save_status(setting.rollout, Status(message="old news"))

    assert (await read(setting)).status.message == "under way"


async def test_the_status_of_a_deleted_rollout_is_a_conflict(setting: Setting) -> None:
    setting.api.delete("ModelRollout", "fraud", api="modelrollout.dev/v1alpha1", namespace=setting.namespace)
    with pytest.raises(NotFound):
        await setting.cluster.save_status(setting.rollout, FULL)


async def test_the_same_status_again_costs_no_new_version(setting: Setting) -> None:
    version = await setting.cluster.save_status(setting.rollout, FULL)
    assert await setting.cluster.save_status(await read(setting), FULL) == version


async def test_a_move_is_announced_once(setting: Setting) -> None:
    move = Move(at=AT, move="RolledBack", revision=REVISION, weight=0, message="errors: " + "x" * 3000)
    for _ in range(2):
        await setting.cluster.announce(setting.rollout, move, warning=True)

    (event,) = setting.api.list("Event", api="v1", namespace=setting.namespace)
    assert (event["type"], event["reason"], event["reportingComponent"]) == ("Warning", "RolledBack", "modelrollout")
    assert event["involvedObject"]["uid"] == setting.rollout.metadata.uid
    assert event["lastTimestamp"] == "2026-01-02T03:04:05Z"
    described = setting.api.kubectl("describe", "mr", "fraud", "-n", setting.namespace)
    assert "RolledBack" in described.stdout, described.stderr


async def test_trouble_of_pods_is_read_from_the_revision_alone(setting: Setting) -> None:
    assert await setting.cluster.pod_trouble(setting.rollout, REVISION) == (None, False)
    for revision, reason in ((REVISION, "ImagePullBackOff"), ("other", "ErrImagePull")):
        labels = {"modelrollout.dev/name": "fraud", "modelrollout.dev/revision": revision}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"pod-{revision}", "namespace": setting.namespace, "labels": labels},
            "spec": {"containers": [{"name": "model", "image": "x"}]},
        }
        setting.api.create(pod)
        waiting = {"name": "model", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
        waiting["state"] = {"waiting": {"reason": reason, "message": "no such image"}}
        status = {"status": {"containerStatuses": [waiting]}}
        setting.api.patch("Pod", f"pod-{revision}", status, api="v1", namespace=setting.namespace, sub="status")

    found = await setting.cluster.pod_trouble(setting.rollout, REVISION)
    assert found == ("ImagePullBackOff: no such image", False)


async def test_a_right_that_is_missing_is_named(api: Kube, namespace: str, connection: Api) -> None:
    rollout = rollout_in(api, namespace)
    connection._client.set_default_header("Impersonate-User", "nobody")  # the rights of a stranger
    image = OwnImage(connection, namespace, POD)
    cluster = KubernetesCluster(connection, Workloads(lambda _: None), Routes(lambda _: None), image)
    with pytest.raises(TerminalError, match="allow the operator's service account to get deployments"):
        await cluster.apply_revision(rollout, REVISION, template(), 1)


async def test_requests_are_counted_and_say_who_asks(setting: Setting, connection: Api) -> None:
    seen: list[tuple[str, str, int]] = []
    connection.count = lambda verb, plural, code: seen.append((verb, plural, code))
    await setting.cluster.apply_revision(setting.rollout, REVISION, template(), 1)
    await setting.cluster.delete_revision(setting.rollout, "absent")

    assert seen == [
        ("get", "deployments", 404),
        ("get", "services", 404),
        ("patch", "deployments", 201),
        ("patch", "services", 201),
        ("get", "services", 404),
        ("get", "deployments", 404),
    ]
    managers = {entry["manager"] for entry in setting.deployment()["metadata"]["managedFields"]}
    assert managers == {"modelrollout"}
    assert USER_AGENT.startswith("modelrollout/")


async def test_pods_are_asked_to_spread_unless_the_template_says_how(setting: Setting) -> None:
    await setting.cluster.apply_revision(setting.rollout, REVISION, template(), 1)
    (constraint,) = setting.deployment()["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert (constraint["topologyKey"], constraint["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")

    own = template()
    own["spec"]["topologySpreadConstraints"] = []
    await setting.cluster.apply_revision(setting.rollout, REVISION, own, 1)
    assert not setting.deployment()["spec"]["template"]["spec"].get("topologySpreadConstraints")


async def test_the_preview_points_at_a_revision(setting: Setting) -> None:
    await setting.cluster.apply_preview(setting.rollout, REVISION)

    service = setting.api.get("Service", "fraud-preview", api="v1", namespace=setting.namespace)
    assert service["spec"]["selector"] == {"modelrollout.dev/name": "fraud", "modelrollout.dev/revision": REVISION}
    assert preview_of(setting.routes)(setting.rollout) == REVISION


async def test_the_preview_leads_where_the_revision_listens(setting: Setting) -> None:
    """After the way back the spec's template is that of the candidate."""
    await setting.cluster.apply_revision(setting.rollout, REVISION, template(ports=[{"containerPort": 9000}]), 1)
    await setting.cluster.apply_preview(setting.rollout, REVISION)
    service = setting.api.get("Service", "fraud-preview", api="v1", namespace=setting.namespace)
    assert service["spec"]["ports"][0]["targetPort"] == 9000


def run_operator(setting: Setting) -> None:
    """Create the operator's pod, into which somebody has put a container of theirs."""
    containers = [{"name": "proxy", "image": "proxy:1"}, {"name": "operator", "image": IMAGE}]
    spec = {"containers": containers, "automountServiceAccountToken": False}
    setting.api.create(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD, "namespace": setting.namespace}, "spec": spec}
    )


async def test_without_a_pod_of_its_own_the_operator_says_what_it_lacks(setting: Setting) -> None:
    with pytest.raises(TerminalError, match=f"Pod {setting.namespace}/{POD}: not found.*--comparer-image"):
        await setting.cluster.apply_comparer(setting.rollout, REVISION, "c2d3f4g5h6", Comparer())
    run_operator(setting)
    await setting.cluster.apply_comparer(setting.rollout, REVISION, "c2d3f4g5h6", Comparer())


async def test_a_comparer_runs_and_goes(setting: Setting) -> None:
    run_operator(setting)
    key, settings = Key(setting.namespace, "fraud"), Comparer(tolerance=0.01)
    await setting.cluster.apply_comparer(setting.rollout, REVISION, "c2d3f4g5h6", settings)
    found = setting.api.get("Deployment", "fraud-comparer", api="apps/v1", namespace=setting.namespace)
    ran = found["spec"]["template"]["spec"]["containers"][0]
    assert ran["image"] == IMAGE
    assert "--tolerance=0.01" in ran["args"]
    assert setting.workloads.comparer(key) == ComparerState(REVISION, "c2d3f4g5h6", digest(settings), ready=False)
    assert setting.workloads.of(key) == {}, "a comparer is no revision"

    await setting.cluster.delete_comparer(setting.rollout)
    await setting.cluster.delete_comparer(setting.rollout)
    for kind, version in (("Deployment", "apps/v1"), ("Service", "v1")):
        left = setting.api.list(kind, api=version, namespace=setting.namespace)
        assert "fraud-comparer" not in [one["metadata"]["name"] for one in left]


async def test_a_comparer_of_somebody_else_stays(setting: Setting) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "fraud-comparer", "namespace": setting.namespace},
        "spec": {"ports": [{"port": 1}]},
    }
    setting.api.apply(body)
    await setting.cluster.delete_comparer(setting.rollout)
    assert setting.api.get("Service", "fraud-comparer", api="v1", namespace=setting.namespace)


async def test_a_budget_comes_and_goes_with_the_spec(api: Kube, namespace: str, connection: Api) -> None:
    setting = Setting(api, connection, rollout_in(api, namespace, disruptionBudget={"maxUnavailable": "25%"}))
    fits = budget_fits(setting.routes)
    assert not fits(setting.rollout)
    await setting.cluster.apply_budget(setting.rollout)
    assert fits(setting.rollout)
    found = api.get("PodDisruptionBudget", "fraud", api="policy/v1", namespace=namespace)
    assert found["spec"] == {"maxUnavailable": "25%", "selector": {"matchLabels": {"modelrollout.dev/name": "fraud"}}}

    without = parse({**document(namespace), "metadata": {"name": "fraud", "namespace": namespace}})
    assert not fits(without)
    await setting.cluster.apply_budget(without)
    assert fits(without)
    assert api.list("PodDisruptionBudget", api="policy/v1", namespace=namespace) == []
