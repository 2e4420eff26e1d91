"""Two model servers and a comparer between them, all on loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from modelrollout.comparer.options import Limits, Options, Side
from modelrollout.comparer.process import Running, running

STABLE, CANDIDATE = "b2c3d4f5g6", "c2d3f4g5h6"
LABELS = {"namespace": "shop", "rollout": "fraud"}
PATIENCE = 20.0
"""Seconds after which a story that does not go on has failed."""
LOCAL = "127.0.0.1"

Respond = Callable[[web.BaseRequest, bytes], Awaitable[web.StreamResponse]]


@dataclass
class Asked:
    """One request, as a model server got it."""

    method: str
    target: str
    headers: CIMultiDict[str]
    body: bytes


@dataclass
class Model:
    """A model server: what it answers and what it was asked."""

    value: Any = 0.5
    status: int = 200
    held: asyncio.Event | None = None
    """It answers once this is set."""
    respond: Respond | None = None
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(Asked(request.method, request.raw_path, request.headers.copy(), body))
        if self.held is not None:
            await self.held.wait()
        if self.respond is not None:
            return await self.respond(request, body)
        return web.json_response({"score": self.value}, status=self.status)


@dataclass
class Stage:
    """Everything that a story needs."""

    comparer: Running
    stable: Model
    candidate: Model
    client: aiohttp.ClientSession
    options: Options

    @property
    def url(self) -> str:
        return f"http://{LOCAL}:{self.comparer.port}"

    @property
    def told(self) -> str:
        return f"http://{LOCAL}:{self.comparer.metrics_port}"

    async def mirror(self, path: str = "/predict", **how: Any) -> int:
        """Send a request as a gateway does; return the status of the answer."""
        how = {"method": "POST", "data": b'{"x": 1}', **how}
        async with self.client.request(url=URL(self.url + path, encoded=True), **how) as response:
            await response.read()
            return response.status

    async def settled(self) -> None:
        """Wait until everything that was taken is compared; nothing must be left over."""
        assert await self.comparer.work.idle(PATIENCE)
        assert self.comparer.room.held == 0
        ended = sum(self.of("pairs_total", agree=agree) for agree in ("true", "false"))
        ended += self.of("late_total") + self.sum("unpaired_total") + self.sum("shed_total")
        assert ended == self.of("received_total")

    def of(self, name: str, revision: str = CANDIDATE, **labels: str) -> float:
        """Return the value of a series; it must be there."""
        found = self.comparer.counts.registry.get_sample_value(
            f"modelrollout_comparer_{name}", {**LABELS, "revision": revision, **labels}
        )
        assert found is not None, (name, labels)
        return found

    def sum(self, name: str) -> float:
        """Return the sum of all series of a name."""
        return sum(
            sample.value
            for metric in self.comparer.counts.registry.collect()
            for sample in metric.samples
            if sample.name == f"modelrollout_comparer_{name}"
        )

    async def page(self, path: str) -> tuple[int, Any]:
        """Read what the comparer tells."""
        async with self.client.get(self.told + path) as response:
            is_json = response.content_type == "application/json"
            return response.status, await (response.json() if is_json else response.text())


async def until(holds: Callable[[], bool]) -> None:
    """Let everything else go on until something holds."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - nobody could set an event
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def serving(model: Model) -> AsyncIterator[Model]:
    """Serve a model while the block runs."""
    runner = web.ServerRunner(web.Server(model.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOCAL, 0).start()
        model.url = f"http://{LOCAL}:{runner.addresses[0][1]}"
        yield model
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def stage(stable: Model | None = None, candidate: Model | None = None, **how: Any) -> AsyncIterator[Stage]:
    """Set everything up; `how`: fields of Options and Limits."""
    limits = {name: how.pop(name) for name in list(how) if name in Limits.__dataclass_fields__}
    stable, candidate = stable or Model(), candidate or Model()
    async with contextlib.AsyncExitStack() as stack:
        for model in (stable, candidate):
            if not model.url:
                await stack.enter_async_context(serving(model))
        options = Options(
            **LABELS,
            stable=Side(STABLE, stable.url),
            candidate=Side(CANDIDATE, candidate.url),
            limits=Limits(**limits),
            **{"noise": 0.0, "host": LOCAL, "port": 0, "metrics_host": LOCAL, "metrics_port": 0, **how},
        )
        comparer = await stack.enter_async_context(running(options))
        client = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)))
        yield Stage(comparer, stable, candidate, client, options)
