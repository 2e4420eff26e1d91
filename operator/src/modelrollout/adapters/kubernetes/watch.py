"""A reflector: list once, then watch for ever, and deliver what happened to a sink.

When a stream ends it goes on from the last version seen; when that is too old, or refused, it lists again and tells
the sink what is still there, so that what vanished meanwhile is forgotten.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import aclosing
from typing import Any, Final, Protocol

from modelrollout.adapters.kubernetes.cache import Name
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.errors import Expired, Unserved
from modelrollout.adapters.kubernetes.resources import Resource
from modelrollout.ports import ConflictError, TerminalError, TransientError

PAGE: Final = 50
"""Objects of one answer to a list request; memory that the parsing of a larger one took is hardly ever given back."""
SILENCE: Final = 100.0
"""Seconds without a byte after which a connection counts as dead: bookmarks arrive every minute."""
STREAM_SECONDS: Final = (1800, 3600)
"""The API server ends a stream after a time from this range, so that replicas share the watches anew."""
BACKOFF: Final = (0.5, 30.0)

log = logging.getLogger(__name__)


class Sink(Protocol):
    """Who wants to know; called in the order of events, never twice at a time."""

    def event(self, kind: str, raw: Mapping[str, Any]) -> None:
        """Take in an object: ADDED, MODIFIED or DELETED."""

    def retain(self, names: Collection[Name]) -> None:
        """Forget every object that is not among these: they vanished while nobody watched."""


class Reflector:
    """Keeps a sink in step with the objects of a kind; holds no object itself."""

    def __init__(  # noqa: PLR0913
        self,
        api: Api,
        resource: Resource,
        sink: Sink,
        *,
        namespace: str | None = None,
        selector: str | None = None,
        silence: float = SILENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._resource = resource
        self._sink = sink
        self._namespace = namespace
        self._params = {"labelSelector": selector} if selector else {}
        self._silence = silence
        self._clock = clock
        self._failures = 0
        self.version = ""
        """Where the watch goes on from; empty: list first."""
        self.synced = asyncio.Event()
        """Set once the sink has seen everything; also where the API server does not serve the kind."""
        self.last_activity = clock()
        """When the API server was last heard, on `clock`; older than a few minutes means trouble."""
        self.problem: str | None = None
        """Why the watch does not run at present."""

    async def run(self) -> None:
        """Follow until cancelled; no error ends it."""
        while True:
            try:
                await self._round()
            except (TransientError, TerminalError) as error:
                self._failed(error)
                await asyncio.sleep(self._delay())

    async def _round(self) -> None:
        if not self.version:
            await self._list()
            self.synced.set()
        await self._watch()

    async def _list(self) -> None:
        names: set[Name] = set()
        params = {**self._params, "limit": str(PAGE)}
        while True:
            page = await self._api.list(self._resource, self._namespace, params)
            self._heard()
            for raw in page.get("items") or []:
                names.add((raw["metadata"]["namespace"], raw["metadata"]["name"]))
                self._sink.event("ADDED", raw)
            following = page["metadata"].get("continue")
            if not following:
                break
            params["continue"] = following
        self._sink.retain(names)
        self.version = page["metadata"]["resourceVersion"]

    async def _watch(self) -> None:
        params = {
            **self._params,
            "resourceVersion": self.version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(random.randint(*STREAM_SECONDS)),  # noqa: S311
        }
        async with aclosing(self._api.watch(self._resource, self._namespace, params, self._silence)) as events:
            before = self.last_activity
            async for event in events:
                self._heard()
                self._deliver(event["type"], event["object"])
                self._failures = 0
        if self.last_activity == before:
            raise TransientError(f"{self._resource.plural}: the API server ended a watch at once")

    def _deliver(self, kind: str, raw: Mapping[str, Any]) -> None:
        if kind == "ERROR":
            text = f"{self._resource.plural}: watch ended: {raw.get('message')}"
            raise Expired(text) if raw.get("code") == 410 else TransientError(text)
        if kind != "BOOKMARK":
            self._sink.event(kind, raw)
        self.version = raw["metadata"]["resourceVersion"]

    def _heard(self) -> None:
        self.last_activity = self._clock()
        self.problem = None

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        if isinstance(error, Expired | TerminalError | ConflictError):
            self.version = ""
        if isinstance(error, Unserved):
            # Nothing of a kind that does not exist: that is a complete answer, and an answer.
            self._sink.retain(())
            self.synced.set()
            self.last_activity = self._clock()
        if self.problem != str(error):
            log.warning("watch of %s: %s", self._resource.plural, error)
        self.problem = str(error)

    def _delay(self) -> float:
        first, longest = BACKOFF
        return random.uniform(0.5, 1.0) * min(longest, first * 2.0 ** min(self._failures - 1, 10))  # noqa: S311
