"""What the comparer tells: /metrics, /disagreements, /healthz and /readyz."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from modelrollout.comparer.counting import Counts
from modelrollout.comparer.options import Options
from modelrollout.comparer.samples import Samples


def application(
    options: Options, counts: Counts, samples: Samples, unreadiness: Callable[[], str | None]
) -> web.Application:
    """Return the four handlers; `unreadiness` says why requests are not taken, if so."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        problem = unreadiness()
        return web.Response(text="ok\n") if problem is None else web.Response(text=f"{problem}\n", status=503)

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(counts.registry), headers={"Content-Type": content_type})

    async def disagreements(_: web.Request) -> web.Response:
        shown = []
        for one in samples.shown():
            shown.append(one)
            await asyncio.sleep(0)  # redacting takes time, and gateways must not wait for it
        return web.json_response({**summary(options, counts), "disagreements": shown}, dumps=_dumps)

    app = web.Application()
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", metrics),
            web.get("/disagreements", disagreements),
        ]
    )
    return app


def summary(options: Options, counts: Counts) -> dict[str, Any]:
    """Return who is compared, and how many pairs there were since the start."""
    return {
        "namespace": options.namespace,
        "rollout": options.rollout,
        "stable": options.stable.revision,
        "candidate": options.candidate.revision,
        "pairs": _agreement(counts.pairs),
        "noise": _agreement(counts.noise),
    }


def _agreement(pairs: dict[str, int]) -> dict[str, int]:
    return {"agree": pairs["true"], "disagree": pairs["false"]}


def _dumps(value: object) -> str:
    return json.dumps(value, allow_nan=False)
