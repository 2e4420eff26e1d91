"""Series in the shape of each source, as scraped: found, given to the right revision, failures seen as such."""

from typing import Any

import pytest

from modelrollout.core.evidence.windows import Series
from tests.unit.adapters.prometheus.asking import CANDIDATE, FRAUD, PRESETS, SINCE, STABLE, UNTIL, read, watched
from tests.unit.adapters.prometheus.serving import matrix

S = "fraud-{revision}"
P = "fraud-{revision}-7d9f8b6c5-x2x4z"
TARGET = {"instance": "10.0.0.1:9000", "job": "scraped"}
POD = {"namespace": "prod", "pod": P}
OIP = "/v2/models/{model_name}/infer"
ROUTE = "httproute-prod-fraud-gw-infra-public-ep-web-0-0123456789abcdef0123"

Labels = dict[str, str]

ERRORS: list[tuple[str, str, Labels, Labels, Labels]] = [
    # preset, name, labels, what makes it bad, what makes it good
    ("bentoml", "bentoml_service_request_total", POD, {"http_response_code": "503"}, {"http_response_code": "200"}),
    (
        "comparer",
        "modelrollout_comparer_requests_total",
        {"rollout": "fraud", "revision": "{revision}"},
        {"code": "5xx"},
        {"code": "4xx"},
    ),
    (
        "comparer",
        "modelrollout_comparer_requests_total",
        {"rollout": "fraud", "revision": "{revision}"},
        {"code": "timeout"},
        {"code": "2xx"},
    ),
    (
        "comparer",
        "modelrollout_comparer_requests_total",
        {"rollout": "fraud", "revision": "{revision}"},
        {"code": "unreachable"},
        {"code": "3xx"},
    ),
    (
        "envoy-gateway",
        "envoy_cluster_upstream_rq_xx",
        {"envoy_cluster_name": f"service/prod/{S}/8080"},
        {"envoy_response_code_class": "5"},
        {"envoy_response_code_class": "2"},
    ),
    (
        "envoy-gateway",
        "envoy_cluster_upstream_rq_xx",
        {"envoy_cluster_name": f"service/prod/{S}/80/http"},
        {"envoy_response_code_class": "5"},
        {"envoy_response_code_class": "2"},
    ),
    (
        "envoy-gateway",
        "envoy_cluster_upstream_rq_xx",
        {"envoy_cluster_name": f"prod_{S}_http"},
        {"envoy_response_code_class": "5"},
        {"envoy_response_code_class": "4"},
    ),
    (
        "istio",
        "istio_requests_total",
        {"destination_workload": S, "destination_workload_namespace": "prod", "reporter": "destination"},
        {"response_code": "503"},
        {"response_code": "0"},
    ),
    (
        "istio-gateway",
        "istio_requests_total",
        {"destination_service_name": S, "destination_service_namespace": "prod", "reporter": "source"},
        {"response_code": "500"},
        {"response_code": "404"},
    ),
    (
        "knative",
        "revision_app_request_count",
        {"namespace_name": "prod", "revision_name": S, "pod_name": P},
        {"response_code_class": "5xx"},
        {"response_code_class": "2xx"},
    ),
    (
        "knative-otel",
        "kn_serving_invocation_duration_seconds_count",
        {"kn_revision_name": S},
        {"http_response_status_code": "502"},
        {"http_response_status_code": "200"},
    ),
    (
        "linkerd",
        "response_total",
        {"namespace": "prod", "deployment": S, "direction": "inbound"},
        {"classification": "failure"},
        {"classification": "success"},
    ),
    (
        "mlserver",
        "rest_server_requests_total",
        {**POD, "path": OIP, "method": "POST"},
        {"status_code": "500"},
        {"status_code": "422"},
    ),
    ("model-server", "model_server_requests_total", POD, {"code": "500"}, {"code": "400"}),
    (
        "nginx",
        "nginx_ingress_controller_requests",
        {"canary": f"prod-{S}-8080", "service": "other", "exported_namespace": "prod"},
        {"status": "504"},
        {"status": "200"},
    ),
    (
        "nginx",
        "nginx_ingress_controller_requests",
        {"exported_service": S, "exported_namespace": "prod", "service": "ingress", "namespace": "ingress"},
        {"status": "504"},
        {"status": "499"},
    ),
    (
        "seldon",
        "seldon_api_executor_server_requests_seconds_count",
        {**POD, "service": "predictions"},
        {"code": "500"},
        {"code": "200"},
    ),
    ("seldon2", "seldon_model_infer_total", {"namespace": "prod", "model": S}, {"code": "Internal"}, {"code": "OK"}),
    (
        "traefik",
        "traefik_service_requests_total",
        {"service": f"{ROUTE}-svc-prod-{S}-1@kubernetesgateway"},
        {"code": "502"},
        {"code": "200"},
    ),
    (
        "traefik-crd",
        "traefik_service_requests_total",
        {"service": f"prod-{S}-8080@kubernetescrd"},
        {"code": "502"},
        {"code": "200"},
    ),
    (
        "traefik-crd",
        "traefik_service_requests_total",
        {"service": f"prod_fraud_wrr_0_prod_{S}_80@kubernetescrd"},
        {"code": "502"},
        {"code": "200"},
    ),
    (
        "vllm",
        "http_requests_total",
        {**POD, "handler": "/v1/chat/completions", "method": "POST"},
        {"status": "5xx"},
        {"status": "4xx"},
    ),
]
APART: list[tuple[str, str, str, Labels]] = [
    # preset, counter of good ones, counter of failures, labels of failures
    ("torchserve", "Requests4XX", "Requests5XX", {"Level": "Host"}),
    ("triton", "nv_inference_request_success", "nv_inference_request_failure", {"reason": "BACKEND"}),
    ("triton", "nv_inference_request_success", "nv_inference_request_failure", {}),
    (
        "ray-serve",
        "ray_serve_num_http_requests_total",
        "ray_serve_num_http_error_requests_total",
        {"error_code": "503"},
    ),
]


