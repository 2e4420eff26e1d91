"""The client: queries in bodies, faults in few words, nothing secret, one retry."""

import gzip
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelrollout.adapters.prometheus import transport as module
from modelrollout.adapters.prometheus.access import Access
from modelrollout.adapters.prometheus.client import PrometheusClient, QueryError
from tests.unit.adapters.prometheus.serving import Answer, Fake, Form, matrix, prometheus

SERIES = {"metric": {"code": "200"}, "values": [[30, "1"], [45, "2"]]}


@contextmanager
def asking(
    *answers: Answer, timeout: float = 5.0, access: Access | None = None, url: str | None = None
) -> Iterator[tuple[PrometheusClient, Fake, list[str]]]:
    """Yield a client of a Prometheus that gives these answers, the last one again and again."""
    left = list(answers)

    def respond(form: Form) -> Answer:
        return left.pop(0) if len(left) > 1 else left[0]

    results: list[str] = []
    with prometheus(respond) as fake:
        where = url or fake.url.replace("http://", "http://reader:hunter2@")
        client = PrometheusClient(where, timeout=timeout, access=access, count=results.append, pause=lambda _: None)
        try:
            yield client, fake, results
        finally:
            client.close()


def test_the_query_travels_in_the_body() -> None:
    with asking(matrix(SERIES)) as (client, fake, results):
        assert client.query_range('up{x="y"}', 30, 45, 15) == [SERIES]
    (asked,) = fake.asked
    assert asked.path == "/api/v1/query_range"
    plain = {"query": 'up{x="y"}', "start": "30", "end": "45", "step": "15", "timeout": "5s"}
    assert asked.form == {**plain, "nocache": "1", "latency_offset": "1ms", "partial_response": "false"}
    assert asked.headers["Authorization"].startswith("Basic ")
    assert results == ["success"]


def test_packed_answers_are_unpacked() -> None:
    packed = matrix(SERIES)
    packed.body, packed.headers = gzip.compress(packed.body), {"Content-Encoding": "gzip"}
    with asking(packed) as (client, _, _):
        assert client.query_range("up", 30, 45, 15) == [SERIES]


def test_the_token_is_read_anew_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with asking(matrix(), access=Access(token_file=file)) as (client, fake, _):
        for token in ("one", "two"):
            file.write_text(f"{token}\n")
            client.query_range("up", 30, 45, 15)
    assert [asked.headers["Authorization"] for asked in fake.asked] == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize("first", [503, 500, 429])
def test_a_passing_fault_is_asked_again_once(first: int) -> None:
    with asking(Answer(status=first), matrix(SERIES)) as (client, fake, results):
        assert client.query_range("up", 30, 45, 15) == [SERIES]
    assert len(fake.asked) == 2
    assert results == ["success"]


@pytest.mark.parametrize(
    ("answer", "asked", "result", "text"),
    [
        (Answer(status=503), 2, "failed", "HTTP 503"),
        (
            Answer(json.dumps({"status": "error", "error": "too many samples"}).encode(), 422),
            1,
            "failed",
            "HTTP 422: too many samples",
        ),
        (Answer(b"<html>", 400), 1, "failed", "HTTP 400"),
        (Answer(status=401), 1, "refused", "HTTP 401: credentials are missing or not sufficient"),
        (Answer(status=302, headers={"Location": "/login"}), 1, "failed", "HTTP 302"),
        (Answer(b"<html>Sign in</html>"), 1, "garbage", "its answer is not that of a Prometheus"),
        (Answer(b""), 1, "garbage", "its answer is not that of a Prometheus"),
        (Answer(b"[]"), 1, "garbage", "its answer is not that of a Prometheus"),
        (Answer(b'{"status": "success"}'), 1, "garbage", "its answer is not that of a Prometheus"),
        (Answer(b'{"data": {"result": {}}}'), 1, "garbage", "its answer is not that of a Prometheus"),
        (Answer(b'{"data": {"result": null}}'), 1, "garbage", "its answer is not that of a Prometheus"),
        (Answer(b"[" * 100_000), 1, "garbage", "its answer is not that of a Prometheus"),
        (Answer(b"\xff\xfe"), 1, "garbage", "its answer is not that of a Prometheus"),
        (Answer(b"x", headers={"Content-Encoding": "gzip"}), 1, "garbage", "its answer is not that of a Prometheus"),
        (Answer(b'{"data"', length=1000), 2, "unreachable", "connection broke"),
        (matrix(SERIES, warnings=["store 3 is down"]), 1, "failed", "partial answer: ['store 3 is down']"),
    ],
)
def test_faults_in_few_words(answer: Answer, asked: int, result: str, text: str) -> None:
    with asking(answer) as (client, fake, results), pytest.raises(QueryError) as error:
        client.query_range("up", 30, 45, 15)
    assert str(error.value).startswith(f"Prometheus at 127.0.0.1:{fake.url.rpartition(':')[2]}: {text}")
    assert "hunter2" not in str(error.value)
    assert len(str(error.value)) <= 220
    assert len(fake.asked) == asked
    assert results == [result]


def test_empty_warnings_are_none() -> None:
    with asking(matrix(SERIES, warnings=[])) as (client, _, _):
        assert client.query_range("up", 30, 45, 15) == [SERIES]


def test_nobody_listens() -> None:
    with asking(matrix(), url="http://reader:hunter2@127.0.0.1:1") as (client, _, results):
        with pytest.raises(QueryError, match=r"^Prometheus at 127.0.0.1:1: cannot connect \(connection refused\)$"):
            client.query_range("up", 30, 45, 15)
        assert results == ["unreachable"]


def test_a_name_that_does_not_exist() -> None:
    with asking(matrix(), url="http://reader:hunter2@prometheus.invalid:9090") as (client, _, _):
        with pytest.raises(QueryError) as error:
            client.query_range("up", 30, 45, 15)
        assert "hunter2" not in str(error.value)


def test_an_answer_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1 << 20)
    bomb = Answer(gzip.compress(b" " * (2 << 20)), headers={"Content-Encoding": "gzip"})
    with asking(bomb) as (client, _, _), pytest.raises(QueryError, match="answer is larger than 1 MiB"):
        client.query_range("up", 30, 45, 15)


def test_no_time_left_sends_nothing() -> None:
    with asking(matrix()) as (client, fake, results), pytest.raises(QueryError, match="no time left"):
        client.query_range("up", 30, 45, 15, deadline=0.0)
    assert fake.asked == []
    assert results == ["timeout"]


def test_a_provider_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with asking(matrix(), timeout=0.1, url=where) as (client, _, results):
            with pytest.raises(QueryError, match=r"no answer within 0.1 s$"):
                client.query_range("up", 30, 45, 15)
            assert results == ["timeout"]


def test_a_token_file_that_is_missing(tmp_path: Path) -> None:
    with (
        asking(matrix(), access=Access(token_file=tmp_path / "none")) as (client, _, _),
        pytest.raises(QueryError, match="cannot read the file"),
    ):
        client.query_range("up", 30, 45, 15)


@pytest.mark.parametrize("url", ["", "prometheus:9090", "ftp://x", "http://", "http://:9090"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="must look like"):
        PrometheusClient(url, count=print)
