"""Readings of many rollouts from scripted answers: data, no data, or an error; never a number made up."""

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelrollout.api.resource import ModelRollout
from modelrollout.core.actions import Watch
from modelrollout.core.evidence.windows import Reading
from modelrollout.ports import Key
from tests.unit.adapters.prometheus import asking
from tests.unit.adapters.prometheus.asking import CANDIDATE, CHURN, FRAUD, SINCE, STABLE, UNTIL, WINDOW, read
from tests.unit.adapters.prometheus.serving import Answer, Form, matrix


def watched(key: Key, *metrics: str, preset: str = "traefik", since: int = SINCE) -> tuple[ModelRollout, Watch]:
    return asking.watched(key, *(metrics or ("errors",)), preset=preset, since=since)


def series(key: Key, revision: str, *values: object, at: int = SINCE, **labels: str) -> dict[str, Any]:
    service = (
        f"httproute-{key.namespace}-{key.name}-gw-gateway-public-ep-web-0-0123456789abcdef0123"
        f"-svc-{key.namespace}-{key.name}-{revision}-0@kubernetesgateway"
    )
    samples = [[at + index * WINDOW, value] for index, value in enumerate(values)]
    return {
        "metric": {"code": "200", "instance": "10.0.0.1:8080", **labels, "service": service},
        "values": samples,
    }


async def test_one_query_for_all_rollouts_and_every_series_finds_its_revision() -> None:
    answer = matrix(
        series(FRAUD, STABLE, "10", "25"),
        series(FRAUD, STABLE, "1", "2", code="503"),
        series(FRAUD, STABLE, "7", "8", instance="10.0.0.2:8080"),
        series(FRAUD, CANDIDATE, "0", "3"),
        series(CHURN, CANDIDATE, "1e+06", "1000001"),
        series(Key("prod", "other"), STABLE, "5", "6"),
        series(Key("dev", "fraud"), STABLE, "5", "6"),
    )
    counted: list[str] = []
    readings, fake = await read(lambda _: answer, {FRAUD: watched(FRAUD), CHURN: watched(CHURN)}, count=counted.append)

    (asked,) = fake.asked
    form = asked.form
    assert (form["start"], form["end"], form["step"]) == (str(SINCE), str(UNTIL), str(WINDOW))
    assert counted == ["success"]
    fraud = readings[FRAUD]["errors"]
    assert fraud.instants == (SINCE, UNTIL)
    assert [(s.bad, s.source, s.values) for s in fraud.stable] == [
        (False, "10.0.0.1:8080", (10.0, 25.0)),
        (True, "10.0.0.1:8080", (1.0, 2.0)),
        (False, "10.0.0.2:8080", (7.0, 8.0)),
    ]
    assert [s.values for s in fraud.candidate] == [(0.0, 3.0)]
    assert readings[CHURN]["errors"].stable == ()
    assert [s.values for s in readings[CHURN]["errors"].candidate] == [(1e6, 1000001.0)]


async def test_each_metric_has_its_query() -> None:
    def respond(form: Form) -> Answer:
        bucket = "_bucket{" in form["query"]
        return matrix(*(series(FRAUD, STABLE, "1", "2", le=le) for le in ("0.1", "+Inf"))) if bucket else matrix()

    readings, fake = await read(respond, {FRAUD: watched(FRAUD, "errors", "latency")})
    assert sorted(asked.form["query"].partition("{")[0] for asked in fake.asked) == [
        "traefik_service_request_duration_seconds_bucket",
        "traefik_service_requests_total",
    ]
    assert readings[FRAUD]["errors"] == Reading(instants=(SINCE, UNTIL))
    assert [s.le for s in readings[FRAUD]["latency"].stable] == [0.1, math.inf]


async def test_no_series_is_no_data() -> None:
    readings, _ = await read(lambda _: matrix(), {FRAUD: watched(FRAUD)})
    assert readings == {FRAUD: {"errors": Reading(instants=(SINCE, UNTIL))}}


async def test_each_rollout_gets_its_own_range() -> None:
    behind = UNTIL - 3 * WINDOW
    answer = matrix(
        series(FRAUD, STABLE, "1", "2", "3", "4", at=behind),
        series(CHURN, STABLE, "5", "6", "7", "8", at=behind),
        series(CHURN, CANDIDATE, "5", "6", at=behind),
    )
    watches = {FRAUD: watched(FRAUD, since=behind), CHURN: watched(CHURN)}
    readings, fake = await read(lambda _: answer, watches)
    assert len(fake.asked) == 1
    assert readings[FRAUD]["errors"].instants == (behind, behind + WINDOW, SINCE, UNTIL)
    assert readings[CHURN]["errors"].instants == (SINCE, UNTIL)
    assert readings[CHURN]["errors"].stable[0].values == (7.0, 8.0)
    assert readings[CHURN]["errors"].candidate == ()


async def test_a_series_that_came_or_went_has_holes() -> None:
    came = series(FRAUD, STABLE, "4", at=UNTIL)
    went = series(FRAUD, CANDIDATE, "9")
    readings, _ = await read(lambda _: matrix(came, went), {FRAUD: watched(FRAUD)})
    assert readings[FRAUD]["errors"].stable[0].values == (None, 4.0)
    assert readings[FRAUD]["errors"].candidate[0].values == (9.0, None)


