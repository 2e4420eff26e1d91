"""Taking mirrored requests: an answer at once, whatever becomes of the request."""

import asyncio
import re
import uuid
from collections.abc import Callable
from typing import Final

import aiohttp
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict

from modelrollout.comparer import counting
from modelrollout.comparer.answers import Request, json_bytes
from modelrollout.comparer.counting import Counts
from modelrollout.comparer.options import Limits
from modelrollout.comparer.room import Room

MARK: Final = "X-Modelrollout-Comparer"
"""Tells servers that a request is a copy, and us that it is one of ours that came back."""
REQUEST_ID: Final = "X-Request-Id"

_DROPPED: Final = frozenset(
    {
        "accept-encoding",  # answers are compared, so they come as they are
        "connection",
        "content-length",  # the body is sent in one piece, however it came
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        REQUEST_ID.lower(),
    }
)
_TARGET: Final = re.compile(r"/[!\"$-~]*")
"""A path, perhaps with a query: not an address, nor with a fragment or bytes that HTTP does not know."""
_SHADOW: Final = "-shadow"
"""Envoy puts it behind the host name of a mirrored request."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

Start = Callable[[Request], None]


class Intake:
    """Handles mirrored requests. What is taken is handed to `start`, with its place in the room."""

    def __init__(self, limits: Limits, room: Room, counts: Counts, start: Start) -> None:
        self._limits, self._room, self._counts, self._start = limits, room, counts, start
        self.stopping = False
        """Takes nothing any more."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer 202 to a request that was taken, 503 to one that was not."""
        self._counts.received.inc()
        if (reason := self._refusal(request)) is None:
            reason = await self._take(request)
        if reason is None:
            return web.Response(status=202)
        self._counts.shed[reason].inc()
        return web.Response(status=503, text=f"not compared: {reason}\n")

    def _refusal(self, request: web.BaseRequest) -> str | None:
        """Say why a request is turned away before its body is read."""
        size = request.content_length or 0
        if self.stopping:
            return counting.STOPPING
        if MARK in request.headers:
            return counting.LOOP
        if not _TARGET.fullmatch(request.raw_path) or "Upgrade" in request.headers:
            return counting.UNSUPPORTED
        if size > self._limits.max_body:
            return counting.TOO_LARGE
        if not self._room.fits(size):
            return counting.BYTES
        return None

    async def _take(self, request: web.BaseRequest) -> str | None:
        if not self._room.enter():
            return counting.QUEUE
        reason, body = await self._body(request)
        if reason is None and self.stopping:
            self._room.leave(len(body))
            reason = counting.STOPPING
        if reason is not None:
            return reason
        headers = _forwarded(request)
        self._start(
            Request(request.method, request.raw_path, headers, body, headers[REQUEST_ID], json_bytes(request.headers))
        )
        return None

    async def _body(self, request: web.BaseRequest) -> tuple[str | None, bytes]:
        """Read the body within limits; where it does not come whole, its place is given back."""
        content = request.content
        body, reason = bytearray(), counting.BROKEN
        try:
            if content.is_eof():
                # Most requests came whole with their head.
                chunk = content.read_nowait()
                if not (reason := self._held(0, len(chunk))):
                    body += chunk
            else:
                async with asyncio.timeout(self._limits.timeout):
                    if "Expect" in request.headers:
                        await request.writer.write(_CONTINUE)
                    reason = await self._chunks(content, body)
        except (TimeoutError, OSError, aiohttp.ClientError, HttpProcessingError, web.RequestPayloadError):
            reason = counting.BROKEN
        finally:
            if reason:
                self._room.leave(len(body))
        return reason or None, bytes(body)

    async def _chunks(self, content: aiohttp.StreamReader, body: bytearray) -> str:
        while chunk := await content.readany():
            if reason := self._held(len(body), len(chunk)):
                return reason
            body += chunk
        return ""

    def _held(self, before: int, size: int) -> str:
        """Take room for more of a body; return why there is none."""
        if before + size > self._limits.max_body:
            return counting.TOO_LARGE
        if not self._room.fits(size):
            return counting.BYTES
        self._room.hold(size)
        return ""


def _forwarded(request: web.BaseRequest) -> CIMultiDict[str]:
    """Return the headers that are sent on: all but those of this connection."""
    own = {name.strip().lower() for name in request.headers.get("Connection", "").split(",")}
    headers = CIMultiDict(
        (name, value)
        for name, value in request.headers.items()
        if (lower := name.lower()) not in _DROPPED and lower not in own and _sendable(value)
    )
    if _SHADOW in (host := headers.get("Host", "")):
        name, colon, port = host.partition(":")
        headers["Host"] = name.removesuffix(_SHADOW) + colon + port
    headers["Accept-Encoding"] = "identity"
    headers[MARK] = "1"
    given = request.headers.get(REQUEST_ID, "")
    headers[REQUEST_ID] = given if given and _sendable(given) else uuid.uuid4().hex
    return headers


def _sendable(value: str) -> bool:
    # Bytes that are no text come as lone surrogates, which cannot be sent.
    if value.isascii():
        return True
    return not any("\ud800" <= letter <= "\udfff" for letter in value)
