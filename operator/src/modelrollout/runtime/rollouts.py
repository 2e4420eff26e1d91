"""The watch of ModelRollouts, kept by kopf; it fills the store, and asks for work on what changed.

kopf is used for what it is good at, an unbreakable watch, and for nothing that writes: no handler here makes it
patch an object. Exceptions of an event handler are not retried, so the handler only remembers and enqueues.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

import aiohttp
import kopf

from modelrollout.adapters.kubernetes.client import Api
from modelrollout.api.base import GROUP, PLURAL, VERSION
from modelrollout.ports import Key
from modelrollout.runtime.store import RolloutStore, key_of

SERVER_TIMEOUT: Final = 1800
"""Seconds of one watch request; each new one costs an API call for every namespace."""
SWEEP_SECONDS: Final = 10.0
"""Time that the objects of a listing have to reach the store before those that it lacks are forgotten."""

_COLLECTION: Final = re.compile(rf"/apis/{re.escape(GROUP)}/{VERSION}/(?:namespaces/([^/]+)/)?{PLURAL}$")
_log = logging.getLogger(__name__)


class RolloutWatch:
    """Watches the ModelRollouts of some namespaces, or of all, until cancelled."""

    def __init__(
        self,
        api: Api,
        store: RolloutStore,
        namespaces: Sequence[str],
        *,
        changed: Callable[[Key], None],
        gone: Callable[[Key], None],
    ) -> None:
        self._api = api
        self._store = store
        self._namespaces = namespaces
        self._changed = changed
        self._gone = gone
        self._heard: dict[str | None, float] = {}
        self._listed: set[str | None] = set()
        self._sessions: list[aiohttp.ClientSession] = []
        self._timers: set[asyncio.TimerHandle] = set()
        self.started = asyncio.Event()

    @property
    def synced(self) -> bool:
        """Whether every namespace was listed once."""
        wanted: set[str | None] = set(self._namespaces) or {None}
        return self._listed >= wanted

    @property
    def heard(self) -> Mapping[str, float]:
        """When each watch last heard anything, bookmarks included; on the event loop's clock."""
        return {f"{PLURAL} of {scope or 'all namespaces'}": at for scope, at in self._heard.items()}

    async def run(self) -> None:
        """Watch until cancelled. Returns where a signal ended kopf; raises what kopf cannot get over."""
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)(self._event)
        scope: dict[str, Any] = {"namespaces": self._namespaces} if self._namespaces else {"clusterwide": True}
        try:
            # Of its own accord kopf asks for the user's name, which a container's user need not have.
            await kopf.operator(
                registry=registry,
                settings=_settings(),
                standalone=True,
                ready_flag=self.started,
                identity=cast("Any", "modelrollout"),
                **scope,
            )
        finally:
            for timer in self._timers:
                timer.cancel()
            # kopf closes nothing when it is cancelled.
            for session in self._sessions:
                await session.close()

    async def _login(self, **_: object) -> kopf.AiohttpSession:
        """Give kopf a session with our credentials, on which we can hear what goes over it.

        Called again when the API server no longer takes the token.
        """
        server, tls, headers = await self._api.credentials()
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls),
            headers=headers,
            trust_env=True,
            trace_configs=[self._trace()],
        )
        self._sessions = [one for one in self._sessions if not one.closed] + [session]
        return kopf.AiohttpSession(server=server, aiohttp_session=session)

    async def _event(self, event: Mapping[str, Any], **_: object) -> None:
        raw = event["object"]
        key = key_of(raw)
        if event["type"] == "DELETED":
            if self._store.remove(key, raw["metadata"].get("uid")):
                self._gone(key)
        elif self._store.put(raw):
            self._changed(key)

    def _trace(self) -> aiohttp.TraceConfig:
        trace = aiohttp.TraceConfig()

        async def started(_: object, __: object, params: aiohttp.TraceRequestStartParams) -> None:
            match = _COLLECTION.search(params.url.path)
            if match is None:
                return
            if "watch" in params.url.query:
                self._watching(match[1])
            elif "continue" not in params.url.query:
                self._store.listing_begins(match[1])
            if self._api.count is not None:
                self._api.count("watch" if "watch" in params.url.query else "list", PLURAL, 200)

        async def received(_: object, __: object, params: aiohttp.TraceResponseChunkReceivedParams) -> None:
            match = _COLLECTION.search(params.url.path)
            if match is not None:
                self._heard[match[1]] = asyncio.get_running_loop().time()

        trace.on_request_start.append(started)
        trace.on_response_chunk_received.append(received)
        return trace

    def _watching(self, scope: str | None) -> None:
        """Note that a listing is complete; what it did not bring is gone, for kopf tells of no such thing."""
        self._listed.add(scope)
        self._heard.setdefault(scope, asyncio.get_running_loop().time())
        timer = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep, scope)
        self._timers = {one for one in self._timers if not one.cancelled() and one.when() > self._now()} | {timer}

    def _sweep(self, scope: str | None) -> None:
        for key in self._store.vanished(scope):
            _log.info("deleted while nobody watched", extra={"object": str(key)})
            self._store.remove(key)
            self._gone(key)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.watching.server_timeout = SERVER_TIMEOUT
    settings.watching.client_timeout = SERVER_TIMEOUT + 10
    settings.watching.connect_timeout = 5.0
    settings.networking.request_timeout = 30.0
    settings.networking.connect_timeout = 5.0
    # A server that answers with errors for an hour is still worth waiting for; a shorter list ends the process.
    settings.networking.error_backoffs = (1, 2, 5, *(10,) * 360)
    # A worker of kopf lives on after an event for so long; in a burst of objects that is memory.
    settings.queueing.idle_timeout = 0.5
    return settings
