"""The HTTP side: answers, refusals, headers and metrics."""

import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from model_server.app import MAX_BODY
from model_server.engine import State
from tests.unit.model_server.conftest import Client

INFER = "/v2/models/fraud/infer"


def tensor(**changes: Any) -> dict[str, Any]:
    good = {"name": "features", "shape": [1, 4], "datatype": "FP64", "data": [1.0, 2.0, 3.0, 4.0]}
    return {"inputs": [good | changes]}


async def counts(http: Any) -> dict[str, float]:
    text = (await http.get("/metrics")).text
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    assert not [s for s in samples if s.name.endswith("_created")]
    result = {s.labels["code"]: s.value for s in samples if s.name == "model_server_requests_total"}
    wanted = "model_server_request"
    plain = {s.name: s.value for s in samples if s.name.startswith(wanted) and not s.labels}
    return result | plain


async def test_infer_gives_a_probability_for_each_row(client: Client, body: dict[str, Any]) -> None:
    response = await client(model_version="1.5").post(INFER, json=body)
    answer = response.json()
    assert response.status_code == 200
    assert (answer["model_name"], answer["model_version"]) == ("fraud", "1.5")
    (output,) = answer["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("probability", "FP64", [2])
    high, low = output["data"]
    assert 0 < low < 0.1
    assert 0.8 < high < 1
    assert response.headers["x-model-version"] == "1.5"


async def test_nested_data_means_the_same_as_flat_data(client: Client, body: dict[str, Any]) -> None:
    http = client()
    flat = await http.post(INFER, json=body)
    data = body["inputs"][0]["data"]
    body["inputs"][0]["data"] = [data[:4], data[4:]]
    assert (await http.post(INFER, json=body)).json()["outputs"] == flat.json()["outputs"]


async def test_ids_are_echoed_or_made(client: Client, body: dict[str, Any]) -> None:
    http = client()
    given = await http.post(INFER, json=body, headers={"X-Request-Id": "abc-1"})
    assert (given.headers["x-request-id"], given.json()["id"]) == ("abc-1", "abc-1")
    in_body = await http.post(INFER, json=body | {"id": "mine"}, headers={"X-Request-Id": "abc-2"})
    assert (in_body.headers["x-request-id"], in_body.json()["id"]) == ("abc-2", "mine")
    for bad in ("", "two words", "x" * 129):
        made = await http.get("/v2/health/live", headers={"X-Request-Id": bad})
        assert re.fullmatch("[0-9a-f]{32}", made.headers["x-request-id"])


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        ([], "must be a JSON object"),
        ({}, "'inputs' must be a list of one tensor"),
        ({"inputs": [1]}, "'inputs' must be a list of one tensor"),
        (tensor() | {"id": 3}, "'id' must be a string"),
        (tensor(name="x"), "inputs[0].name must be 'features', got \"x\""),
        (tensor(datatype="BYTES"), "inputs[0].datatype"),
        (tensor(datatype=[]), "inputs[0].datatype"),
        (tensor(shape=[4]), "inputs[0].shape"),
        (tensor(shape=[1, 3]), "inputs[0].shape"),
        (tensor(shape=[True, 4]), "inputs[0].shape"),
        (tensor(shape=[0, 4], data=[]), "inputs[0].shape"),
        (tensor(shape=[1025, 4]), "inputs[0].shape"),
        (tensor(shape="1x4" * 100), "..."),
        (tensor(data=None), "inputs[0].data must be a list"),
        (tensor(data=[1, 2, 3]), "must hold 4 numbers for shape [1, 4], got 3"),
        (tensor(data=[[1, 2, 3]]), "a row that is not a list of 4"),
        (tensor(data=[[1, 2, 3, 4], 5]), "a row that is not a list of 4"),
        (tensor(data=[1, 2, 3, "4"]), 'finite numbers, got "4"'),
        (tensor(data=[1, 2, 3, True]), "finite numbers, got true"),
        (tensor(data=[1, 2, 3, None]), "finite numbers, got null"),
        (tensor(data=[1, 2, 3, 10**400]), "finite numbers, got 1000"),
        (b'{"inputs":[{"name":"features","shape":[1,4],"datatype":"FP64","data":[1,2,3,NaN]}]}', "got NaN"),
    ],
)
async def test_bad_input_is_refused_with_what_was_wrong(client: Client, content: Any, error: str) -> None:
    http = client()
    sent = {"content": content} if isinstance(content, bytes) else {"json": content}
    response = await http.post(INFER, **sent)
    assert response.status_code == 400
    assert error in response.json()["error"]
    assert (await counts(http))["400"] == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v2/models/other", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("POST", "/v2/health/ready", 405),
        ("GET", INFER, 405),
    ],
)
async def test_other_requests_are_refused(client: Client, method: str, path: str, status: int) -> None:
    response = await client().request(method, path)
    assert response.status_code == status
    assert response.json()["error"]
    assert ("allow" in response.headers) == (status == 405)


async def test_a_body_that_is_too_large_is_refused(client: Client) -> None:
    response = await client().post(INFER, content=b" " * (MAX_BODY + 1))
    assert (response.status_code, response.headers["connection"]) == (413, "close")


async def test_metadata_tells_the_shape_to_send(client: Client) -> None:
    answer = (await client(model_name="churn", model_version="3").get("/v2/models/churn")).json()
    assert (answer["name"], answer["versions"]) == ("churn", ["3"])
    assert answer["inputs"] == [{"name": "features", "datatype": "FP64", "shape": [-1, 4]}]


async def test_counters_exist_before_the_first_request_and_count_inference_only(
    client: Client, body: dict[str, Any]
) -> None:
    http = client(error_rate=0.25, seed=3)
    assert await counts(http) == {
        "200": 0,
        "400": 0,
        "500": 0,
        "model_server_requests_in_flight": 0,
        "model_server_request_duration_seconds_count": 0,
        "model_server_request_duration_seconds_sum": 0,
    }
    statuses = [(await http.post(INFER, json=body)).status_code for _ in range(200)]
    after = await counts(http)
    assert {"200": after["200"], "500": after["500"]} == {"200": statuses.count(200), "500": statuses.count(500)}
    assert 30 < after["500"] < 70
    assert after["model_server_request_duration_seconds_count"] == 200
    assert after["model_server_requests_in_flight"] == 0


@pytest.mark.parametrize(
    ("state", "ready", "infer"),
    [
        (State(), 503, 503),
        (State(loaded=True), 200, 200),
        (State(loaded=True, draining=True), 503, 200),
    ],
)
async def test_readiness_follows_loading_and_draining(
    client: Client, body: dict[str, Any], state: State, ready: int, infer: int
) -> None:
    http = client(state)
    assert (await http.get("/v2/health/live")).status_code == 200
    response = await http.get("/v2/health/ready")
    assert (response.status_code, response.json()) == (ready, {"live": True, "ready": ready == 200})
    answer = await http.post(INFER, json=body)
    assert answer.status_code == infer
    assert (answer.headers.get("connection") == "close") == state.draining
