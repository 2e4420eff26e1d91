"""Stories over real HTTP: what is asked, what is counted, what is turned away."""

import asyncio
import socket
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from modelrollout.comparer.paths import Paths
from modelrollout.comparer.process import running
from tests.unit.comparer.stage import CANDIDATE, LOCAL, PATIENCE, STABLE, Model, Stage, stage, until


def unused() -> str:
    """Return an address at which nobody listens."""
    with socket.socket() as free:
        free.bind((LOCAL, 0))
        return f"http://{LOCAL}:{free.getsockname()[1]}"


async def test_both_are_asked_what_the_user_asked() -> None:
    async with stage() as s:
        headers = {
            "Authorization": "Bearer x",
            "Content-Type": "application/json",
            "Host": "fraud.example.com-shadow",
            "X-Request-Id": "r-1",
            "Accept-Encoding": "gzip",
            "Connection": "keep-alive, X-Hop",
            "X-Hop": "1",
            "TE": "trailers",
        }
        assert await s.mirror("/v2/models/f%20x/infer?a=1&b=%2F", method="PUT", headers=headers) == 202
        await s.settled()
        for asked in (*s.stable.asked, *s.candidate.asked):
            assert (asked.method, asked.target) == ("PUT", "/v2/models/f%20x/infer?a=1&b=%2F")
            assert asked.body == b'{"x": 1}'
            assert asked.headers["Authorization"] == "Bearer x"
            assert asked.headers["Content-Type"] == "application/json"
            assert asked.headers["Host"] == "fraud.example.com"
            assert asked.headers["X-Request-Id"] == "r-1"
            assert asked.headers["X-Modelrollout-Comparer"] == "1"
            assert asked.headers["Accept-Encoding"] == "identity"
            assert not [name for name in ("X-Hop", "TE", "Connection") if name in asked.headers]
        assert (len(s.stable.asked), len(s.candidate.asked)) == (1, 1)
        assert s.of("pairs_total", agree="true") == 1


async def test_copies_share_a_request_id_that_nobody_gave() -> None:
    async with stage(noise=1.0) as s:
        await s.mirror()
        await s.settled()
        ids = {asked.headers["X-Request-Id"] for asked in (*s.stable.asked, *s.candidate.asked)}
        assert len(s.stable.asked) == 2
        assert len(ids) == 1
        assert len(ids.pop()) == 32


@pytest.mark.parametrize(("method", "data"), [("GET", None), ("POST", b""), ("DELETE", None), ("HEAD", None)])
async def test_requests_without_a_body(method: str, data: bytes | None) -> None:
    async with stage() as s:
        assert await s.mirror(method=method, data=data) == 202
        await s.settled()
        assert [(asked.method, asked.body) for asked in s.candidate.asked] == [(method, b"")]
        assert s.of("pairs_total", agree="true") == 1


async def test_a_body_in_pieces_is_sent_in_one() -> None:
    async def pieces() -> Any:
        yield b"ab"
        yield b"cd"

    async with stage() as s:
        assert await s.mirror(data=pieces()) == 202
        await s.settled()
        assert s.stable.asked[0].body == b"abcd"
        assert s.stable.asked[0].headers["Content-Length"] == "4"


async def test_everything_is_counted_per_revision() -> None:
    async with stage(candidate=Model(0.7)) as s:
        for _ in range(3):
            await s.mirror()
        await s.settled()
        for revision in (STABLE, CANDIDATE):
            assert s.of("requests_total", revision, code="2xx") == 3
            assert s.of("request_duration_seconds_count", revision) == 3
        assert (s.of("pairs_total", agree="true"), s.of("pairs_total", agree="false")) == (0, 3)
        assert s.of("rows_total", agree="false") == 3
        assert s.of("difference_kind_total", kind="value") == 3
        assert s.of("difference_bucket", le="0.1") == 0
        assert s.of("difference_bucket", le="1.0") == 3


async def test_every_series_is_there_before_the_first_request() -> None:
    async with stage() as s:
        before = (await s.page("/metrics"))[1]
        s.candidate.value = 1
        await s.mirror()
        await s.settled()
        after = (await s.page("/metrics"))[1]
        names = [{line.rpartition(" ")[0] for line in text.splitlines()} for text in (before, after)]
        assert names[0] == names[1]


