"""The HTTP side: a plain ASGI application."""

import json
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from model_server import protocol
from model_server.faults import Faults
from model_server.metrics import CONTENT_TYPE, Metrics
from model_server.model import Model
from model_server.settings import Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY = 1 << 20
JSON = "application/json"

log = logging.getLogger("model_server")
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")


@dataclass
class State:
    """What the process tells the application: whether the model is loaded, and whether an end is near."""

    loaded: bool = False
    draining: bool = False

    @property
    def ready(self) -> bool:
        """Whether new requests should come here."""
        return self.loaded and not self.draining


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


class _GoneError(Exception):
    """The caller hung up."""


def _json(status: int, document: object, **headers: str) -> Answer:
    return Answer(status, json.dumps(document, separators=(",", ":")).encode(), JSON, headers)


def _error(status: int, text: str, **headers: str) -> Answer:
    return _json(status, {"error": text}, **headers)


class App:
    """Answers health, metadata, inference and metrics requests."""

    def __init__(self, settings: Settings, model: Model, state: State) -> None:
        self._name, self._version = settings.model_name, settings.model_version
        self._model, self._state = model, state
        self._faults = Faults(settings.latency, settings.error_rate, settings.seed)
        self._metrics = Metrics()
        self._model_path = f"/v2/models/{self._name}"
        self._gets: dict[str, Callable[[], Answer]] = {
            "/v2/health/live": lambda: _json(200, {"live": True}),
            "/v2/health/ready": self._ready,
            "/metrics": lambda: Answer(200, self._metrics.render(), CONTENT_TYPE),
            self._model_path: lambda: _json(200, protocol.metadata(self._model, self._name, self._version)),
        }

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        request_id = _request_id(scope["headers"])
        path: str = scope["path"]
        if path.startswith("/v2/models/") and path.endswith("/infer"):
            await self._counted_infer(scope, receive, send, request_id)
        else:
            await self._send(send, self._get(scope["method"], path), request_id)

    def _get(self, method: str, path: str) -> Answer:
        handler = self._gets.get(path)
        if handler is None:
            return _error(404, f"nothing at {path[:120]!r}; the model is at {self._model_path}")
        if method not in ("GET", "HEAD"):
            return _error(405, f"{path} answers GET only", allow="GET, HEAD")
        return handler()

    def _ready(self) -> Answer:
        ready = self._state.ready
        return _json(200 if ready else 503, {"ready": ready})

    async def _counted_infer(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send, request_id: str
    ) -> None:
        started, code = time.perf_counter(), None
        self._metrics.started()
        try:
            answer = await self._infer(scope, receive, request_id)
            await self._send(send, answer, request_id)
            code = answer.status
        except _GoneError:
            pass
        finally:
            self._metrics.ended(code, time.perf_counter() - started)

    async def _infer(self, scope: MutableMapping[str, Any], receive: Receive, request_id: str) -> Answer:
        if scope["method"] != "POST":
            return _error(405, "inference takes POST only", allow="POST")
        if scope["path"] != f"{self._model_path}/infer":
            return _error(404, f"no such model here; the model is at {self._model_path}")
        body = await _read(receive)
        if body is None:
            return _error(413, f"the body is larger than {MAX_BODY} bytes; send fewer rows", connection="close")
        if not self._state.loaded:
            return _error(503, f"model {self._name!r} is still loading", **{"retry-after": "1"})
        return await self._predict(body, request_id)

    async def _predict(self, body: bytes, request_id: str) -> Answer:
        try:
            request = protocol.parse(body, len(self._model.features))
        except protocol.BadRequestError as error:
            return _error(400, str(error))
        try:
            if await self._faults.strike():
                return _error(500, "inference failed (asked for by ERROR_RATE)")
            probabilities = self._model.predict(request.rows)
        except Exception:
            log.exception("inference failed, request id %s", request_id)
            return _error(500, "inference failed")
        identity = request.id or request_id
        return _json(200, protocol.answer(self._name, self._version, identity, self._model.output, probabilities))

    async def _send(self, send: Send, answer: Answer, request_id: str) -> None:
        headers = {
            "content-type": answer.content_type,
            "content-length": str(len(answer.body)),
            "x-request-id": request_id,
            "x-model-name": self._name,
            "x-model-version": self._version,
            **answer.headers,
        }
        if self._state.draining:
            # A gateway that keeps this connection would lose a request on it when the process ends.
            headers["connection"] = "close"
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
        await send({"type": "http.response.body", "body": answer.body})


async def _read(receive: Receive) -> bytes | None:
    """Return the request's body, None when it is too large; raise _GoneError when the caller hung up."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY:
            return None
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def _request_id(headers: list[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode("ascii")
    return uuid.uuid4().hex
