"""Whether a request is answered on the spot or goes through the application, its caller sees the same."""

import json
import socket
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import httpx
import pytest

from tests.contract.model_server.process import Start, starting

AT_ONCE, APPLICATION = "/v2/models/fraud/infer", "/v2/models/fraud/versions/1/infer"
Answers = list[tuple[int, dict[str, str], bytes]]


def request(path: str, content: bytes, *headers: str, method: str = "POST", version: str = "1.1") -> bytes:
    head = [f"{method} {path} HTTP/{version}", "Host: x", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + content


def ask(address: str, *pieces: bytes, answers: int = 1) -> Answers:
    """Send pieces over one connection and read answers; the date is left out, as it may change in between."""
    host, port = address.split(":")
    found: Answers = []
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        file = connection.makefile("rb")
        for _ in range(answers):
            status, headers = int(file.readline().split()[1]), {}
            while line := file.readline().rstrip():
                name, _, value = line.decode().partition(": ")
                headers[name] = value
            assert headers.pop("date")
            found.append((status, headers, file.read(int(headers["content-length"]))))
        if "connection" in found[-1][1]:
            assert file.read() == b""
    return found


def address_of(start: Start) -> str:
    server = start(DRAIN_S="0", MAX_BODY_BYTES="5000")
    address = server.listening()
    server.wait_for("is ready")
    return address


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """Yield the address of a server that tests of connections share."""
    with starting() as start:
        yield address_of(start)


def contents(body: dict[str, Any]) -> list[bytes]:
    tensor = body["inputs"][0]
    many = {**tensor, "shape": [40, 4], "data": tensor["data"] * 20}
    documents = [
        body,
        {**body, "id": 'a "name"'},
        {"inputs": [many]},
        {"inputs": [{**many, "data": [many["data"][at : at + 4] for at in range(0, 160, 4)]}]},
        {"inputs": [{**many, "data": [*many["data"][:-1], None]}]},
        {"inputs": [{**tensor, "shape": [3, 4]}]},
        {"inputs": [{**tensor, "name": "x"}]},
    ]
    return [*(json.dumps(each).encode() for each in documents), b"", b"{", b" " * 5001]


def test_both_ways_give_the_same_answers_and_counts(start: Start, body: dict[str, Any]) -> None:
    served = address_of(start)  # whose counters are those of this test alone
    for content in contents(body):
        header = "X-Request-Id: mine"
        (one,), (other,) = (ask(served, request(path, content, header)) for path in (AT_ONCE, APPLICATION))
        assert one == other
        assert one[1]["x-request-id"] == "mine"
    metrics = httpx.get(f"http://{served}/metrics").text
    for sample in (
        'requests_total{code="200"} 8.0',
        'requests_total{code="400"} 10.0',
        'requests_total{code="413"} 2.0',
        'schema_violations_total{feature="attempts",kind="null"} 2.0',
        'schema_violations_total{feature="",kind="json"} 4.0',
        "request_duration_seconds_count 20.0",
        "prediction_count 168.0",
        "requests_in_flight 0.0",
    ):
        assert f"\nmodel_server_{sample}\n" in metrics


def test_a_caller_that_would_rather_speak_another_protocol_is_not_left_waiting(served: str) -> None:
    headers = ("X-Request-Id: mine", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x")
    (one,), (other,) = (ask(served, request(path, b"{}", *headers)) for path in (AT_ONCE, APPLICATION))
    assert one == other


def test_requests_in_one_piece_are_answered_in_order(served: str, body: dict[str, Any]) -> None:
    content = json.dumps(body).encode()
    live = request("/v2/health/live", b"", method="GET")
    pieces = [request(AT_ONCE, content), live, request(AT_ONCE, b"{"), request(APPLICATION, content), live]
    found = ask(served, b"".join([*pieces, request(AT_ONCE, content)]), answers=6)
    assert [status for status, _, _ in found] == [200, 200, 400, 200, 200, 200]
    assert [b"live" in content for _, _, content in found] == [False, True, False, False, True, False]


@pytest.mark.parametrize("size", [1, 7, 100])
def test_requests_in_many_pieces(served: str, body: dict[str, Any], size: int) -> None:
    sent = request(AT_ONCE, json.dumps(body).encode()) * 3
    found = ask(served, *(sent[at : at + size] for at in range(0, len(sent), size)), answers=3)
    assert [status for status, _, _ in found] == [200] * 3
    assert len({json.dumps(json.loads(content)["outputs"]) for _, _, content in found}) == 1


def test_chunked_bodies_and_questions_before_them(served: str, body: dict[str, Any]) -> None:
    content = json.dumps(body).encode()
    head = f"POST {AT_ONCE} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (content[:50], content[50:])) + b"0\r\n\r\n"
    (found,) = ask(served, head + chunks)
    (plain,) = ask(served, request(AT_ONCE, content, "Expect: 100-continue"))
    assert (found[0], plain[0]) == (200, 200)


@pytest.mark.parametrize(
    ("version", "header"), [("1.0", "X: y"), ("1.0", "Connection: keep-alive"), ("1.1", "Connection: close")]
)
def test_a_connection_that_is_to_end_is_ended(served: str, body: dict[str, Any], version: str, header: str) -> None:
    ((status, headers, _),) = ask(served, request(AT_ONCE, json.dumps(body).encode(), header, version=version))
    assert (status, headers["connection"]) == (200, "close")


def test_what_is_no_http_after_a_request_ends_the_connection(served: str, body: dict[str, Any]) -> None:
    good = request(AT_ONCE, json.dumps(body).encode())
    host, port = served.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(good + b"no HTTP\r\n\r\n")
        first = HTTPResponse(connection)
        first.begin()
        assert (first.status, bool(first.read())) == (200, True)
