"""An API server of a few objects, a hook and pods, all on loopback, and the gate keeper between them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from modelrollout.adapters.gates import GateKeeper
from modelrollout.adapters.gates.case import Pace
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.api.gates import Gate
from modelrollout.api.resource import ModelRollout, parse
from modelrollout.api.status import GateState
from modelrollout.core.actions import OpenGate
from modelrollout.core.observed import GateResult
from modelrollout.ports import Key
from tests.support.rollouts import document

STABLE, CANDIDATE = "b2c3d4f5g6", "c2d3f4g5h6"
KEY = Key("shop", "fraud")
LOCAL = "127.0.0.1"
PATIENCE = 20.0
"""Seconds after which a story that does not go on has failed."""
QUICK = Pace(first=0.001, longest=0.01, job=0.01, wait=0.01, longest_wait=0.02, pods=0.01, error=0.01)

Respond = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


def rollout(**strategy: Any) -> ModelRollout:
    raw = document("shop", **({"strategy": strategy} if strategy else {}))
    raw["metadata"] |= {"uid": "0c1d", "generation": 1, "resourceVersion": "1"}
    return parse(raw)


def opening(gate: dict[str, Any], ident: str = f"{CANDIDATE}-3-1") -> OpenGate:
    return OpenGate(ident, Gate.model_validate(gate), STABLE, CANDIDATE, step=1, attempt=3)


@dataclass
class Asked:
    """One request, as a server got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """Answers as it is told, one answer after the other; the last one again and again."""

    answers: list[tuple[int, str, dict[str, str]]] = field(default_factory=lambda: [(200, "", {})])
    asked: list[Asked] = field(default_factory=list)
    held: asyncio.Event | None = None
    """It answers once this is set."""
    respond: Respond | None = None
    url: str = ""

    def says(self, *answers: Any) -> None:
        """Set the answers: a code, or a code and a body, or these and headers."""
        wholes = [answer if isinstance(answer, tuple) else (answer,) for answer in answers]
        self.answers = [(*whole, *("", {})[len(whole) - 1 :])[:3] for whole in wholes]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(Asked(request.method, request.raw_path, dict(request.headers), body))
        if self.held is not None:
            await self.held.wait()
        if self.respond is not None:
            return await self.respond(request, body)
        code, text, headers = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=code, text=text, headers=headers)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Server"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, LOCAL, 0).start()
            self.url = f"http://{LOCAL}:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()


@dataclass
class Stage:
    """Everything that a story needs."""

    keeper: GateKeeper
    hook: Server
    objects: dict[str, Any]
    """What the API server holds, by path."""
    changed: asyncio.Event
    calls: list[str]
    """Paths asked of the API server."""
    api: Api

    @property
    def result(self) -> GateResult:
        found = self.keeper.result(KEY)
        assert found is not None
        return found

    async def open(self, gate: dict[str, Any], **strategy: Any) -> None:
        await self.keeper.open(rollout(**strategy), opening(gate))

    async def until(self, holds: Callable[[GateResult], bool]) -> GateResult:
        """Wait for a result."""
        async with asyncio.timeout(PATIENCE):
            while not holds(self.result):
                self.changed.clear()
                await self.changed.wait()
        return self.result

    async def over(self) -> GateResult:
        """Wait until it passed or failed."""
        return await self.until(lambda result: result.state in (GateState.PASSED, GateState.FAILED))

    async def error(self) -> GateResult:
        """Wait until it could not be asked."""
        return await self.until(lambda result: result.state is GateState.ERROR)


async def until(holds: Callable[[], bool]) -> None:
    """Let everything else go on until something holds."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - nobody could set an event
            await asyncio.sleep(0)


def deployment(revision: str, image: str) -> dict[str, Any]:
    return {f"/apis/apps/v1/namespaces/shop/deployments/fraud-{revision}": {
        "spec": {"template": {"spec": {"containers": [{"name": "model", "image": image}]}}},
    }}  # fmt: skip


@contextlib.asynccontextmanager
async def stage(folder: Path, *, allow: bool = True, pace: Pace = QUICK) -> AsyncIterator[Stage]:
    """Set up everything; `allow`: the hook's URL is allowed."""
    objects = {**deployment(STABLE, "fraud:6"), **deployment(CANDIDATE, "fraud:7")}
    calls: list[str] = []

    async def answer(request: web.Request, _: bytes) -> web.Response:
        calls.append(request.path)
        if request.path in objects:
            return web.json_response(objects[request.path])
        name = request.path.rpartition("/")[2]
        status = {"message": f"{name} not found", "reason": "NotFound", "details": {"name": name}, "code": 404}
        return web.json_response(status, status=404)

    hook, changed = Server(), asyncio.Event()
    async with Server(respond=answer).serving() as apiserver, hook.serving():
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{"name": "x", "cluster": {"server": apiserver.url}}],
            "users": [{"name": "x", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        }  # fmt: skip
        (folder / "kubeconfig").write_text(yaml.safe_dump(config))
        async with await Api.connect(str(folder / "kubeconfig")) as api:
            keeper = GateKeeper(api, lambda _: changed.set(), allow=[hook.url] if allow else [], pace=pace)
            try:
                yield Stage(keeper, hook, objects, changed, calls, api)
            finally:
                keeper.forget(KEY)
                # Else a server waits for a question that nobody waits for.
                if hook.held is not None:
                    hook.held.set()
