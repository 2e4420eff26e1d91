"""Answers of which a part was replaced by junk: data, no data or a clear fault; never a crash or a number made up."""

import copy
import json
import math
from collections.abc import Iterator
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from modelrollout.core.evidence.windows import Reading
from tests.unit.adapters.prometheus.asking import CANDIDATE, FRAUD, STABLE, of_pod, read, watched
from tests.unit.adapters.prometheus.serving import Answer, Form
from tests.unit.adapters.prometheus.test_histograms import native, sample

Json = Any

METRICS: dict[str, tuple[dict[str, Any], str, list[dict[str, Any]]]] = {
    "errors": ({"name": "errors"}, "model-server", [{"__name__": "model_server_requests_total", "code": "200"}]),
    "slices": (
        {"name": "errors", "slices": {"label": "segment", "values": ["gold"]}},
        "model-server",
        [{"__name__": "model_server_requests_total", "code": "500", "segment": "gold"}],
    ),
    "totals": (
        {"name": "errors"},
        "ray-serve",
        [
            {"__name__": "ray_serve_num_http_requests_total"},
            {"__name__": "ray_serve_num_http_error_requests_total", "error_code": "500"},
        ],
    ),
    "latency": (
        {"name": "latency"},
        "model-server",
        [{"__name__": "model_server_request_duration_seconds_bucket", "le": le} for le in ("0.1", "+Inf")],
    ),
    "predictions": (
        {"name": "predictions"},
        "model-server",
        [{"__name__": "model_server_prediction_bucket", "le": "-1"}],
    ),
    "inputs": (
        {"name": "inputs"},
        "model-server",
        [{"__name__": "model_server_feature_bin_total", "feature": "age", "bin": "3"}],
    ),
    "quality": (
        {"name": "quality"},
        "model-server",
        [{"__name__": "model_server_labels_total", "cohort": "1799999700", "outcome": "wrong", "slice": ""}],
    ),
    "custom": ({"name": "own", "query": "x", "max": 1}, "model-server", [{}]),
}
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["NaN", "+Inf", "-1", "1e400", "9" * 400, "0x10", "1_0", "٣", "5"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def good(name: str) -> dict[str, Any]:
    """Return an answer as it should be."""
    result = []
    for labels in METRICS[name][2]:
        rest = {label: value for label, value in labels.items() if label != "__name__"}
        sides = (STABLE, CANDIDATE)[: 1 if name == "custom" else 2]
        result += [of_pod(FRAUD, side, labels.get("__name__", ""), "10", "25", **rest) for side in sides]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def paths(node: Json, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every part of a document."""
    if before:
        yield before
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from paths(value, (*before, key))


def spoiled(draw: st.DrawFn, document: dict[str, Any]) -> dict[str, Any]:
    document = copy.deepcopy(document)
    *way, last = draw(st.sampled_from(list(paths(document))))
    node: Json = document
    for key in way:
        node = node[key]
    what = draw(st.sampled_from(["replace", "remove", "repeat"]))
    if what == "replace":
        node[last] = draw(JUNK)
    elif what == "repeat" and isinstance(node, list):
        node.append(copy.deepcopy(node[last]))
    else:
        del node[last]
    return document


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, str]:
    name = draw(st.sampled_from(sorted(METRICS)))
    return name, json.dumps(spoiled(draw, good(name)))


def check(reading: Reading, *, gauge: bool) -> None:
    if reading.error is not None:
        assert reading == Reading(error=reading.error)
        assert 0 < len(reading.error) <= 400
        return
    for one in (*reading.stable, *reading.candidate):
        assert len(one.values) == len(reading.instants)
        for value in one.values:
            assert value is None or (math.isfinite(value) and (gauge or 0.0 <= value <= 2.0**53))


@settings(max_examples=250, deadline=None)
@given(cases())
async def test_junk_is_data_or_a_fault(case: tuple[str, str]) -> None:
    name, body = case
    metric, preset, _ = METRICS[name]
    metrics = [metric, "errors"] if name == "inputs" else [metric]
    readings, _ = await read(lambda _: Answer(body.encode()), {FRAUD: watched(FRAUD, *metrics, preset=preset)})
    check(readings[FRAUD][metric["name"]], gauge=name == "custom")


@st.composite
def broken_histograms(draw: st.DrawFn) -> str:
    series = [native(STABLE, sample([0.01, 0.02]), sample([0.01, 0.02, 0.5], zero=1)), native(CANDIDATE, sample([0.3]))]
    for one in series:
        one["metric"]["__name__"] = "kn_serving_invocation_duration_seconds"
        one["metric"]["kn_revision_name"] = one["metric"]["pod"].removesuffix("-7d9f8b6c5-x2x41")
    return json.dumps(spoiled(draw, {"status": "success", "data": {"resultType": "matrix", "result": series}}))


@settings(max_examples=150, deadline=None)
@given(broken_histograms())
async def test_junk_in_histograms_is_data_or_a_fault(body: str) -> None:
    watches = {FRAUD: watched(FRAUD, "latency", preset="knative-otel")}
    readings, _ = await read(lambda _: Answer(body.encode()), watches)
    found = readings[FRAUD]["latency"]
    check(found, gauge=False)
    for side in (found.stable, found.candidate):
        for index in range(len(found.instants)):
            column = [one.values[index] for one in side]
            known = [value for value in column if value is not None]
            assert known == sorted(known)


def _always(answer: Answer, form: Form) -> Answer:
    return answer


async def test_all_of_it_is_read_when_nothing_is_broken() -> None:
    for name, (metric, preset, _) in METRICS.items():
        answer = Answer(json.dumps(good(name)).encode())
        metrics = [metric, "errors"] if name == "inputs" else [metric]
        readings, _ = await read(partial(_always, answer), {FRAUD: watched(FRAUD, *metrics, preset=preset)})
        found = readings[FRAUD][metric["name"]]
        assert found.error is None
        assert found.candidate or name == "custom"
