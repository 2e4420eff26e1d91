"""The server as a process: how it starts, crashes and ends."""

import http.client as http_client
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.model_server.process import SOURCE, Start

INFER = "/v2/models/fraud/infer"


def in_flight(address: str) -> bool:
    return "\nmodel_server_requests_in_flight 1.0\n" in httpx.get(f"http://{address}/metrics").text


def test_sigterm_drains_and_new_connections_are_still_served(start: Start, body: dict[str, Any]) -> None:
    server = start(DRAIN_S="3600")
    address = server.listening()
    server.wait_for("is ready")
    assert httpx.get(f"http://{address}/v2/health/ready").status_code == 200

    server.popen.send_signal(signal.SIGTERM)
    server.wait_for("draining")
    assert httpx.get(f"http://{address}/v2/health/ready").status_code == 503
    answer = httpx.post(f"http://{address}{INFER}", json=body)
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")

    server.popen.send_signal(signal.SIGTERM)
    assert server.end() == 0


def test_the_drain_ends_by_itself(start: Start) -> None:
    server = start(DRAIN_S="0.05")
    server.wait_for("is ready")
    server.popen.send_signal(signal.SIGTERM)
    server.wait_for("stopping")
    assert server.end() == 0


def test_a_request_in_flight_is_finished(start: Start, body: dict[str, Any]) -> None:
    server = start(DRAIN_S="0")
    address = server.listening()
    server.wait_for("is ready")
    content = json.dumps(body).encode()
    connection = http_client.HTTPConnection(address)
    connection.putrequest("POST", INFER)
    connection.putheader("Content-Length", str(len(content)))
    connection.endheaders(content[:10])
    while not in_flight(address):
        pass

    server.popen.send_signal(signal.SIGTERM)
    server.wait_for("stopping")
    connection.send(content[10:])
    response = connection.getresponse()
    assert (response.status, len(json.load(response)["outputs"][0]["data"])) == (200, 2)
    connection.close()
    assert server.end() == 0


def test_a_model_that_is_loading_is_live_but_not_ready(start: Start, body: dict[str, Any]) -> None:
    server = start(START_DELAY_S="3600", DRAIN_S="0")
    address = server.listening()
    assert httpx.get(f"http://{address}/v2/health/live").status_code == 200
    assert httpx.get(f"http://{address}/v2/health/ready").status_code == 503
    assert httpx.post(f"http://{address}{INFER}", json=body).status_code == 503
    server.popen.send_signal(signal.SIGTERM)
    assert server.end() == 0


@pytest.mark.parametrize(
    ("environ", "said", "code"),
    [
        ({"CRASH_AFTER_S": "0"}, "crashing 0 s after the start", 1),
        ({"CRASH_AFTER_S": "0.05"}, "crashing 0.05 s after the start", 1),
        ({"ERROR_RATE": "2"}, "ERROR_RATE='2': use a fraction from 0 to 1", 2),
        ({"PORT": "99999"}, "PORT='99999': use a port", 2),
        ({"DEFECT": "none"}, "DEFECT='none': use one of swapped-columns", 2),
        ({"MODEL_URI": "/nowhere"}, "the model cannot be served: /nowhere: No such file", 3),
        ({"SLICE_FEATURE": "x"}, "SLICE_FEATURE='x': no feature; there are amount", 3),
        ({"MODEL_SHA256": "0" * 64, "MODEL_URI": str(SOURCE / "model_server" / "data")}, "its SHA-256 is", 3),
    ],
)
def test_it_ends_with_a_code_and_a_reason(start: Start, environ: dict[str, str], said: str, code: int) -> None:
    server = start(**environ)
    server.wait_for(re.escape(said))
    assert server.end() == code
    assert not any("Traceback" in line for line in server.seen)


def test_a_port_in_use_is_one_line(start: Start) -> None:
    port = start().listening().split(":")[1]
    second = start(PORT=port)
    second.wait_for(f"PORT={port}: cannot listen there")
    assert second.end() == 2


def test_the_log_is_written_before_the_end(start: Start, body: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    server = start(PREDICTION_LOG=str(path), PREDICTION_LOG_SAMPLE="1", DRAIN_S="0")
    address = server.listening()
    server.wait_for("is ready")
    httpx.post(f"http://{address}{INFER}", json=body, headers={"X-Request-Id": "mine"})
    server.popen.send_signal(signal.SIGTERM)
    assert server.end() == 0
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["mine", "mine"]


def test_no_library_of_an_extra_is_imported_without_need() -> None:
    heavy = ("xgboost", "lightgbm", "onnxruntime", "grpc", "google.protobuf", "pyarrow", "scipy")
    code = f"import sys, model_server.__main__; print([name for name in {heavy} if name in sys.modules])"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_label_finds_the_pod_that_made_its_prediction(start: Start, body: dict[str, Any]) -> None:
    maker = start(DRAIN_S="0")
    made_by = maker.listening()
    maker.wait_for("is ready")
    other = start(DRAIN_S="0", FEEDBACK_PEERS=made_by)
    address = other.listening()
    other.wait_for("is ready")
    httpx.post(f"http://{made_by}{INFER}", json=body, headers={"X-Request-Id": "mine"})
    labels = [{"id": "mine", "label": 1}, {"id": "mine", "label": 1}, {"id": "nobody's", "label": 1}]
    answer = httpx.post(f"http://{address}/feedback", json=labels)
    assert answer.json() == {"joined": 1, "unknown": 1, "late": 0, "double": 1, "invalid": 0}
    counted = {
        name: httpx.get(f"http://{where}/metrics").text for name, where in (("maker", made_by), ("other", address))
    }
    assert 'model_server_feedback_total{result="joined"} 1.0' in counted["maker"]
    assert 'model_server_feedback_total{result="unknown"} 0.0' in counted["maker"]
    assert 'model_server_feedback_total{result="unknown"} 1.0' in counted["other"]


def test_a_peer_that_is_gone_knew_no_label(start: Start) -> None:
    gone = start(DRAIN_S="0")
    address = gone.listening()
    gone.wait_for("is ready")
    gone.popen.send_signal(signal.SIGTERM)
    assert gone.end() == 0
    server = start(FEEDBACK_PEERS=address)
    here = server.listening()
    server.wait_for("is ready")
    answer = httpx.post(f"http://{here}/feedback", json={"id": "x", "label": 1})
    assert answer.json()["unknown"] == 1


def test_answers_of_every_form_arrive_whole(start: Start, body: dict[str, Any]) -> None:
    server = start(DRAIN_S="0")
    address = server.listening()
    server.wait_for("is ready")
    with httpx.Client(base_url=f"http://{address}") as http:
        for _ in range(3):  # on one connection
            assert http.head("/v2").headers["content-length"] == str(len(http.get("/v2").content))
            assert http.post(INFER, json=body, headers={"Expect": "100-continue"}).status_code == 200
            assert http.post(INFER, content=b"x" * (1 << 20)).status_code == 400
            assert http.post(INFER, content=b"x" * (2 << 20)).status_code == 413
        assert http.get("/metrics").text.endswith("\n")
    connection = http_client.HTTPConnection(address)
    connection.putrequest("POST", INFER)
    connection.putheader("Content-Length", "abc")
    connection.endheaders()
    assert connection.getresponse().status == 400
    connection.close()
