"""Stories over real HTTP: what a hook is asked, and what comes of its answer."""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from modelrollout.adapters.gates.addresses import Allowed, NotAllowed, inner
from modelrollout.adapters.gates.case import Case, Look, Pace
from modelrollout.adapters.gates.webhook import WebhookCheck
from modelrollout.api.status import GateState
from modelrollout.ports import TerminalError
from tests.unit.adapters.gates.stage import CANDIDATE, KEY, STABLE, Stage, opening, rollout, stage, until

SECRET = "/api/v1/namespaces/shop/secrets/hook"


def gate(s: Stage, path: str = "/check", **more: Any) -> dict[str, Any]:
    return {"name": "shadow-it", "webhook": {"url": s.hook.url + path, **more}}


async def test_what_a_hook_is_asked(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.open(gate(s, "/check?team=risk"), type="BlueGreen")
        assert (await s.over()).state is GateState.PASSED
        (asked,) = s.hook.asked
        ident = f"0c1d-{CANDIDATE}-3-1"
        assert (asked.method, asked.path) == ("POST", "/check?team=risk")
        assert asked.headers["Idempotency-Key"] == ident
        assert asked.headers["Content-Type"] == "application/json"
        assert "X-Modelrollout-Signature" not in asked.headers
        assert json.loads(asked.body) == {
            "id": ident,
            "gate": "shadow-it",
            "rollout": "fraud",
            "namespace": "shop",
            "stable": STABLE,
            "candidate": CANDIDATE,
            "images": {"stable": ["fraud:6"], "candidate": ["fraud:7"]},
            "step": 1,
            "attempt": 3,
            "urls": {
                "stable": f"http://fraud-{STABLE}.shop.svc",
                "candidate": f"http://fraud-{CANDIDATE}.shop.svc",
                "preview": "http://fraud-preview.shop.svc",
            },
        }


@pytest.mark.parametrize(
    ("answer", "state", "message"),
    [
        (200, GateState.PASSED, ""),
        (204, GateState.PASSED, ""),
        ((200, '{"verdict": "Pass", "message": "fine\\nthen"}'), GateState.PASSED, "fine then"),
        ((200, '{"verdict": "Fail", "message": "AUC fell"}'), GateState.FAILED, "AUC fell"),
        ((200, '{"verdict": "Fail"}'), GateState.FAILED, "the hook says Fail"),
        ((422, '{"verdict": "Fail"}'), GateState.FAILED, "HTTP 422: the hook says Fail"),
        ((409, '{"verdict": "Fail", "message": "frozen"}'), GateState.FAILED, "HTTP 409: frozen"),
        ((404, '{"verdict": "fail", "message": "no such model"}'), GateState.FAILED, "HTTP 404: no such model"),
    ],
    ids=str,
)
async def test_verdicts(tmp_path: Path, answer: Any, state: GateState, message: str) -> None:
    async with stage(tmp_path) as s:
        s.hook.says(answer)
        await s.open(gate(s))
        found = await s.over()
        assert (found.state, found.message) == (state, message)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, "<html>Log in</html>"), 'answer with {"verdict": "Pass"}, or an empty body (HTTP 200)'),
        ((200, '{"ok": true}'), "something that is no verdict"),
        ((302, "", {"Location": "/elsewhere"}), "name the URL that it leads to (HTTP 302)"),
        (503, "the hook: HTTP 503, after 1 try"),
        ((200, "x" * 100_000), "answer is larger than 65536 bytes"),
        (404, "webhook.url: the hook knows nothing at this URL; correct it (HTTP 404)"),
        ((404, "<h1>Not found</h1>"), "correct it (HTTP 404: <h1>Not found</h1>)"),
        (410, "the hook knows nothing at this URL"),
        (405, "the hook takes no POST at this URL"),
        (401, "the hook does not let the operator in; let it, or sign the body (secret) (HTTP 401)"),
        (403, "the hook does not let the operator in"),
        (407, "the hook is behind a proxy that wants a credential"),
        (421, "the hook: HTTP 421, after 1 try"),
        (429, "the hook: HTTP 429, after 1 try"),
        ((422, "field required: team"), 'answer with {"verdict": "Fail"} (HTTP 422: field required: team)'),
        ((400, "x" * 5000), "(HTTP 400: " + "x" * 117 + "...)"),
        ((409, '{"verdict": "Pass"}'), 'where the model is not to go on, answer with {"verdict": "Fail"} (HTTP 409'),
        ((503, '{"verdict": "Fail"}'), "the hook: HTTP 503, after 1 try"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_no_verdict_is_no_fail(tmp_path: Path, answer: Any, said: str) -> None:
    async with stage(tmp_path) as s:
        s.hook.says(answer)
        await s.open(gate(s, retries=0))
        assert said in (await s.error()).message
        s.hook.says(200)
        assert (await s.over()).state is GateState.PASSED
        assert {asked.path for asked in s.hook.asked} == {"/check"}


async def test_numbers_land_in_the_result(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        numbers = {
            "auc": 0.93,
            "rows": 1000,
            "ok": True,
            "bad": "x",
            "inf": float("inf"),
            **{f"n{i}": i for i in range(50)},
        }
        s.hook.says((200, json.dumps({"verdict": "Pass", "numbers": numbers})))
        await s.open(gate(s))
        found = (await s.over()).numbers
        assert (found["auc"], found["rows"]) == (0.93, 1000.0)
        assert not {"ok", "bad", "inf"} & set(found)
        assert len(found) == 32


async def test_retries_then_an_answer(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        s.hook.says(503, 429, (500, "oops"), (200, '{"verdict": "Pass"}'))
        await s.open(gate(s, retries=3))
        assert (await s.over()).state is GateState.PASSED
        assert len({(asked.body, asked.headers["Idempotency-Key"]) for asked in s.hook.asked}) == 1
        assert len(s.hook.asked) == 4


async def test_retries_used_up_hold_and_ask_again(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        s.hook.says(503, 503, 503, 200)
        await s.open(gate(s, retries=1))
        assert (await s.error()).message == "the hook: HTTP 503, after 2 tries"
        assert (await s.over()).state is GateState.PASSED


async def test_a_hook_that_waits_is_asked_again(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        at = format_datetime(datetime.now(UTC) + timedelta(hours=1))
        s.hook.says(
            202,
            (202, "queued", {"Retry-After": "3600"}),
            (200, '{"verdict": "Wait", "message": "at 10 %"}', {"Retry-After": at}),
            (200, '{"verdict": "wait", "message": "at 90 %", "numbers": {"done": 90}}', {"Retry-After": "soon"}),
            (200, '{"verdict": "Pass"}'),
        )
        await s.open(gate(s))
        found = await s.until(lambda result: result.message == "at 90 %")
        assert (found.state, found.numbers) == (GateState.RUNNING, {"done": 90.0})
        assert (await s.over()).state is GateState.PASSED


@pytest.mark.parametrize(
    ("asked", "waits"),
    [("1", 30.0), ("120", 120.0), ("86400", 300.0), ("-5", 30.0), ("0", 30.0), ("soon", 30.0), ("nan", 30.0)],
)
@pytest.mark.parametrize("code", [429, 503])
async def test_a_busy_hook_says_when_to_come_back_within_bounds(
    tmp_path: Path, code: int, asked: str, waits: float
) -> None:
    async with stage(tmp_path) as s:
        s.hook.says((code, "", {"Retry-After": asked}))
        found = await looked(s, retries=0)
        assert (found.state, found.again) == (GateState.ERROR, waits)


@pytest.mark.parametrize(("asked", "waits"), [("0", 0.5), ("-1", 0.5), ("7", 7.0), ("86400", 300.0), ("soon", 10.0)])
async def test_a_hook_that_waits_says_when_within_bounds(tmp_path: Path, asked: str, waits: float) -> None:
    async with stage(tmp_path) as s:
        s.hook.says((202, "", {"Retry-After": asked}))
        found = await looked(s)
        assert (found.state, found.again) == (GateState.RUNNING, waits)


async def looked(s: Stage, **more: Any) -> Look:
    """Return what one look at the hook finds, at the operator's own pace."""
    case = Case(s.api, rollout(), opening(gate(s, **more)), Pace())
    webhook = case.gate.gate.webhook
    assert webhook is not None
    return await WebhookCheck(case, webhook, [s.hook.url]).look()


async def test_a_slow_hook_is_not_waited_for(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        s.hook.held = asyncio.Event()
        await s.open(gate(s, timeout="1s", retries=0))
        assert (await s.error()).message == "the hook: no answer within 1 s, after 1 try"
        s.hook.held.set()
        assert (await s.over()).state is GateState.PASSED


async def test_the_body_is_signed_with_the_key_as_it_is_now(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with stage(tmp_path) as s:
        await s.open(gate(s, secret={"name": "hook", "key": "hmac"}))
        assert "webhook.secret.name: there is no Secret shop/hook; create it" in (await s.error()).message
        s.objects[SECRET] = {"data": {"other": "eA=="}}
        await s.until(lambda result: "has nothing under hmac" in result.message)
        assert not s.hook.asked
        s.objects[SECRET] = {"data": {"hmac": base64.b64encode(b"hunter2").decode()}}
        assert (await s.over()).state is GateState.PASSED
        (asked,) = s.hook.asked
        signature = hmac.new(b"hunter2", asked.body, hashlib.sha256).hexdigest()
        assert asked.headers["X-Modelrollout-Signature"] == f"sha256={signature}"
        assert "hunter2" not in caplog.text + str(s.result)


async def test_this_machine_is_not_asked_unless_it_is_allowed(tmp_path: Path) -> None:
    async with stage(tmp_path, allow=False) as s:
        s.hook.url = s.hook.url.replace("127.0.0.1", "localhost")
        await s.open(gate(s))
        message = (await s.error()).message
        assert "spec.strategy.steps[1].gate.webhook.url: localhost is" in message
        assert f"this machine; name a hook elsewhere, or start the operator with --gate-allow {s.hook.url}" in message
        assert not s.hook.asked


async def test_what_can_never_be_asked_is_refused_at_once(tmp_path: Path) -> None:
    async with stage(tmp_path, allow=False) as s:
        with pytest.raises(TerminalError, match=r"127\.0\.0\.1 is this machine"):
            await s.open(gate(s))
    async with stage(tmp_path) as s:
        for url in (s.hook.url + "0/check", "https://elsewhere.example.com/", s.hook.url + "/a/../b"):
            with pytest.raises(TerminalError, match=r"steps\[1\]\.gate\.webhook\.url"):
                await s.open({"webhook": {"url": url}})
        assert s.keeper.result(KEY) is None


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://hooks.example.com/model", True),
        ("https://hooks.example.com/model/a?b=c", True),
        ("https://HOOKS.example.com:443/model", True),
        ("https://hooks.example.com/models", False),
        ("https://hooks.example.com/", False),
        ("http://hooks.example.com/model", False),
        ("https://hooks.example.com:8443/model", False),
        ("https://hooks.example.com.evil.example/model", False),
        ("https://hooks.example.com/model/../admin", False),
        ("https://me@hooks.example.com/model", False),
    ],
)
def test_a_list_allows_what_is_below_it(url: str, allowed: bool) -> None:
    hooks = Allowed(["https://hooks.example.com/model/"])
    if allowed:
        hooks.check(url)
    else:
        with pytest.raises(NotAllowed):
            hooks.check(url)


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("0.0.0.0", True), ("::", True),  # noqa: S104
        ("169.254.169.254", True), ("169.254.1.2", True), ("fe80::1", True), ("fe80::1%eth0", True),
        ("::ffff:127.0.0.1", True), ("::ffff:169.254.169.254", True), ("64:ff9b::a9fe:a9fe", True),
        ("2002:7f00:1::", True), ("fd00:ec2::254", True), ("100.100.100.200", True), ("224.0.0.1", True),
        ("255.255.255.255", True), ("0.1.2.3", True),
        ("10.96.0.20", False), ("192.168.1.2", False), ("8.8.8.8", False), ("fd00::1", False),
        ("2001:db8::1", False), ("::ffff:10.0.0.1", False),
    ],
)  # fmt: skip
def test_addresses_that_only_the_operator_reaches(address: str, refused: bool) -> None:
    assert (inner(address) is not None) is refused


async def test_names_that_hide_this_machine(tmp_path: Path) -> None:
    for host in ("127.1", "2130706433", "0x7f.1"):
        with pytest.raises(NotAllowed, match="this machine"):
            await Allowed([]).addresses(f"http://{host}/")


async def test_opening_twice_asks_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.open(gate(s))
        await s.open(gate(s))
        await s.over()
        await s.open(gate(s))
        assert len(s.hook.asked) == 1


async def test_another_run_takes_the_place_of_the_last(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.open(gate(s))
        await s.over()
        await s.keeper.open(rollout(), opening(gate(s), f"{CANDIDATE}-4-1"))
        await s.over()
        assert [asked.headers["Idempotency-Key"][-4:] for asked in s.hook.asked] == ["-3-1", "-4-1"]
        await s.keeper.close(rollout(), f"{CANDIDATE}-3-1")
        assert s.result.id == f"{CANDIDATE}-4-1"
        await s.keeper.close(rollout(), f"{CANDIDATE}-4-1")
        assert s.keeper.result(KEY) is None


async def test_a_closed_gate_is_asked_no_more(tmp_path: Path) -> None:
    async with stage(tmp_path, pace=Pace(wait=3600.0)) as s:
        s.hook.says(202)
        await s.open(gate(s))
        await until(lambda: bool(s.hook.asked))
        await s.keeper.close(rollout(), f"{CANDIDATE}-3-1")
        assert s.keeper.result(KEY) is None
        assert not [
            task for task in asyncio.all_tasks() if task.get_name().startswith("gate of") and not task.cancelling()
        ]


async def test_a_fault_of_ours_is_an_error_and_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with stage(tmp_path) as s:
        path = f"/apis/apps/v1/namespaces/shop/deployments/fraud-{STABLE}"
        before, s.objects[path] = s.objects[path], 5
        await s.open(gate(s))
        assert (await s.error()).message == "the operator failed at it (TypeError; see its log)"
        assert "gate of shop/fraud" in caplog.text
        s.objects[path] = before
        assert (await s.over()).state is GateState.PASSED
