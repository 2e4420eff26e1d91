"""Golden requests over real HTTP: every pod is asked, every answer is looked at."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrollout.adapters.gates.golden import Compared, read
from modelrollout.api.status import GateState
from tests.unit.adapters.gates.stage import CANDIDATE, LOCAL, Server, Stage, stage

CONFIG = "/api/v1/namespaces/shop/configmaps/golden"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
GATE = {"requests": {"configMap": "golden", "path": "/v2/models/fraud/infer"}}
ANSWER = {"outputs": [{"name": "score", "data": [0.125]}], "id": "x"}
EXPECT = {"json": {"outputs": [{"data": [0.125]}]}}


def requests_of(s: Stage, *requests: dict[str, Any]) -> None:
    s.objects[CONFIG] = {"data": {"requests.json": json.dumps(requests)}}


def pods_of(s: Stage, *pods: Server, **conditions: bool) -> None:
    """Say where pods are; all on one address here, so each is a slice of its own port."""
    s.objects[SLICES] = {
        "items": [
            {
                "ports": [{"name": "http", "port": int(pod.url.rpartition(":")[2])}],
                "endpoints": [
                    {
                        "addresses": [LOCAL],
                        "conditions": conditions,
                        "targetRef": {"kind": "Pod", "name": f"pod-{index}"},
                    }
                ],
            }
            for index, pod in enumerate(pods)
        ]
    }


@contextlib.asynccontextmanager
async def pods(folder: Path, count: int = 1) -> AsyncIterator[tuple[Stage, list[Server]]]:
    async with contextlib.AsyncExitStack() as stack:
        s = await stack.enter_async_context(stage(folder, allow=False))
        servers = [await stack.enter_async_context(Server().serving()) for _ in range(count)]
        for server in servers:
            server.says((200, json.dumps(ANSWER), {"X-Model": "7"}))
        pods_of(s, *servers)
        yield s, servers


async def test_every_pod_is_asked_as_often_as_the_warm_up_says(tmp_path: Path) -> None:
    async with pods(tmp_path, 3) as (s, servers):
        requests_of(s, {"body": {"inputs": []}, "expect": EXPECT}, {"path": "/v2/health/ready?x=1", "method": "GET"})
        await s.open({"requests": {**GATE["requests"], "repeat": 5}})
        found = await s.over()
        assert (found.state, found.message) == (GateState.PASSED, "3 pods answered as expected")
        assert (found.numbers["requests"], found.numbers["failed"]) == (30, 0)
        assert 0 < found.numbers["p50_ms"] <= found.numbers["p95_ms"]
        for server in servers:
            assert [(one.method, one.path) for one in server.asked] == [
                ("POST", "/v2/models/fraud/infer"),
                ("GET", "/v2/health/ready?x=1"),
            ] * 5
            assert server.asked[0].body == b'{"inputs": []}'
            assert server.asked[0].headers["Host"] == f"fraud-{CANDIDATE}.shop.svc"
            assert server.asked[0].headers["Content-Type"] == "application/json"
            assert server.asked[1].body == b""


@pytest.mark.parametrize(
    ("expect", "answer", "said"),
    [
        (EXPECT, (200, '{"outputs": [{"data": [0.5]}]}'), "$.outputs[0].data[0]: expected 0.125, got 0.5"),
        (EXPECT, (500, "boom"), "status: expected 200, got 500"),
        (EXPECT, (200, "boom"), "the answer is no JSON"),
        ({"json": None}, (200, "1"), "$: expected null, got 1"),
        ({**EXPECT, "whole": True}, (200, json.dumps({**ANSWER, "z": 1})), "$.outputs[0].name: not expected"),
        ({"headers": {"x-model": "7"}}, (200, "", {"X-Model": "6"}), 'header x-model: expected "7", got "6"'),
        ({"headers": {"x-model": "7"}}, (200, ""), 'header x-model: expected "7", got null'),
        ({"json": {"a": "y" * 900}}, (200, '{"a": "z"}'), "y" * 190 + '..., got "z"'),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_wrong_answer_is_named(tmp_path: Path, expect: Any, answer: Any, said: str) -> None:
    async with pods(tmp_path, 2) as (s, servers):
        requests_of(s, {"name": "low risk", "body": 1, "expect": expect})
        servers[1].says(answer)
        if "x-model" not in str(expect):
            servers[0].says(answer)
        await s.open(GATE)
        found = await s.over()
        assert found.state is GateState.FAILED
        assert found.message.startswith("request low risk to pod pod-")
        assert said in found.message
        assert found.numbers["failed"] >= 1


async def test_a_pod_that_does_not_answer_in_time_fails(tmp_path: Path) -> None:
    async with pods(tmp_path) as (s, (server,)):
        server.held = asyncio.Event()
        requests_of(s, {"body": 1})
        await s.open({"requests": {**GATE["requests"], "timeout": "1s"}})
        found = await s.over()
        server.held.set()
        assert found.message == "request [0] to pod pod-0: no answer within 1 s"


async def test_a_pod_that_cannot_be_reached_does_not_fail(tmp_path: Path) -> None:
    async with pods(tmp_path) as (s, (server,)):
        requests_of(s, {"body": 1})
        gone = Server()
        async with gone.serving():
            pass
        pods_of(s, gone)
        await s.open(GATE)
        assert "pod pod-0 cannot be reached: no connection; allow" in (await s.error()).message
        pods_of(s, server)
        assert (await s.over()).state is GateState.PASSED


async def test_pods_are_waited_for(tmp_path: Path) -> None:
    async with pods(tmp_path) as (s, (server,)):
        requests_of(s, {"body": 1})
        s.objects[SLICES] = {"items": []}
        await s.open(GATE)
        await s.until(lambda result: result.message == "waits for the candidate's pods to be ready")
        pods_of(s, server, ready=False)
        assert not server.asked
        pods_of(s, server, ready=True)
        assert (await s.over()).state is GateState.PASSED


async def test_pods_that_leave_are_not_asked(tmp_path: Path) -> None:
    async with pods(tmp_path, 2) as (s, servers):
        requests_of(s, {"body": 1})
        s.objects[SLICES]["items"][0]["endpoints"][0]["conditions"] = {"ready": False, "terminating": True}
        await s.open(GATE)
        assert (await s.over()).message == "1 pod answered as expected"
        assert [len(server.asked) for server in servers] == [0, 1]


async def test_what_a_person_has_to_mend_is_an_error(tmp_path: Path) -> None:
    async with pods(tmp_path) as (s, _):
        await s.open(GATE)
        where = "spec.strategy.steps[1].gate.requests.configMap: ConfigMap shop/golden, key requests.json: "
        assert where + "does not exist; create it" in (await s.error()).message
        s.objects[CONFIG] = {"data": {"a": "[]"}}
        await s.until(lambda result: "has no key requests.json; add it" in result.message)
        requests_of(s)
        await s.until(lambda result: "holds 0 requests" in result.message)
        requests_of(s, {"body": 1, "expect": {"json": ANSWER}})
        assert (await s.over()).state is GateState.PASSED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ("{}", "the whole: Input should be a valid list"),
        ('[{"bdy": 1}]', "[0].bdy: Extra inputs are not permitted"),
        ('[{}, {"expect": {"status": "200"}}]', "[1].expect.status: Input should be a valid integer"),
        ('[{"method": "get it"}]', "[0].method"),
        ('[{"path": "v2"}]', "[0].path"),
        ('[{"path": "/a#b"}]', "[0].path"),
        ('[{"headers": {"a b": "c"}}]', "'a b' is no name of a header"),
        ("[" * 100_000, "is no JSON"),
    ],
    ids=lambda text: text[:30],
)
def test_faults_of_requests_are_named(text: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the text is what this is about
        read(text, "/x")
    assert said in str(refused.value)


def test_a_request_needs_a_path() -> None:
    with pytest.raises(ValueError, match="has no path"):
        read('[{"path": "/a"}, {}]', None)
    assert [one.path for one in read('[{"path": "/a"}, {}]', "/b")] == ["/a", "/b"]


@pytest.mark.parametrize(
    ("expected", "got", "differs"),
    [
        (1, 1.0, False),
        (1, 1.0000001, False),
        (1, 1.1, True),
        (1, True, True),
        (0, False, True),
        (1, "1", True),
        (None, 0, True),
        ([1, 2], [1, 2, 3], True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1}, {}, True),
        ({"a": None}, {}, True),
        (float("nan"), float("nan"), False),
        (float("nan"), 1, True),
        (float("inf"), float("inf"), False),
        (float("inf"), 1e308, True),
        ([], {}, True),
    ],
    ids=str,
)
def test_comparison(expected: Any, got: Any, differs: bool) -> None:
    assert (Compared(1e-6, whole=False).difference(expected, got) is not None) is differs


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_a_value_agrees_with_itself(value: Any) -> None:
    assert Compared(0.0, whole=True).difference(value, value) is None


@given(JSON, JSON)
def test_whole_finds_what_a_part_finds(one: Any, other: Any) -> None:
    if Compared(0.0, whole=False).difference(one, other) is not None:
        assert Compared(0.0, whole=True).difference(one, other) is not None
