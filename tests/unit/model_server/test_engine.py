"""Limits, deadline, fallback, defects and the prediction log."""

import asyncio
import json
from array import array
from pathlib import Path
from typing import Any

import httpx
import pytest

from model_server.app import App
from model_server.engine import Engine, State
from model_server.faults import Defective
from model_server.metadata import Feature, Metadata, ModelError
from model_server.model import Model, built_in
from model_server.protocol import InferRequest
from model_server.settings import DEFECTS, Settings
from model_server.signals import Signals
from tests.unit.model_server.conftest import Client
from tests.unit.model_server.test_signals import scraped

INFER = "/v2/models/fraud/infer"


class Broken:
    typecode, outputs = "d", 1

    def __init__(self, answer: float | None) -> None:
        self.answer = answer

    def predict(self, values: "array[float]", rows: int) -> list[float]:
        assert values
        if self.answer is None:
            raise RuntimeError("secret of the model")
        return [self.answer] * rows


def broken(answer: float | None = None) -> Model:
    return Model(built_in().metadata, Broken(answer), "0" * 64)


@pytest.fixture
async def serve() -> Any:
    clients: list[httpx.AsyncClient] = []

    def start(model: Model, previous: Model | None = None, **settings: Any) -> httpx.AsyncClient:
        app = App(Settings(**settings), model, State(loaded=True), previous)
        clients.append(httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server"))
        return clients[-1]

    yield start
    for each in clients:
        await each.aclose()


@pytest.mark.parametrize(
    ("model", "settings", "status", "kind"),
    [
        (broken(), {}, 500, "model"),
        (broken(float("nan")), {}, 500, "output"),
        (built_in(), {"error_rate": 1.0}, 500, "injected"),
        (built_in(), {"deadline": 0.0}, 504, "deadline"),
        (built_in(), {"deadline": 1.0, "latency": 3_600_000.0}, 504, "deadline"),
    ],
)
async def test_failures_are_told_and_counted_and_a_fallback_answers_in_their_place(
    serve: Any, body: dict[str, Any], model: Model, settings: dict[str, Any], status: int, kind: str
) -> None:
    http = serve(model, **settings)
    answer = await http.post(INFER, json=body)
    assert answer.status_code == status
    assert "secret" not in answer.text
    assert (await scraped(http, "model_server_errors_total"))[kind,] == 1

    constant = serve(model, fallback_value=0.25, **settings)
    answer = await constant.post(INFER, json=body)
    assert (answer.status_code, answer.headers["x-model-fallback"]) == (200, "constant")
    assert answer.json()["outputs"][0]["data"] == [0.25, 0.25]
    assert answer.json()["parameters"] == {"fallback": "constant"}
    assert (await scraped(constant, "model_server_fallback_total"))[kind,] == 1
    assert (await scraped(constant, "model_server_prediction_count"))[()] == 0

    previous = serve(model, built_in(), **settings)
    answer = await previous.post(INFER, json=body)
    assert (answer.status_code, answer.headers["x-model-fallback"]) == (200, "previous")
    assert answer.json()["outputs"][0]["data"][0] > 0.8


async def test_a_fallback_that_fails_too_leaves_the_first_error(serve: Any, body: dict[str, Any]) -> None:
    answer = await serve(broken(), broken()).post(INFER, json=body)
    assert (answer.status_code, answer.json()) == (500, {"error": "inference failed"})


def test_a_previous_model_of_another_shape_is_refused() -> None:
    other = Model(Metadata(format="trees", file="x", features=(Feature(name="x"),)), Broken(0.0), "0" * 64)
    with pytest.raises(ModelError, match="takes other features"):
        Engine(Settings(), built_in(), Signals(), other)


async def test_above_the_limit_requests_are_refused_at_once(client: Client, body: dict[str, Any]) -> None:
    http = client(max_in_flight=2, latency=1.0)
    answers = await asyncio.gather(*(http.post(INFER, json=body) for _ in range(8)))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} == {200, 503}
    assert refused[0].headers["retry-after"] == "1"
    assert (await scraped(http, "model_server_errors_total"))["limit",] == len(refused)
    assert (await http.post(INFER, json=body)).status_code == 200


