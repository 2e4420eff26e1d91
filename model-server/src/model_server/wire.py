"""Answers in one piece on the wire.

uvicorn writes an answer's head and body apart. Without delay on the socket these are two system calls and two packets,
which together cost more than everything else that a small request needs.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Joined:
    """A transport that keeps the head of an answer until its body, its end or the connection's end comes."""

    __slots__ = ("_head", "_inner")

    def __init__(self, inner: asyncio.Transport) -> None:
        self._inner, self._head = inner, b""

    def write(self, data: bytes) -> None:
        """Send data, or keep it when it is a head."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.") and not data.startswith(b"HTTP/1.1 100"):
            self._head = data
            return
        self._inner.write(data)

    def flush(self) -> None:
        """Send a head that no body followed."""
        if self._head:
            data, self._head = self._head, b""
            self._inner.write(data)

    def close(self) -> None:
        """Send what is kept, then close."""
        self.flush()
        self._inner.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, writing through `Joined`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        super().connection_made(cast(asyncio.Transport, Joined(transport)))

    def on_response_complete(self) -> None:
        """End an answer; that to a HEAD request has no body."""
        cast(Joined, self.transport).flush()
        super().on_response_complete()
