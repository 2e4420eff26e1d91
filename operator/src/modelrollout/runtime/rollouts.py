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
SILENCE: Final = 100.0
"""Seconds without a byte after which a watch is opened anew; bookmarks mostly come every 60 to 75 s."""
PAGE: Final = 50
"""Objects of one answer to a list request; memory that the parsing of a larger one took is hardly ever given back."""
SWEEP_SECONDS: Final = 10.0
"""Time that the objects of a listing have to reach the store before those that it lacks are forgotten."""

_COLLECTION: Final = re.compile(rf"/apis/{re.escape(GROUP)}/{VERSION}/(?:namespaces/([^/]+)/)?{PLURAL}$")
_log = logging.getLogger(__name__)


class _Stream:
    """An open watch, of which only the growth of its bytes tells that bookmarks arrive."""

    def __init__(self, content: aiohttp.StreamReader, now: float) -> None:
        self._content = content
        self._bytes = 0
        self._at = now

    def heard(self) -> float:
        """Return when bytes were last seen to have arrived; seen only as often as somebody asks."""
        if self._content.total_raw_bytes != self._bytes:
            self._bytes = self._content.total_raw_bytes
            self._at = asyncio.get_running_loop().time()
        return self._at


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
        self._streams: dict[str | None, _Stream] = {}
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
        return {f"{PLURAL} of {scope or 'all namespaces'}": one.heard() for scope, one in self._streams.items()}

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

        async def answered(_: object, __: object, params: aiohttp.TraceRequestEndParams) -> None:
            match = _COLLECTION.search(params.url.path)
            if match is not None and "watch" in params.url.query:
                self._streams[match[1]] = _Stream(params.response.content, self._now())

        trace.on_request_start.append(started)
        trace.on_request_end.append(answered)
        return trace

    def _watching(self, scope: str | None) -> None:
        """Note that a listing is complete; what it did not bring is gone, for kopf tells of no such thing."""
        self._listed.add(scope)
        timer = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep, scope, self._store.listing(scope))
        self._timers = {one for one in self._timers if not one.cancelled() and one.when() > self._now()} | {timer}

    def _sweep(self, scope: str | None, listing: int) -> None:
        for key in self._store.vanished(scope) if self._store.listing(scope) == listing else ():
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
    settings.watching.chunk_size = PAGE
    settings.watching.connect_timeout = 5.0
    settings.watching.inactivity_timeout = SILENCE
    settings.networking.request_timeout = 30.0
    settings.networking.connect_timeout = 5.0
    # A server that answers with errors for an hour is still worth waiting for; a shorter list ends the process.
    settings.networking.error_backoffs = (1, 2, 5, *(10,) * 360)
    # A worker of kopf lives on after an event for so long; in a burst of objects that is memory.
    settings.queueing.idle_timeout = 0.1
    return settings