@pytest.mark.parametrize(
    ("stable", "candidate", "counted", "kind"),
    [
        ((0.5, 200), (0.5, 500), {"pairs_total": 1}, "status"),
        ((0.5, 200), (0.5, 404), {"pairs_total": 1}, "status"),
        ((0.5, 400), (0.9, 400), {"pairs_total": 1}, None),
        ((0.5, 503), (0.5, 200), {"unpaired_total": 1}, None),
        ((0.5, 500), (0.5, 500), {"unpaired_total": 1}, None),
    ],
)
async def test_errors(
    stable: tuple[float, int], candidate: tuple[float, int], counted: dict[str, int], kind: str | None
) -> None:
    async with stage(Model(*stable), Model(*candidate)) as s:
        await s.mirror()
        await s.settled()
        assert {name: s.sum(name) for name in counted} == counted
        assert s.of("requests_total", STABLE, code=f"{stable[1] // 100}xx") == 1
        assert s.of("requests_total", CANDIDATE, code=f"{candidate[1] // 100}xx") == 1
        assert s.sum("difference_kind_total") == (1 if kind else 0)
        if kind:
            assert s.of("difference_kind_total", kind=kind) == 1


async def test_a_late_candidate_is_late_and_does_not_disagree() -> None:
    never = asyncio.Event()
    async with stage(candidate=Model(held=never), timeout=0.2) as s:
        assert await s.mirror() == 202
        await s.settled()
        assert s.of("late_total") == 1
        assert s.sum("pairs_total") == 0
        assert s.of("requests_total", code="timeout") == 1
        assert s.of("request_duration_seconds_count") == 1
        assert s.of("request_duration_seconds_sum") > 0.1  # it counts for as long as it was waited for
        assert len(s.candidate.asked) == 1


async def test_a_dead_candidate_makes_no_pairs() -> None:
    async with stage(candidate=Model(url=unused())) as s:
        assert await s.mirror() == 202
        await s.settled()
        assert s.of("unpaired_total", reason="unreachable") == 1
        assert s.of("requests_total", code="unreachable") == 1
        assert s.of("requests_total", STABLE, code="2xx") == 1
        assert s.sum("pairs_total") == 0


async def test_a_dead_stable_says_nothing_of_the_candidate() -> None:
    async with stage(Model(url=unused()), noise=1.0) as s:
        await s.mirror()
        await s.settled()
        assert s.of("unpaired_total", reason="stable") == 1
        assert s.of("requests_total", code="2xx") == 1
        assert s.sum("noise_pairs_total") == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_nothing_is_tried_again(method: str) -> None:
    async def hang_up(request: web.BaseRequest, _: bytes) -> web.StreamResponse:
        if len(s.candidate.asked) > 1 and request.transport is not None:
            request.transport.abort()
        return web.Response()

    async with stage(candidate=Model(respond=hang_up)) as s:
        for _ in range(2):  # the second time the connection is an old one
            await s.mirror(method=method, data=None)
            await s.settled()
        assert len(s.candidate.asked) == 2
        assert s.of("requests_total", code="unreachable") == 1


async def test_redirects_are_answers() -> None:
    async def elsewhere(_: web.BaseRequest, __: bytes) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    async with stage(Model(respond=elsewhere), Model(respond=elsewhere)) as s:
        await s.mirror()
        await s.settled()
        assert len(s.stable.asked) == 1
        assert s.of("requests_total", STABLE, code="3xx") == 1
        assert s.of("pairs_total", agree="true") == 1


@pytest.mark.parametrize("announced", [True, False])
async def test_an_answer_that_is_too_large_makes_no_pair(announced: bool) -> None:
    async def large(request: web.BaseRequest, _: bytes) -> web.StreamResponse:
        if announced:
            return web.Response(body=b"x" * 5000)
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(5):
            await response.write(b"x" * 1000)
        return response

    async with stage(candidate=Model(respond=large), max_answer=4000) as s:
        await s.mirror()
        await s.settled()
        assert s.of("unpaired_total", reason="too_large") == 1
        assert s.of("requests_total", code="2xx") == 1


