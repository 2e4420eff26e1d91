"""What the real API server makes of our resource definition."""

import json
from collections.abc import Iterator

import pytest
import yaml

from tests.support.apiserver import CRD_FILE
from tests.support.documents import GOOD, IDS, PAIRED, REFUSED, Document, edited
from tests.support.kube import Kube, KubeError

API = "modelrollout.dev/v1alpha1"


def placed(document: Document, namespace: str) -> Document:
    return {**document, "metadata": {**document["metadata"], "namespace": namespace}}


@pytest.fixture
def rollout(api: Kube, namespace: str) -> Document:
    return api.create(placed(GOOD, namespace))


@pytest.mark.parametrize(("path", "value", "said", "_"), REFUSED, ids=IDS)
def test_bad_input_is_refused_and_the_message_names_the_field(
    api: Kube, path: str, value: object, said: str, _: str
) -> None:
    document = placed(edited(path, value), "default")
    with pytest.raises(KubeError) as refused:
        api.create(document, dryRun="All")
    assert refused.value.code in (400, 422)
    assert said in refused.value.message
    assert "no such overload" not in refused.value.message
    assert "conversion error" not in refused.value.message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.traffic.port", 8080),
        ("spec.traffic.port", "http"),
        ("spec.traffic.gatewayAPI.hostnames", ["*.example.com", "fraud.example.com"]),
        (
            "spec.strategy.steps",
            [{"weight": 10, "minDuration": "90s", "maxDuration": "1h30m", "onTimeout": "Rollback"}],
        ),
        ("spec.strategy.steps", [{"weight": 1}, {"pause": {}}, {"pause": {"duration": "1h"}}, {"weight": 100}]),
        ("spec.strategy.guard", {"duration": "0s"}),
        ("spec.analysis.falseRollback", "49.9%"),
        ("spec.analysis.metrics", [{"name": "errors", "maxIncrease": {"absolute": "0.1%", "relative": "0%"}}]),
        ("metadata.name", "f" * 52),
        *(("spec", {**GOOD["spec"], **spec}) for spec in PAIRED),
    ],
)
def test_good_input_is_taken(api: Kube, path: str, value: object) -> None:
    api.create(placed(edited(path, value), "default"), dryRun="All")


def test_kubectl_refuses_an_unknown_field_by_default(api: Kube, namespace: str) -> None:
    result = api.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(edited("spec.startegy", {})))
    assert result.returncode != 0
    assert 'unknown field "spec.startegy"' in result.stderr


def test_unknown_fields_inside_the_template_are_kept(api: Kube, namespace: str) -> None:
    container = {"name": "model", "image": "fraud:1", "fieldOfTomorrow": {"deep": [1]}}
    template = {"spec": {"containers": [container], "hostUsers": False}, "metadata": {"labels": {"team": "risk"}}}
    api.create(placed(edited("spec.template", template), namespace))
    assert api.get("ModelRollout", "fraud", api=API, namespace=namespace)["spec"]["template"] == template


def test_defaults_are_shown(rollout: Document) -> None:
    spec = rollout["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {
        "type": "Canary",
        "minStepDuration": "60s",
        "guard": {"duration": "10m"},
        "surge": "100%",
        "floor": "25%",
        "onNewTemplate": "Replace",
    }
    assert spec["traffic"]["gatewayAPI"]["pathPrefix"] == "/"
    assert [metric["name"] for metric in spec["analysis"]["metrics"]] == ["errors", "latency"]
    assert spec["deletionPolicy"] == "Orphan"
    assert "status" not in rollout


def test_a_step_is_not_dressed_up_with_defaults(api: Kube, namespace: str) -> None:
    steps = [{"weight": 5}, {"pause": {}}]
    made = api.create(placed(edited("spec.strategy", {"steps": steps}), namespace))
    assert made["spec"]["strategy"]["steps"] == steps