async def test_pods_are_told_apart_by_namespace_and_name() -> None:
    def pod(namespace: str, name: str) -> dict[str, Any]:
        return {"metric": {"namespace": namespace, "pod": name, "code": "200"}, "values": [[UNTIL, "1"]]}

    answer = matrix(
        pod("prod", f"fraud-{STABLE}-7d9f8b6c5-x2x4z"),
        pod("dev", f"fraud-{STABLE}-7d9f8b6c5-x2x4z"),
        pod("prod", f"fraud-{STABLE}"),
        pod("prod", f"my-fraud-{STABLE}-7d9f8b6c5-x2x4z"),
    )
    readings, _ = await read(lambda _: answer, {FRAUD: watched(FRAUD, preset="model-server")})
    assert [s.source for s in readings[FRAUD]["errors"].stable] == [f"fraud-{STABLE}-7d9f8b6c5-x2x4z"]


async def test_an_unknown_preset_is_said_and_asks_nothing() -> None:
    readings, fake = await read(lambda _: matrix(), {FRAUD: watched(FRAUD, preset="istoi")})
    assert fake.asked == []
    assert re.match(
        r"spec.analysis.preset: unknown preset 'istoi'; known: .*traefik", readings[FRAUD]["errors"].error or ""
    )


@pytest.mark.parametrize(("preset", "blind"), [("traefik", True), ("envoy-gateway", True), ("model-server", False)])
async def test_a_gateway_that_cannot_tell_failed_grpc_calls_is_no_evidence(preset: str, blind: bool) -> None:
    rollout, watch = watched(FRAUD, "errors", "latency", preset=preset)
    raw = rollout.model_dump(mode="json", exclude_unset=True)
    raw["spec"]["traffic"]["gatewayAPI"]["kind"] = "GRPCRoute"
    readings, _ = await read(lambda _: matrix(), {FRAUD: (ModelRollout.model_validate(raw), watch)})
    said = readings[FRAUD]["errors"].error
    assert (said is not None) is blind
    assert said is None or "does not tell failed gRPC calls from good ones" in said
    assert readings[FRAUD]["latency"].error is None


async def test_a_fault_of_one_rollout_leaves_the_others_alone() -> None:
    answer = matrix(
        series(FRAUD, STABLE, "1", "NaN"), series(FRAUD, CANDIDATE, "1", "2"), series(CHURN, STABLE, "1", "2")
    )
    readings, _ = await read(lambda _: answer, {FRAUD: watched(FRAUD), CHURN: watched(CHURN)})
    error = "traefik_service_requests_total: Prometheus returned 'NaN' as the value of a counter"
    assert readings[FRAUD]["errors"] == Reading(error=error)
    assert readings[CHURN]["errors"].error is None


async def test_a_series_without_its_code_is_not_taken_for_success() -> None:
    nameless = series(FRAUD, STABLE, "1", "2")
    del nameless["metric"]["code"]
    readings, _ = await read(lambda _: matrix(nameless), {FRAUD: watched(FRAUD)})
    assert "a series without the label code" in (readings[FRAUD]["errors"].error or "")


async def test_prometheus_down_is_an_error_for_everybody() -> None:
    readings, _ = await read(lambda _: Answer(status=403), {FRAUD: watched(FRAUD, "errors", "latency")})
    assert all("HTTP 403" in (reading.error or "") for reading in readings[FRAUD].values())
    assert all(reading.instants == () for reading in readings[FRAUD].values())


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["NaN", "+Inf", "-1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, object]:
    """Return an answer of which one part was replaced by junk."""
    good = json.loads(matrix(series(FRAUD, STABLE, "10", "25"), series(FRAUD, CANDIDATE, "1", "2")).body)
    paths: list[list[Any]] = [
        ["data"],
        ["data", "result"],
        ["data", "result", 0],
        ["data", "result", 0, "metric"],
        ["data", "result", 0, "metric", "service"],
        ["data", "result", 0, "metric", "code"],
        ["data", "result", 0, "values"],
        ["data", "result", 0, "values", 1],
        ["data", "result", 0, "values", 1, 0],
        ["data", "result", 0, "values", 1, 1],
    ]
    path = draw(st.sampled_from(paths))
    at = good
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = draw(JUNK)
    return json.dumps(good), at[path[-1]]


@settings(max_examples=150, deadline=None)
@given(spoiled())
async def test_junk_never_becomes_a_number(case: tuple[str, object]) -> None:
    text, junk = case
    readings, _ = await read(lambda _: Answer(text.encode()), {FRAUD: watched(FRAUD)})
    reading = readings[FRAUD]["errors"]
    if reading.error is not None:
        assert reading == Reading(error=reading.error)
        return
    real = {10.0, 25.0, 1.0, 2.0, None}
    if isinstance(junk, str) and re.fullmatch(r"[0-9.eE+]+", junk):
        real.add(float(junk))
    found = {value for one in (*reading.stable, *reading.candidate) for value in one.values}
    assert found <= real


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
async def test_bytes_of_any_kind_are_an_error(body: bytes) -> None:
    readings, _ = await read(lambda _: Answer(body), {FRAUD: watched(FRAUD)})
    assert readings[FRAUD]["errors"].error