def series(name: str, revision: str, labels: Labels, *values: str) -> dict[str, Any]:
    written = {label: value.replace("{revision}", revision) for label, value in labels.items()}
    samples = [[SINCE, values[0]], [UNTIL, values[1]]]
    return {"metric": {"__name__": name, **TARGET, **written}, "values": samples}


async def sides(preset: str, metric: str, *found: dict[str, Any]) -> tuple[tuple[Series, ...], tuple[Series, ...]]:
    readings, _ = await read(lambda _: matrix(*found), {FRAUD: watched(FRAUD, metric, preset=preset)})
    reading = readings[FRAUD][metric]
    assert reading.error is None
    return reading.stable, reading.candidate


@pytest.mark.parametrize(("preset", "name", "labels", "bad", "good"), ERRORS)
async def test_requests_of_one_counter(preset: str, name: str, labels: Labels, bad: Labels, good: Labels) -> None:
    stable, candidate = await sides(
        preset,
        "errors",
        series(name, STABLE, {**labels, **good}, "1", "2"),
        series(name, CANDIDATE, {**labels, **bad}, "3", "4"),
        series(name, "dddddddddd", {**labels, **bad}, "5", "6"),
    )
    assert [(one.bad, one.values) for one in stable] == [(False, (1.0, 2.0))]
    assert [(one.bad, one.values) for one in candidate] == [(True, (3.0, 4.0))]
    assert all(one.source for one in (*stable, *candidate))


@pytest.mark.parametrize(("preset", "good", "failed", "labels"), APART)
async def test_requests_of_two_counters(preset: str, good: str, failed: str, labels: Labels) -> None:
    stable, candidate = await sides(
        preset,
        "errors",
        series(good, STABLE, POD, "10", "20"),
        series(failed, STABLE, {**POD, **labels}, "1", "3"),
        series(good, CANDIDATE, POD, "5", "6"),
    )
    grown = {one.bad: (one.values[1] or 0.0) - (one.values[0] or 0.0) for one in stable}
    assert grown == {True: 2.0, False: 8.0 if preset == "ray-serve" else 10.0}
    assert [(one.bad, one.values) for one in candidate] == [(False, (5.0, 6.0))]


@pytest.mark.parametrize("name", [name for name in PRESETS.names if "latency" in PRESETS[name].measured])
async def test_latency_is_in_seconds(name: str) -> None:
    source = PRESETS[name].measured["latency"]
    labels = next((labels for preset, _, labels, _, _ in ERRORS if preset == name), POD)
    found = series(source.names[0], CANDIDATE, {**labels, "le": "250"}, "1", "2")
    _, candidate = await sides(name, "latency", found)
    milliseconds = {"envoy-gateway", "istio", "istio-gateway", "knative", "linkerd", "ray-serve", "triton"}
    assert [one.le for one in candidate] == [0.25 if name in milliseconds else 250.0]