async def test_large_answers_are_compared_beside_the_taking() -> None:
    values = [k / 3 for k in range(20_000)]
    async with stage(Model(values), Model([*values[:-1], 0.0])) as s:
        await s.mirror()
        await s.settled()
        assert s.of("difference_kind_total", kind="value") == 1


async def test_noise_is_stable_against_itself_for_a_share_of_requests() -> None:
    stable = Model()

    async def counting(_: web.BaseRequest, __: bytes) -> web.StreamResponse:
        return web.json_response({"n": len(stable.asked)})

    stable.respond = counting
    async with stage(stable, noise=0.25) as s:
        for _ in range(40):
            await s.mirror()
            await s.settled()
        assert (len(s.stable.asked), len(s.candidate.asked)) == (50, 40)
        assert s.of("noise_pairs_total", agree="false") == 10
        # Paired requests are counted alone, or both revisions would not have been asked the same.
        assert s.of("requests_total", STABLE, code="2xx") == 40
        assert s.of("pairs_total", agree="false") == 40


async def test_a_flood_is_shed_and_stable_feels_none_of_it() -> None:
    release = asyncio.Event()
    async with stage(Model(held=release), concurrency=2, queue=3, noise=0.2) as s:
        statuses = [await s.mirror() for _ in range(30)]
        assert statuses == [202] * 5 + [503] * 25
        assert s.of("shed_total", reason="queue") == 25
        assert (s.of("in_flight"), s.of("queue_depth")) == (2, 3)
        assert len(s.stable.asked) <= 2
        release.set()
        await s.settled()
        assert s.of("pairs_total", agree="true") == 5
        assert len(s.stable.asked) == 5 + 1
        assert await s.mirror() == 202
        await s.settled()


async def test_memory_is_bounded_whatever_is_sent() -> None:
    release = asyncio.Event()

    async def pieces() -> Any:
        for _ in range(7):
            yield b"x" * 100

    async with stage(Model(held=release), concurrency=1, queue=100, queue_bytes=1000, max_body=500) as s:
        assert await s.mirror(data=b"x" * 501) == 503
        assert s.of("shed_total", reason="too_large") == 1
        assert await s.mirror(data=pieces()) == 503
        assert s.of("shed_total", reason="too_large") == 2
        assert [await s.mirror(data=b"x" * 400) for _ in range(4)] == [202, 202, 503, 503]
        assert s.of("shed_total", reason="bytes") == 2
        assert s.of("held_bytes") == 800
        assert await s.mirror(data=pieces()) == 503
        assert s.of("held_bytes") == 800
        release.set()
        await s.settled()
        assert s.of("pairs_total", agree="true") == 2


