"""The HTTP server of the operator: /healthz, /readyz and /metrics."""

import contextlib
from collections.abc import AsyncIterator

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from modelrollout.runtime.health import Health


def application(health: Health, registry: CollectorRegistry) -> web.Application:
    """Return the three handlers; a blocked event loop answers none of them, which fails the probe too."""

    async def healthz(_: web.Request) -> web.Response:
        return _verdict(health.illness())

    async def readyz(_: web.Request) -> web.Response:
        return _verdict(health.unreadiness())

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


@contextlib.asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve while the block runs; yields the port, which the kernel chose where it was 0."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _verdict(problem: str | None) -> web.Response:
    return web.Response(text="ok\n") if problem is None else web.Response(text=f"{problem}\n", status=503)