def test_a_write_of_the_spec_cannot_touch_the_status(api: Kube, namespace: str, rollout: Document) -> None:
    api.patch("ModelRollout", "fraud", {"status": {"phase": "Promoted"}}, api=API, namespace=namespace)
    assert "status" not in api.get("ModelRollout", "fraud", api=API, namespace=namespace)


def test_a_write_of_the_status_cannot_touch_the_spec(api: Kube, namespace: str, rollout: Document) -> None:
    patch = {"spec": {"replicas": 7}, "status": {"phase": "Progressing", "stable": "abc"}}
    after = api.patch("ModelRollout", "fraud", patch, api=API, namespace=namespace, sub="status")
    assert after["status"] == {"phase": "Progressing", "stable": "abc"}
    assert after["spec"]["replicas"] == 1
    assert after["metadata"]["generation"] == rollout["metadata"]["generation"]


def test_the_scale_subresource_serves_autoscalers(api: Kube, namespace: str, rollout: Document) -> None:
    status = {"status": {"replicas": 3, "selector": "modelrollout.dev/name=fraud"}}
    api.patch("ModelRollout", "fraud", status, api=API, namespace=namespace, sub="status")
    api.patch("ModelRollout", "fraud", {"spec": {"replicas": 5}}, api=API, namespace=namespace, sub="scale")
    scale = api.get("ModelRollout", "fraud", api=API, namespace=namespace, sub="scale")
    assert scale["spec"]["replicas"] == 5
    assert scale["status"] == {"replicas": 3, "selector": "modelrollout.dev/name=fraud"}


def test_the_table_shows_where_a_rollout_stands(api: Kube, namespace: str, rollout: Document) -> None:
    status = {
        "phase": "Progressing",
        "step": {"index": 1, "name": "weight 10", "since": "2026-01-01T00:00:00Z"},
        "weights": {"stable": 90, "candidate": 10},
        "verdict": "NoData",
        "stable": "aaaa",
        "candidate": "bbbb",
        "message": "waits for 300 more requests",
    }
    api.patch("ModelRollout", "fraud", {"status": status}, api=API, namespace=namespace, sub="status")
    header, row = api.kubectl("get", "mr", "-n", namespace).stdout.splitlines()
    assert header.split() == ["NAME", "PHASE", "STRATEGY", "STEP", "WEIGHT", "VERDICT", "STABLE", "CANDIDATE", "AGE"]
    assert row.split()[:-1] == ["fraud", "Progressing", "Canary", "weight", "10", "10", "NoData", "aaaa", "bbbb"]
    assert "waits for 300 more requests" in api.kubectl("get", "mr", "-n", namespace, "-o", "wide").stdout
    assert "modelrollout.modelrollout.dev/fraud" in api.kubectl("get", "all", "-n", namespace, "-o", "name").stdout


def _undescribed(schema: Document, path: str) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        if path and not field.get("description"):
            yield f"{path}.{name}"
        yield from _undescribed(field.get("items", field), f"{path}.{name}")


def test_every_field_is_explained(api: Kube) -> None:
    definition = api.get("CustomResourceDefinition", "modelrollouts.modelrollout.dev", api="apiextensions.k8s.io/v1")
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert list(_undescribed(schema, "")) == []
    explained = api.kubectl("explain", "modelrollout.spec.strategy.steps.weight")
    assert "Per cent of live requests for the candidate" in explained.stdout


def test_the_definition_keeps_every_part_that_we_wrote(api: Kube) -> None:
    """The API server drops in silence what it does not know."""
    held = api.get("CustomResourceDefinition", "modelrollouts.modelrollout.dev", api="apiextensions.k8s.io/v1")
    conditions = {one["type"]: one["status"] for one in held["status"]["conditions"]}
    assert conditions.get("NonStructuralSchema", "False") == "False"
    assert held["spec"]["versions"] == yaml.safe_load(CRD_FILE.read_text())["spec"]["versions"]
