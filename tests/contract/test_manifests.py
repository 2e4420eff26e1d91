"""The manifests and the chart, as the real API server takes them."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from lab.parts import Parts
from lab.paths import REPOSITORY, Paths

from modelrollout.api.resource import parse
from modelrollout.runtime.main import operator
from tests.support.kube import Kube, KubeError

Object = dict[str, Any]
EXAMPLES = sorted((REPOSITORY / "manifests" / "examples").glob("*.yaml"))
CHART = REPOSITORY / "charts" / "modelrollout"
SYSTEM = "modelrollout-system"
OPERATOR = f"system:serviceaccount:{SYSTEM}:modelrollout"


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("helm") or str(Parts(Paths.from_environment()).bin("helm") / "helm")
    if not Path(program).exists():
        pytest.fail("tests of the chart need helm: install it or run `make assets`", pytrace=False)
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def chart(*options: str) -> list[Object]:
    """Render the chart as `helm install modelrollout` would."""
    fixed = ["modelrollout", str(CHART), "--namespace", SYSTEM, "--kube-version", "1.29.0"]
    result = helm("template", *fixed, *options)
    assert result.returncode == 0, result.stderr
    return [one for one in yaml.safe_load_all(result.stdout) if one]


@pytest.fixture(scope="module")
def base(api: Kube) -> list[Object]:
    """Apply the kustomize base; return its objects."""
    objects = list(yaml.safe_load_all(api.kubectl("kustomize", str(REPOSITORY / "manifests" / "base")).stdout))
    for one in sorted(objects, key=lambda one: one["kind"] != "Namespace"):
        api.apply(one)
    return objects


def only(objects: list[Object], kind: str, name: str = "modelrollout") -> Object:
    (found,) = [one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_taken_as_they_are(api: Kube, namespace: str, path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        document["metadata"]["namespace"] = namespace
        api.apply(document, dryRun="All")
        if document["kind"] == "ModelRollout":
            parse(document)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_pods_of_the_examples_are_pods(api: Kube, namespace: str, path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        if document["kind"] == "ModelRollout":
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": namespace}}
            api.create({**pod, "spec": document["spec"]["template"]["spec"]}, dryRun="All")


def test_the_shortest_canary_is_short() -> None:
    assert len((REPOSITORY / "manifests" / "examples" / "canary.yaml").read_text().splitlines()) <= 25


def test_kustomize_sets_the_image_of_a_rollout(api: Kube, tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "manifests" / "examples" / "canary.yaml", tmp_path)
    images = [{"name": "modelrollout/model-server", "newTag": "0.2.0"}]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"resources": ["canary.yaml"], "images": images}))
    built = yaml.safe_load(api.kubectl("kustomize", str(tmp_path)).stdout)
    assert built["spec"]["template"]["spec"]["containers"][0]["image"] == "modelrollout/model-server:0.2.0"


@pytest.mark.parametrize(
    ("verb", "group", "resource", "sub", "allowed"),
    [
        ("watch", "modelrollout.dev", "modelrollouts", "", True),
        ("update", "modelrollout.dev", "modelrollouts", "status", True),
        ("patch", "modelrollout.dev", "modelrollouts", "", False),
        ("delete", "modelrollout.dev", "modelrollouts", "", False),
        ("patch", "apps", "deployments", "", True),
        ("delete", "apps", "deployments", "", True),
        ("patch", "", "services", "", True),
        ("list", "", "services", "", True),
        ("patch", "gateway.networking.k8s.io", "httproutes", "", True),
        ("watch", "gateway.networking.k8s.io", "grpcroutes", "", True),
        ("delete", "gateway.networking.k8s.io", "httproutes", "", False),
        ("get", "gateway.networking.k8s.io", "gateways", "", True),
        ("get", "gateway.networking.k8s.io", "gatewayclasses", "", True),
        ("list", "gateway.networking.k8s.io", "gateways", "", False),
        ("list", "networking.istio.io", "virtualservices", "", False),
        ("list", "traefik.io", "traefikservices", "", False),
        ("list", "", "pods", "", True),
        ("delete", "", "pods", "", False),
        ("create", "", "pods", "exec", False),
        ("create", "", "events", "", True),
        ("create", "batch", "jobs", "", True),
        ("delete", "batch", "jobs", "", True),
        ("patch", "batch", "jobs", "", False),
        ("list", "discovery.k8s.io", "endpointslices", "", True),
        ("get", "", "configmaps", "", True),
        ("get", "", "secrets", "", False),
        ("list", "", "configmaps", "", False),
        ("create", "rbac.authorization.k8s.io", "roles", "", False),
    ],
)
def test_the_operator_may_do_what_it_does_and_no_more(
    api: Kube, base: list[Object], verb: str, group: str, resource: str, sub: str, allowed: bool
) -> None:
    attributes = {"namespace": "default", "verb": verb, "group": group, "resource": resource, "subresource": sub}
    assert may(api, attributes) is allowed


@pytest.mark.parametrize(
    ("namespace_of_lease", "name", "allowed"),
    [(SYSTEM, "modelrollout", True), (SYSTEM, "kube-scheduler", False), ("default", "modelrollout", False)],
)
def test_the_operator_may_renew_its_own_lease_only(
    api: Kube, base: list[Object], namespace_of_lease: str, name: str, allowed: bool
) -> None:
    attributes = {"namespace": namespace_of_lease, "verb": "patch", "group": "coordination.k8s.io", "name": name}
    assert may(api, {**attributes, "resource": "leases"}) is allowed


@pytest.mark.parametrize(("namespace_of_pod", "allowed"), [(SYSTEM, True), ("default", False)])
def test_the_operator_may_look_at_its_own_pod(
    api: Kube, base: list[Object], namespace_of_pod: str, allowed: bool
) -> None:
    attributes = {"namespace": namespace_of_pod, "verb": "get", "group": "", "resource": "pods"}
    assert may(api, attributes) is allowed


def may(api: Kube, attributes: Object) -> bool:
    review = {"spec": {"user": OPERATOR, "groups": ["system:authenticated"], "resourceAttributes": attributes}}
    kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return bool(api.request("POST", path, {**kind, **review})["status"]["allowed"])


def test_the_operator_cannot_write_a_spec(api: Kube, base: list[Object]) -> None:
    path = "/apis/modelrollout.dev/v1alpha1/namespaces/default/modelrollouts/fraud"
    with pytest.raises(KubeError) as refused:
        api.request("DELETE", path, user=OPERATOR)
    assert refused.value.code == 403


def test_the_operator_runs_where_only_restricted_pods_may(api: Kube, base: list[Object]) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": SYSTEM}}
    api.create({**pod, "spec": only(base, "Deployment")["spec"]["template"]["spec"]}, dryRun="All")
    with pytest.raises(KubeError, match="violates PodSecurity"):
        api.create({**pod, "spec": {"containers": [{"name": "x", "image": "x"}]}}, dryRun="All")


@pytest.mark.parametrize(
    ("kind", "name", "part"),
    [
        ("ClusterRole", "modelrollout", "rules"),
        ("ClusterRole", "modelrollout-view", "rules"),
        ("ClusterRole", "modelrollout-edit", "rules"),
        ("ClusterRole", "modelrollout-gateways", "rules"),
        ("ClusterRoleBinding", "modelrollout", "subjects"),
        ("ClusterRoleBinding", "modelrollout-gateways", "subjects"),
        ("Role", "modelrollout-lease", "rules"),
        ("RoleBinding", "modelrollout-lease", "subjects"),
        ("Deployment", "modelrollout", "spec"),
        ("Service", "modelrollout", "spec"),
    ],
)
def test_the_chart_and_the_base_say_the_same(base: list[Object], kind: str, name: str, part: str) -> None:
    assert only(chart(), kind, name)[part] == only(base, kind, name)[part]


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--set=trackConfig=true,logLevel=debug,replicaCount=2,image.tag=dev",),
        ("--set=watchNamespaces={default,kube-system}",),
        ("--set=serviceAccount.create=false,serviceAccount.name=other,podAnnotations=null",),
        ("--set=extraEnv[0].name=A,extraEnv[0].value=b,imagePullSecrets[0].name=x,nodeSelector.a=b",),
        ("--set=routers={gatewayAPI,istio,traefik,service}",),
        ("--set=routers={service},watchNamespaces={default}",),
        (
            "--set=gates.jobs=false,gates.requests=false,gates.secrets=true,gates.allow={https://checks.example.com/model}",
            "--set=notify.secretName=chat,notify.tokenSecretName=chat",
        ),
        ('--set-json=tolerations=[{"operator":"Exists"}]', '--set-json=affinity={"nodeAffinity":{}}'),
    ],
    ids=str,
)
def test_what_the_chart_renders_is_valid(api: Kube, base: list[Object], options: tuple[str, ...]) -> None:
    for one in chart(*options):
        api.apply(one, dryRun="All")


def test_tracked_configuration_is_read_only_when_asked_for() -> None:
    assert "secrets" not in str(only(chart(), "ClusterRole"))
    tracking = chart("--set=trackConfig=true")
    assert only(tracking, "ClusterRole")["rules"][-1]["resources"] == ["configmaps", "secrets"]
    assert only(tracking, "ClusterRole")["rules"][-1]["verbs"] == ["get", "list", "watch"]
    assert "--track-config" in only(tracking, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]


@pytest.mark.parametrize(
    ("routers", "groups"),
    [
        ("service", set()),
        ("gatewayAPI,service", {"gateway.networking.k8s.io"}),
        ("istio", {"networking.istio.io"}),
        ("traefik,gatewayAPI", {"traefik.io", "gateway.networking.k8s.io"}),
    ],
)
def test_every_router_comes_with_its_rights_and_no_others(routers: str, groups: set[str]) -> None:
    objects = chart(f"--set=routers={{{routers}}}")
    found = {group for rule in only(objects, "ClusterRole")["rules"] for group in rule["apiGroups"]}
    assert found & {"gateway.networking.k8s.io", "networking.istio.io", "traefik.io"} == groups
    gateways = [one for one in objects if one["metadata"]["name"] == "modelrollout-gateways"]
    assert len(gateways) == (2 if "gatewayAPI" in routers else 0)
    arguments = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert [one for one in arguments if "--router" in one] == [f"--router={name}" for name in routers.split(",")]


@pytest.mark.parametrize(
    ("value", "resource", "by_default"),
    [("jobs", "jobs", True), ("requests", "endpointslices", True), ("secrets", "secrets", False)],
)
def test_gates_have_the_rights_that_they_are_given(value: str, resource: str, by_default: bool) -> None:
    assert (resource in str(only(chart(), "ClusterRole"))) is by_default
    for given in (True, False):
        role = only(chart(f"--set=gates.{value}={str(given).lower()}"), "ClusterRole")
        assert (resource in str(role)) is given


def test_an_operator_of_some_namespaces_has_no_rights_elsewhere() -> None:
    objects = chart("--set=watchNamespaces={a,b}")
    roles = [one for one in objects if one["kind"] == "Role" and one["metadata"]["name"] == "modelrollout"]
    assert [role["metadata"]["namespace"] for role in roles] == ["a", "b"]
    assert [role["rules"] for role in roles] == [only(chart(), "ClusterRole")["rules"]] * 2
    # What gateways can do may be read: they may be in any namespace, their classes are in none.
    assert [one["metadata"]["name"] for one in objects if one["kind"] == "ClusterRoleBinding"] == [
        "modelrollout-gateways"
    ]
    assert only(objects, "ClusterRole", "modelrollout-gateways")["rules"][0]["verbs"] == ["get"]
    arguments = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments[-2:] == ["--namespace=a", "--namespace=b"]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("replicas=2", "additional properties 'replicas' not allowed"),
        ("image.tga=x", "additional properties 'tga' not allowed"),
        ("scrapeInterval=15", "/scrapeInterval"),
        ("scrapeInterval=soon", "/scrapeInterval"),
        ("logLevel=loud", "/logLevel"),
        ("gates.allow={checks.example.com}", "/gates/allow/0"),
        ("notify.url=chat.example.com", "/notify/url"),
        ("routers={Gateway API}", "/routers/0"),
        ("routers={}", "/routers"),
        ("prometheus.url=prometheus:9090", "/prometheus/url"),
        ("watchNamespaces={Team A}", "/watchNamespaces/0"),
    ],
)
def test_a_wrong_value_is_refused_by_name(option: str, said: str) -> None:
    result = helm("template", "x", str(CHART), "--kube-version", "1.29.0", f"--set={option}")
    assert result.returncode != 0
    assert said in result.stderr


def test_the_chart_passes_lint() -> None:
    result = helm("lint", "--strict", str(CHART))
    assert result.returncode == 0, result.stdout


def test_the_operator_understands_the_options_of_the_chart() -> None:
    app = typer.Typer()
    app.command()(operator)
    gates = "--set=gates.allow={https://checks.example.com/model}"
    notify = "--set=notify.url=https://chat.example.com/hooks/x,notify.tokenSecretName=chat"
    objects = chart("--set=trackConfig=true", "--set=watchNamespaces={a,b}", gates, notify)
    arguments = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    read = typer.main.get_command(app).make_context("operator", arguments[1:]).params
    assert read["namespace"] == ["a", "b"]
    assert read["router"] == ["gatewayAPI", "service"]
    assert (read["scrape_interval"], read["settle"], read["listen"]) == ("15s", "2s", "0.0.0.0:8081")
    assert read["track_config"]
    assert read["gate_allow"] == ["https://checks.example.com/model"]
    assert (read["notify_url"], str(read["notify_token_file"])) == (
        "https://chat.example.com/hooks/x",
        "/var/run/notify/token",
    )
    assert read["leader_elect"]
