"""uvicorn's connections, with a short way for the requests that there are most of.

Between an HTTP parser and an ASGI application lie a task, a dictionary, events and two writes for each request, which
cost several times what a prediction does. An inference request that came whole, over a connection that waits for
nothing else, is answered on the spot; every other goes to the application as uvicorn does it. Parsing, connections,
their ends and their order stay uvicorn's.
"""

import asyncio
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from model_server.app import App
from model_server.inference import Inference


class Joined:
    """A transport that keeps the head of an answer until its body, its end or the connection's end comes.

    uvicorn writes the two apart. Without delay on the socket these are two system calls and two packets.
    """

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
    """uvicorn's protocol with the short way.

    A request that may take it is held until the data at hand are parsed. When its end was among them it has been
    answered; if not, it is handed on.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._app = cast(App, self.config.app)
        self._held: Inference | None = None
        self._body = b""
        self._last = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        super().connection_made(cast(asyncio.Transport, Joined(transport)))
        self._write = transport.write

    def data_received(self, data: bytes) -> None:
        """Parse what came, and hand on a request of which more is to come."""
        self._last = self.loop.time()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._held = None
            self.logger.warning("a request was no HTTP")
            self.send_400_response("Invalid HTTP request received.")
        except (
            httptools.HttpParserUpgrade
        ):  # there is no other protocol to change to: the request was answered as it is
            pass
        if self._held:
            self._hand_on()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.url, self._body = b"", b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Hold the request when it may be answered at once, else hand it on."""
        parser = self.parser
        if (
            (held := self._app.at_once(self.url))
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and parser.get_method() == b"POST"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and parser.get_http_version() == "1.1"
        ):
            self._held = held
        else:
            self._start()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        if self._held:
            self._body = self._body + body if self._body else body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Answer a request that was held, now that it is whole."""
        held = self._held
        if held is None:
            super().on_message_complete()
        elif len(self._body) > self._app.max_body:
            self._hand_on()
            super().on_message_complete()
        else:
            self._held = None
            self._write(held.at_once(self.headers, self._body, self.server_state.default_headers))
            if self.timeout_keep_alive_task is None:
                self._wait(self.timeout_keep_alive)

    def on_response_complete(self) -> None:
        """End an answer of the application's; that to a HEAD request has no body."""
        cast(Joined, self.transport).flush()
        super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle for so long; the timer is not set anew for each request."""
        left = self._last + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._wait(left)
        else:
            super().timeout_keep_alive_handler()

    def _wait(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _hand_on(self) -> None:
        """Hand the request that was held to the application, with what there is of its body."""
        self._held = None
        self._start()
        if self._body:
            super().on_body(self._body)

    def _start(self) -> None:
        self._unset_keepalive_if_required()
        url, headers = self.url, self.headers
        super().on_message_begin()
        super().on_url(url)
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()
