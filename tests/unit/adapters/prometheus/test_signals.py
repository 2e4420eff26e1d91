"""Readings of every kind of metric: model signals, slices, counters in three forms, the past, other presets."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from modelrollout.adapters.prometheus.presets import Presets
from modelrollout.core.evidence.counters import bad_and_all
from modelrollout.core.evidence.windows import Past, Reading, Series
from tests.unit.adapters.prometheus.asking import (
    CANDIDATE,
    FRAUD,
    SINCE,
    STABLE,
    UNTIL,
    of_pod,
    pod,
    read,
    watched,
)
from tests.unit.adapters.prometheus.serving import Answer, Form, matrix


async def reading(metric: str | dict[str, Any], *series: dict[str, Any], **options: Any) -> Reading:
    name = metric if isinstance(metric, str) else metric["name"]
    metrics = (metric, "errors") if name == "inputs" else (metric,)
    readings, _ = await read(lambda _: matrix(*series), {FRAUD: watched(FRAUD, *metrics, **options)})
    return readings[FRAUD][name]


def facts(side: Sequence[Series]) -> list[tuple[object, ...]]:
    return [(one.bad, one.le, one.part, one.cohort, one.values) for one in side]


async def test_predictions_keep_their_bounds() -> None:
    name = "model_server_prediction_bucket"
    found = await reading(
        "predictions",
        of_pod(FRAUD, STABLE, name, "1", "2", le="-0.5"),
        of_pod(FRAUD, STABLE, name, "3", "5", le="+Inf"),
        preset="traefik",
    )
    assert facts(found.stable) == [
        (False, -0.5, "", None, (1.0, 2.0)),
        (False, math.inf, "", None, (3.0, 5.0)),
    ]


async def test_inputs_have_feature_and_bin() -> None:
    name = "model_server_feature_bin_total"
    found = await reading(
        "inputs",
        of_pod(FRAUD, CANDIDATE, name, "1", "2", feature="amount", bin="0"),
        of_pod(FRAUD, CANDIDATE, name, "3", "5", feature="age", bin="missing"),
    )
    assert facts(found.candidate) == [
        (False, 0.0, "amount", None, (1.0, 2.0)),
        (False, -1.0, "age", None, (3.0, 5.0)),
    ]


async def test_labels_have_a_cohort() -> None:
    name = "model_server_labels_total"
    found = await reading(
        {"name": "quality", "slices": {"label": "slice", "values": ["eu", "us"]}},
        of_pod(FRAUD, CANDIDATE, name, "1", "2", cohort="1799999700", outcome="wrong", slice="eu"),
        of_pod(FRAUD, CANDIDATE, name, "3", "5", cohort="1799999700", outcome="right", slice="us"),
        of_pod(FRAUD, CANDIDATE, name, "7", "9", cohort="1799999700", outcome="right", slice="asia"),
    )
    assert facts(found.candidate) == [
        (True, None, "eu", 1799999700, (1.0, 2.0)),
        (False, None, "us", 1799999700, (3.0, 5.0)),
    ]


async def test_agreement_is_read_for_the_candidate_alone() -> None:
    def pairs(revision: str, agree: str, *values: str) -> dict[str, Any]:
        labels = {
            "rollout": "fraud",
            "revision": revision,
            "agree": agree,
            "namespace": "comparer",
            "pod": "comparer-1",
        }
        return {"metric": labels, "values": [[SINCE + 15 * k, value] for k, value in enumerate(values)]}

    answer = matrix(
        pairs(CANDIDATE, "true", "10", "30"), pairs(CANDIDATE, "false", "0", "1"), pairs(STABLE, "false", "5")
    )
    readings, fake = await read(
        lambda _: answer, {FRAUD: watched(FRAUD, "agreement", preset="traefik", past=("agreement",))}
    )
    found = readings[FRAUD]["agreement"]
    assert found.stable == ()
    assert facts(found.candidate) == [(False, None, "", None, (10.0, 30.0)), (True, None, "", None, (0.0, 1.0))]
    (asked,) = fake.asked
    assert asked.form["query"] == (f'modelrollout_comparer_pairs_total{{revision=~"(?:{CANDIDATE})",rollout=~"fraud"}}')


async def test_slo_and_errors_share_a_query() -> None:
    answer = matrix(of_pod(FRAUD, STABLE, "model_server_requests_total", "1", "2", code="200"))
    slo = {"name": "slo", "maxErrorRate": "5%"}
    readings, fake = await read(lambda _: answer, {FRAUD: watched(FRAUD, "errors", slo)})
    assert len(fake.asked) == 1
    assert readings[FRAUD]["slo"] == readings[FRAUD]["errors"]


async def test_a_metric_may_have_its_own_preset() -> None:
    answer = matrix(of_pod(FRAUD, STABLE, "model_server_requests_total", "1", "2", code="500"))
    metric = {"name": "errors", "preset": "model-server"}
    readings, fake = await read(lambda _: answer, {FRAUD: watched(FRAUD, metric, preset="traefik")})
    assert fake.asked[0].form["query"].startswith("model_server_requests_total{")
    assert readings[FRAUD]["errors"].stable[0].bad


async def test_slices_narrow_the_query() -> None:
    sliced = {"name": "errors", "slices": {"label": "segment", "values": ["gold", "a.b"]}}
    name = "model_server_requests_total"
    answer = matrix(
        of_pod(FRAUD, STABLE, name, "1", "2", code="200", segment="gold"),
        of_pod(FRAUD, STABLE, name, "1", "2", code="200", segment="axb"),
    )
    readings, fake = await read(lambda _: answer, {FRAUD: watched(FRAUD, sliced)})
    assert r'segment=~"gold|a\\.b"' in fake.asked[0].form["query"]
    assert [one.part for one in readings[FRAUD]["errors"].stable] == ["gold"]


async def test_good_and_failed_counters() -> None:
    found = await reading(
        "errors",
        of_pod(FRAUD, STABLE, "nv_inference_request_success", "10", "20", model="m"),
        of_pod(FRAUD, STABLE, "nv_inference_request_failure", "1", "3", model="m", reason="BACKEND"),
        of_pod(FRAUD, STABLE, "nv_inference_request_failure", "5", "6", model="m", reason="CANCELED"),
        preset="triton",
    )
    assert facts(found.stable) == [(False, None, "", None, (10.0, 20.0)), (True, None, "", None, (1.0, 3.0))]


def ray(pod_number: int, name: str, *values: object, **labels: str) -> dict[str, Any]:
    return of_pod(FRAUD, CANDIDATE, f"ray_serve_num_http_{name}", *values, at=UNTIL - 45, number=pod_number, **labels)


async def test_totals_that_hold_failures_are_partitioned() -> None:
    """A birth, a reset, a failure seen before its request, and statuses that are no failure."""
    readings, _ = await read(
        lambda _: matrix(
            ray(1, "requests_total", "10", "20", "22", "40", route="/a"),
            ray(1, "requests_total", None, None, "5", "6", route="/b"),
            ray(1, "error_requests_total", "1", "2", "6", "7", error_code="500"),
            ray(1, "error_requests_total", "3", "4", "4", "5", error_code="404"),
            ray(2, "requests_total", "100", "110", "4", "9", route="/a"),
            ray(2, "error_requests_total", "50", "51", "1", "1", error_code="503"),
        ),
        {FRAUD: watched(FRAUD, "errors", preset="ray-serve", since=UNTIL - 45)},
    )
    found = readings[FRAUD]["errors"]
    assert bad_and_all(found, 0) == [(20, 2, 0, 0), (11, 5, 0, 0), (24, 1, 0, 0)]


async def test_a_failure_seen_before_its_request_is_no_reset() -> None:
    readings, _ = await read(
        lambda _: matrix(
            ray(1, "requests_total", "100", "100", "101", "101"),
            ray(1, "error_requests_total", "0", "1", "1", "1", error_code="500"),
        ),
        {FRAUD: watched(FRAUD, "errors", preset="ray-serve", since=UNTIL - 45)},
    )
    assert bad_and_all(readings[FRAUD]["errors"], 0) == [(1, 1, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0)]


async def test_a_metric_that_a_source_has_not_says_where_to_take_it_from() -> None:
    found = await reading("errors", preset="kserve")
    assert "preset 'kserve' does not measure errors" in (found.error or "")
    assert "gateway" in (found.error or "")


PAST_END = SINCE // 60 * 60


async def test_the_hour_of_stable_before_evidence() -> None:
    def respond(form: Form) -> Answer:
        if form["step"] == "60":
            values = [[PAST_END - 3600 + 60 * k, str(k)] for k in range(61)]
            stable = of_pod(FRAUD, STABLE, "model_server_requests_total", code="200")
            return matrix({**stable, "values": values})
        return matrix(of_pod(FRAUD, CANDIDATE, "model_server_requests_total", "1", "2", code="200"))

    readings, fake = await read(respond, {FRAUD: watched(FRAUD, "errors", "latency", past=("errors",))})
    found = readings[FRAUD]["errors"]
    assert found.past is not None
    assert found.past.instants == tuple(range(PAST_END - 3600, PAST_END + 1, 60))
    assert found.past.stable[0].values == tuple(float(k) for k in range(61))
    assert found.past.stable[0].source == pod(FRAUD, STABLE)
    assert found.candidate[0].values == (1.0, 2.0)
    assert readings[FRAUD]["latency"].past is None
    (past,) = (asked.form for asked in fake.asked if asked.form["step"] == "60")
    assert CANDIDATE not in past["query"]
    assert int(past["start"]) % 60 == 0


@pytest.mark.parametrize(
    ("answer", "past"),
    [
        (Answer(b'{"status": "error", "error": "too many samples"}', 422), Past()),
        (
            matrix({"metric": {"namespace": "prod", "pod": pod(FRAUD, STABLE), "code": "1"}, "values": [[1, "x"]]}),
            Past(),
        ),
        (Answer(b"", 401), None),
    ],
)
async def test_a_past_that_nobody_can_read_does_not_stop_the_present(answer: Answer, past: Past | None) -> None:
    present = matrix(of_pod(FRAUD, STABLE, "model_server_requests_total", "1", "2", code="200"))
    readings, _ = await read(
        lambda form: answer if form["step"] == "60" else present, {FRAUD: watched(FRAUD, "errors", past=("errors",))}
    )
    assert readings[FRAUD]["errors"].past == past
    assert (readings[FRAUD]["errors"].error is None) == (past is not None)


async def test_the_same_series_twice_is_no_data() -> None:
    one = of_pod(FRAUD, STABLE, "model_server_requests_total", "1", "2", code="200")
    found = await reading("errors", one, one)
    assert "the same series twice" in (found.error or "")


def test_a_group_of_labels_may_have_several_forms() -> None:
    text = """
name: two
about: Two forms.
labels:
  - {canary: "{namespace}-{service}-{any}"}
  - {namespace: "{namespace}", service: "{service}", canary: ""}
source: instance
errors: {counter: requests, bad: {status: "5.."}}
"""
    presets = Presets({"x/two.yaml": text})
    assert len(presets["two"].shapes) == 2