async def test_a_request_that_breaks_off_gives_its_room_back() -> None:
    async with stage(concurrency=1, queue=0) as s:
        for _ in range(3):
            _, writer = await asyncio.open_connection(LOCAL, s.comparer.port)
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
            await until(lambda: s.comparer.room.held == 3)
            writer.close()
            await until(lambda: s.comparer.room.held == 0)
        assert s.of("shed_total", reason="broken") == 3
        assert await s.mirror() == 202
        await s.settled()


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async with stage(timeout=0.1) as s:
        reader, writer = await asyncio.open_connection(LOCAL, s.comparer.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        assert b"503" in await reader.readline()
        writer.close()
        assert s.of("shed_total", reason="broken") == 1


async def test_a_client_that_asks_first_may_send() -> None:
    async with stage() as s:
        reader, writer = await asyncio.open_connection(LOCAL, s.comparer.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert b"100" in await reader.readline()
        await reader.readline()
        writer.write(b"abc")
        assert b"202" in await reader.readline()
        writer.close()
        await s.settled()
        assert s.stable.asked[0].body == b"abc"
        assert "Expect" not in s.stable.asked[0].headers


async def test_bytes_that_are_no_text_in_a_header_stop_nothing() -> None:
    async with stage() as s:
        reader, writer = await asyncio.open_connection(LOCAL, s.comparer.port)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nX-Odd: \xff\xfe\r\nX-Name: J\xc3\xb6rg\r\nX-Request-Id: \xff\r\n\r\n"
        )
        assert b"202" in await reader.readline()
        writer.close()
        await s.settled()
        assert s.of("pairs_total", agree="true") == 1
        assert s.stable.asked[0].headers["X-Name"] == "Jörg"
        assert len(s.stable.asked[0].headers["X-Request-Id"]) == 32


@pytest.mark.parametrize("target", [b"/\xff", b"/a#b", b"*", b"http://elsewhere/"])
async def test_targets_that_cannot_be_sent_on(target: bytes) -> None:
    async with stage() as s:
        reader, writer = await asyncio.open_connection(LOCAL, s.comparer.port)
        writer.write(b"OPTIONS " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        status = (await reader.readline()).split()[1]
        writer.close()
        assert status in (b"400", b"503")
        assert s.of("shed_total", reason="unsupported") == s.of("received_total")
        assert s.stable.asked == []


async def test_long_headers_are_sent_on() -> None:
    async with stage() as s:
        assert await s.mirror("/?" + "q" * 20_000, headers={"Cookie": "c" * 20_000}) == 202
        await s.settled()
        assert len(s.stable.asked) == 0
        assert s.of("requests_total", code="4xx") == 1  # these servers take shorter ones only


@pytest.mark.parametrize(
    ("headers", "reason"),
    [({"X-Modelrollout-Comparer": "1"}, "loop"), ({"Connection": "Upgrade", "Upgrade": "websocket"}, "unsupported")],
)
async def test_what_is_not_compared(headers: dict[str, str], reason: str) -> None:
    async with stage() as s:
        assert await s.mirror(method="GET", data=None, headers=headers) == 503
        assert s.of("shed_total", reason=reason) == 1
        assert s.stable.asked == []


async def test_ready_while_it_takes_requests() -> None:
    async with stage() as s:
        assert (await s.page("/readyz"))[0] == 200
        assert (await s.page("/healthz"))[0] == 200
        s.comparer.intake.stopping = True
        assert (await s.page("/readyz"))[0] == 503
        assert (await s.page("/healthz"))[0] == 200
        assert await s.mirror() == 503
        assert s.of("shed_total", reason="stopping") == 1


@pytest.mark.parametrize(("ends", "drain", "pairs"), [(True, PATIENCE, 2), (False, 0.05, 0)])
async def test_the_end(ends: bool, drain: float, pairs: int) -> None:
    release = asyncio.Event()
    async with stage(Model(held=release), concurrency=1, drain=drain) as s:
        for _ in range(2):
            await s.mirror()
        if ends:
            asyncio.get_running_loop().call_soon(release.set)
    assert s.sum("pairs_total") == pairs
    assert s.comparer.work.in_flight == 0
    assert s.comparer.room.held == (0 if ends else 8)


async def test_an_address_that_is_taken() -> None:
    async with stage() as s:
        taken = replace(s.options, port=s.comparer.port)
        with pytest.raises(OSError, match=r"address already in use"):
            async with running(taken):
                pass


def told(found: dict[str, Any], s: Stage) -> dict[str, Any]:
    """Return the only disagreement of a page."""
    assert found["pairs"] == {"agree": 0, "disagree": 1}
    assert (found["stable"], found["candidate"]) == (STABLE, CANDIDATE)
    (one,) = found["disagreements"]
    assert one["requestId"] == s.stable.asked[0].headers["X-Request-Id"]
    return dict(one)


async def test_disagreements_are_told_without_what_was_asked() -> None:
    async with stage(Model({"p": 0.5}), Model({"p": 0.7})) as s:
        await s.mirror("/predict?user=jane", headers={"Authorization": "Bearer abc"})
        await s.settled()
        status, found = await s.page("/disagreements")
        one = told(found, s)
        assert status == 200
        assert (one["method"], one["path"], one["request"]) == ("POST", "/predict", None)
        assert one["difference"] == {
            "kind": "value",
            "where": "$.score.p",
            "largest": pytest.approx(0.2),
            "rows": 1,
            "disagreeingRows": 1,
        }
        assert one["stable"]["body"] == '{"score": {"p": 0.5}}'
        assert one["candidate"]["body"] == '{"score": {"p": 0.7}}'
        assert (one["stable"]["status"], one["stable"]["truncated"]) == (200, False)
        assert "jane" not in str(found)
        assert "abc" not in str(found)


def answering(*values: Any) -> Model:
    """Return a model that answers with each of these in turn."""
    left = list(values)

    async def respond(_: web.BaseRequest, __: bytes) -> web.StreamResponse:
        value = left.pop(0)
        return web.Response(body=value) if isinstance(value, bytes) else web.json_response(value)

    return Model(respond=respond)


async def test_what_is_to_be_redacted_is_never_shown() -> None:
    first, second = (
        {"name": "jane", "score": 1, "why": {"age": "forty"}},
        {"name": "jane", "score": 2, "why": {"age": "fifty"}},
    )
    redact = Paths(["name", "$.why.age"])
    async with stage(
        answering(first, b"jane forty"), answering(second, b"jane fifty"), redact=redact, keep_inputs=True
    ) as s:
        for body in (b'{"name": "jane", "x": 1}', b"name=jane"):
            await s.mirror("/predict?q=1", data=body)
            await s.settled()
        found = (await s.page("/disagreements"))[1]
        text, document = found["disagreements"]
        assert document["stable"]["body"] == '{"name": "[redacted]", "score": 1, "why": {"age": "[redacted]"}}'
        assert document["request"]["body"] == '{"name": "[redacted]", "x": 1}'
        assert document["path"] == "/predict?q=1"
        assert text["stable"]["body"] == text["request"]["body"] == "[redacted: not JSON]"
        assert "jane" not in str(found)
        assert "forty" not in str(found)


async def test_few_disagreements_are_kept_and_the_newest_of_them() -> None:
    async with stage(Model(0), answering(1, 2, 3, 4, 5), samples=3) as s:
        for _ in range(5):
            await s.mirror()
            await s.settled()
        found = (await s.page("/disagreements"))[1]
        assert [one["candidate"]["body"] for one in found["disagreements"]] == ["5", "4", "3"]
        assert found["pairs"]["disagree"] == 5


async def test_kept_disagreements_take_no_more_memory_than_they_may() -> None:
    large = [{"a": "x" * 3000, "n": n} for n in range(4)]
    async with stage(Model(0), answering(*large, {"a": "x" * 70_000}), samples_bytes=10_000, max_answer=100_000) as s:
        for _ in range(4):
            await s.mirror()
            await s.settled()
        assert len(s.comparer.samples) == 2
        assert s.comparer.samples.held <= 10_000
        await s.mirror()
        await s.settled()
        newest = (await s.page("/disagreements"))[1]["disagreements"][0]["candidate"]
        assert (newest["body"], newest["truncated"], newest["bytes"]) == ("", True, 70_009)


async def test_a_long_body_is_cut() -> None:
    async with stage(Model(0), Model("x" * 5000)) as s:
        await s.mirror()
        await s.settled()
        shown = (await s.page("/disagreements"))[1]["disagreements"][0]["candidate"]
        assert len(shown["body"]) == 4096
        assert shown["truncated"]


async def test_no_disagreement_is_kept_where_none_is_wanted() -> None:
    async with stage(Model(0), Model(1), samples=0) as s:
        await s.mirror()
        await s.settled()
        assert (await s.page("/disagreements"))[1]["disagreements"] == []


async def test_text_that_is_none_can_be_shown() -> None:
    async with stage(answering(b'"\\ud800"', b"\xff"), answering(b'"a"', b"b")) as s:
        for _ in range(2):
            await s.mirror()
            await s.settled()
        found = (await s.page("/disagreements"))[1]["disagreements"]
        assert [one["stable"]["body"] for one in found] == ["\ufffd", '"\ud800"']


async def test_an_infinite_difference_spoils_no_sum() -> None:
    async with stage(Model(0), answering(b'{"score": Infinity}', b'{"score": 0.5}')) as s:
        for _ in range(2):
            await s.mirror()
            await s.settled()
        assert s.of("difference_sum") == 0.5
        older = (await s.page("/disagreements"))[1]["disagreements"][1]
        assert older["difference"]["largest"] == "inf"