async def test_a_body_above_its_limit(client: Client, body: dict[str, Any]) -> None:
    http = client(max_body=100)
    assert (await http.post(INFER, json=body)).status_code == 413
    assert (await http.post("/feedback", content=b" " * 101)).status_code == 413


@pytest.mark.parametrize("defect", DEFECTS)
async def test_each_defect_changes_what_it_says_and_not_the_rows(defect: str) -> None:
    model = built_in()
    rows = array("d", [950, 3, 5, 4, 20, 12, 900, 1])
    copy = array("d", rows)
    plain = model.evaluator.predict(rows, 2)
    found = Defective(model.evaluator, model.metadata, defect).predict(rows, 2)
    assert rows == copy
    if defect == "swapped-columns":
        assert found == model.evaluator.predict(array("d", [3, 950, 5, 4, 12, 20, 900, 1]), 2)
    elif defect == "label-shift":
        assert found == [each + (1 - each) / 3 for each in plain]
    elif defect == "worse-slice":
        assert found == [plain[0], plain[1]]
        high = array("d", [950, 3, 5, 6])
        turned = Defective(model.evaluator, model.metadata, defect).predict(high, 1)
        assert turned == [1 - model.evaluator.predict(high, 1)[0]]
    else:
        assert found == plain


def test_the_log_is_sampled_redacted_and_capped(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    settings = Settings(
        log_path=str(path), log_sample=0.5, log_redact=("amount",), log_max_bytes=40_000, seed=1, model_version="7"
    )
    engine = Engine(settings, built_in(), Signals())
    assert engine.log
    for number in range(2000):
        engine.infer(InferRequest(array("d", [1, 2, 3, 4]), 1), f"r{number}", 0.0)
    engine.log.flush()
    old = path.with_name("log.jsonl.1")
    assert path.stat().st_size + old.stat().st_size <= 40_000
    line = json.loads(path.read_text().splitlines()[-1])
    assert line["features"] == {"hour": 2.0, "account_age_days": 3.0, "attempts": 4.0}
    assert (line["version"], line["fallback"], line["row"], len(line["prediction"])) == ("7", "", 0, 1)
    logged = [json.loads(each)["id"] for file in (old, path) for each in file.read_text().splitlines()]
    assert len(set(logged)) == len(logged)


def test_a_log_that_cannot_be_written_costs_no_request(tmp_path: Path) -> None:
    engine = Engine(Settings(log_path=str(tmp_path / "no" / "log"), log_sample=1.0), built_in(), Signals())
    assert engine.log
    for number in range(600):
        engine.infer(InferRequest(array("d", [1, 2, 3, 4]), 1), f"r{number}", 0.0)
    engine.log.flush()


def test_a_log_as_parquet_is_a_file_for_each_batch_and_capped(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    settings = Settings(log_path=str(tmp_path / "log.parquet"), log_sample=1.0, log_redact=("hour",))
    engine = Engine(settings, built_in(), Signals())
    assert engine.log
    engine.infer(InferRequest(array("d", [1, 2, 3, 4, 5, 6, 7, float("nan")]), 2), "r", 0.0)
    engine.log.flush()
    assert not list(tmp_path.iterdir())
    engine.log.flush(final=True)
    (file,) = tmp_path.iterdir()
    first, second = parquet.read_table(file).to_pylist()
    assert first["features"] == {"amount": 1.0, "account_age_days": 3.0, "attempts": 4.0}
    assert (second["id"], second["row"], second["features"]["attempts"]) == ("r", 1, None)

    small = Engine(
        Settings(log_path=str(tmp_path / "log.parquet"), log_sample=1.0, log_max_bytes=9000), built_in(), Signals()
    )
    assert small.log
    for number in range(5):
        small.infer(InferRequest(array("d", [1, 2, 3, 4]), 1), f"r{number}", 0.0)
        small.log.flush(final=True)
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) <= 9000
