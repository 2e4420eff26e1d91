"""Every form of a request that the protocol allows, and a clear answer to every other."""

import json
import math
import struct
from array import array
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_server.app import App
from model_server.codec import Reader
from model_server.engine import State
from model_server.metadata import Feature, Metadata
from model_server.model import Model, built_in
from model_server.protocol import BadRequestError
from model_server.settings import Settings
from tests.unit.model_server.conftest import Client

INFER = "/v2/models/fraud/infer"
ROW = [950.0, 3.0, 5.0, 4.0]


class Echo:
    """Answers with a row's first value."""

    typecode, outputs = "d", 1

    def predict(self, values: "array[float]", rows: int) -> list[float]:
        width = len(values) // rows
        return [0.0 if math.isnan(value) else value for value in values[::width]]


def shop(**changes: Any) -> Model:
    features = (
        Feature(name="country", kind="category", categories=("de", "fr"), missing=True),
        Feature(name="amount", missing=True),
        Feature(name="age"),
        Feature(name="plan", kind="category", categories=("a", "b")),
    )
    return Model(Metadata(format="trees", file="x", features=features, name="shop", **changes), Echo(), "0" * 64)


def column(name: str, data: list[Any], datatype: str = "FP64", **more: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": datatype, "data": data, **more}


GOOD = [
    column("country", ["fr", "de"], "BYTES"),
    column("amount", [1, None]),
    column("age", [30, 40], "INT32"),
    column("plan", [0, 1], "UINT8"),
]


def read(document: dict[str, Any], blob: bytes = b"") -> Any:
    head = json.dumps(document).encode()
    return Reader(shop()).read(head + blob, len(head) if blob else None)


def test_a_tensor_for_each_feature_in_any_order() -> None:
    request = read({"inputs": GOOD[::-1], "id": "7"})
    assert (request.rows, request.id) == (2, "7")
    values = list(request.values)
    assert values[:4] == [1.0, 1.0, 30.0, 0.0]
    assert values[4] == 0.0
    assert math.isnan(values[5])
    assert values[6:] == [40.0, 1.0]


def test_a_feature_that_may_be_missing_may_be_left_out_and_an_unseen_category_is_missing_and_told() -> None:
    request = read({"inputs": [column("country", ["it", "de"], "BYTES"), *GOOD[2:]]})
    assert [math.isnan(value) for value in request.values] == [True, True, False, False, False, True, False, False]
    assert request.violations == (("country", "category"),)


def without(name: str) -> list[dict[str, Any]]:
    return [each for each in GOOD if each["name"] != name]


@pytest.mark.parametrize(
    ("inputs", "feature", "kind", "said"),
    [
        (without("age"), "age", "missing", "the feature 'age' is missing"),
        (
            [*without("age"), column("age", [1, None])],
            "age",
            "null",
            "feature 'age' must hold finite numbers, got null",
        ),
        (
            [*without("age"), column("age", [1, "x"])],
            "age",
            "type",
            "feature 'age' must hold finite numbers, got \"x\"",
        ),
        ([*without("plan"), column("plan", ["a", "z"], "BYTES")], "plan", "category", 'categories (a, b), got "z"'),
        ([*without("plan"), column("plan", [0, 2])], "plan", "category", "categories (a, b), got 2"),
        ([*GOOD, column("more", [1, 2])], "", "unknown", 'inputs[4].name "more" is no feature of this model'),
        ([*GOOD, GOOD[0]], "", "shape", "inputs[4].name 'country' is given twice"),
        ([*without("age"), column("age", [1, 2], "FP8")], "", "datatype", "inputs[3].datatype must be a number type"),
        ([*without("age"), column("age", [1])], "", "shape", "inputs[3].shape has 1 rows, the tensors before it 2"),
        ([column("age", [1, 2], shape=[2, 2])], "", "shape", "inputs[0].shape must be [rows] or [rows, 1]"),
        ([column("age", [1, 2], shape=[3])], "", "shape", "inputs[0].data must hold 3 numbers"),
    ],
)
def test_what_does_not_fit_the_declared_inputs_is_told_by_feature_and_kind(
    inputs: list[dict[str, Any]], feature: str, kind: str, said: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        read({"inputs": inputs})
    assert (caught.value.feature, caught.value.kind) == (feature, kind)
    assert said in str(caught.value)


async def test_violations_are_counted(client: Client) -> None:
    http = client()
    for data in ([1, 2, 3, None], [1, 2, "3", 4], [1, 2, 3]):
        tensor = {"name": "features", "shape": [1, 4], "datatype": "FP64", "data": data}
        assert (await http.post(INFER, json={"inputs": [tensor]})).status_code == 400
    text = (await http.get("/metrics")).text
    assert 'model_server_schema_violations_total{feature="attempts",kind="null"} 1.0' in text
    assert 'model_server_schema_violations_total{feature="account_age_days",kind="type"} 1.0' in text
    assert 'model_server_schema_violations_total{feature="",kind="shape"} 1.0' in text
    assert 'model_server_schema_violations_total{feature="amount",kind="missing"} 0.0' in text
    assert 'model_server_errors_total{kind="schema"} 3.0' in text


@pytest.mark.parametrize(("datatype", "form"), [("FP64", "<4d"), ("FP32", "<4f"), ("INT64", "<4q"), ("INT16", "<4h")])
async def test_binary_tensors_in_and_out(client: Client, datatype: str, form: str) -> None:
    http = client()
    plain = {"name": "features", "shape": [1, 4], "datatype": "FP64", "data": ROW}
    wanted = (await http.post(INFER, json={"inputs": [plain]})).json()["outputs"][0]["data"]
    blob = struct.pack(form, *[value if "d" in form or "f" in form else int(value) for value in ROW])
    tensor = {"name": "features", "shape": [1, 4], "datatype": datatype, "parameters": {"binary_data_size": len(blob)}}
    document = {"inputs": [tensor], "outputs": [{"name": "probability", "parameters": {"binary_data": True}}]}
    head = json.dumps(document).encode()
    response = await http.post(INFER, content=head + blob, headers={"Inference-Header-Content-Length": str(len(head))})
    assert response.status_code == 200, response.text
    size = int(response.headers["inference-header-content-length"])
    output = json.loads(response.content[:size])["outputs"][0]
    assert output["parameters"] == {"binary_data_size": 8}
    assert list(struct.unpack("<d", response.content[size:])) == wanted
    assert response.headers["content-type"] == "application/octet-stream"


def test_binary_strings() -> None:
    blob = b"\x02\0\0\0fr\x02\0\0\0de" + struct.pack("<2d", 1, float("nan"))
    inputs = [
        {"name": "country", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 12}},
        {"name": "amount", "shape": [2], "datatype": "FP64", "parameters": {"binary_data_size": 16}},
        *GOOD[2:],
    ]
    request = read({"inputs": inputs}, blob)
    assert [request.values[0], request.values[4]] == [1.0, 0.0]
    assert math.isnan(request.values[5])


@pytest.mark.parametrize(
    ("size", "header", "said"),
    [
        (33, None, "binary_data_size must fit into the 32 bytes"),
        (31, None, "31 bytes are no whole number of FP64"),
        (24, None, "8 bytes after the JSON belong to no tensor"),
        ("x", None, "binary_data_size must fit"),
        (32, "1e9", "must be a whole number"),
        (32, "-1", "must be 0 to"),
        (32, "99999", "must be 0 to"),
        (32, "3", "the body is not JSON"),
    ],
)
async def test_binary_tensors_that_do_not_fit(client: Client, size: Any, header: str | None, said: str) -> None:
    tensor = {"name": "features", "shape": [1, 4], "datatype": "FP64", "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": header or str(len(head))}
    response = await client().post(INFER, content=head + struct.pack("<4d", *ROW), headers=headers)
    assert response.status_code == 400
    assert said in response.json()["error"]


async def test_both_path_forms_and_all_endpoints(client: Client, body: dict[str, Any]) -> None:
    http = client(model_version="3")
    assert (await http.get("/v2")).json() == (await http.get("/v2/")).json()
    assert (await http.get("/v2")).json()["name"] == "model-server"
    for base in ("/v2/models/fraud", "/v2/models/fraud/versions/3"):
        assert (await http.get(base)).json()["versions"] == ["3"]
        assert (await http.get(f"{base}/ready")).json() == {"name": "fraud", "ready": True}
        assert (await http.post(f"{base}/infer", json=body)).status_code == 200
    for base in ("/v2/models/fraud/versions/4", "/v2/models/other", "/v2/models/other/versions/3"):
        for path in ("", "/ready"):
            assert (await http.get(base + path)).status_code == 404
        assert (await http.post(f"{base}/infer", json=body)).status_code == 404


async def test_outputs_that_do_not_exist_are_refused(client: Client, body: dict[str, Any]) -> None:
    http = client()
    assert (await http.post(INFER, json=body | {"outputs": [{"name": "probability"}]})).status_code == 200
    answer = await http.post(INFER, json=body | {"outputs": [{"name": "x"}]})
    assert answer.json() == {"error": "outputs: the model's one output is 'probability', got \"x\""}
    assert (await http.post(INFER, json=body | {"outputs": 3})).status_code == 400
    assert (await http.post(INFER, json=body | {"parameters": {"x": 1}})).status_code == 200
    assert (await http.post(INFER, json=body | {"parameters": [1]})).status_code == 400


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
TENSORS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["features", "amount", "hour", "x"]) | VALUES,
        "shape": st.lists(st.integers(-2, 5), max_size=3) | VALUES,
        "datatype": st.sampled_from(["FP64", "FP32", "INT8", "BOOL", "BYTES", "FP16"]) | VALUES,
        "data": st.lists(VALUES | st.lists(VALUES, max_size=4), max_size=8) | VALUES,
        "parameters": st.dictionaries(st.sampled_from(["binary_data_size"]), VALUES) | VALUES,
    },
)
DOCUMENTS = st.fixed_dictionaries(
    {"inputs": st.lists(TENSORS, max_size=3) | VALUES},
    optional={"id": VALUES, "outputs": st.lists(TENSORS, max_size=2) | VALUES, "parameters": VALUES},
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(document=DOCUMENTS, blob=st.binary(max_size=40), length=st.none() | st.integers(-5, 300))
async def test_no_request_is_the_servers_fault(document: dict[str, Any], blob: bytes, length: int | None) -> None:
    app = App(Settings(), built_in(), State(loaded=True))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as http:
        headers = {} if length is None else {"Inference-Header-Content-Length": str(length)}
        response = await http.post(INFER, content=json.dumps(document).encode() + blob, headers=headers)
    assert response.status_code in (200, 400)
    if response.status_code == 400:
        assert response.json()["error"]
