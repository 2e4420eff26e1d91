"""The HTTP side: a plain ASGI application, driven without a framework."""

import json
import os
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from itertools import count
from typing import Any, NamedTuple

from model_server import __version__, feedback, protocol
from model_server.codec import Reader, Writer
from model_server.engine import Engine, InferenceError, State
from model_server.model import Model
from model_server.openapi import document
from model_server.peers import FORWARDED, Peers
from model_server.protocol import JSON, BadRequestError, InferRequest
from model_server.settings import Settings
from model_server.signals import CONTENT_TYPE, Signals

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

MAX_BODY = 1 << 20
BINARY = "application/octet-stream"
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_MODEL_PATH = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?(/infer|/ready)?")
_NEXT = count(int.from_bytes(os.urandom(7), "big"))
_PROCESS = os.urandom(8).hex()
_JSON_TYPE = (b"content-type", JSON.encode())


class Answer(NamedTuple):
    """An HTTP answer; `headers` come in addition to those that every answer has."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = (_JSON_TYPE,)


class _GoneError(Exception):
    """The caller hung up."""


def _json(status: int, document: object, **headers: str) -> Answer:
    extra = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Answer(status, json.dumps(document, separators=(",", ":")).encode(), (_JSON_TYPE, *extra))


def _error(status: int, text: str, **headers: str) -> Answer:
    return _json(status, {"error": text}, **headers)


class App:
    """Answers health, metadata, inference, feedback and metrics requests."""

    def __init__(self, settings: Settings, model: Model | None, state: State, previous: Model | None = None) -> None:
        self._settings, self._state, self._max_body = settings, state, settings.max_body
        self.signals = Signals()
        self._requests = self.signals.requests
        self.engine: Engine | None = None
        self._about: Headers = []
        self._infer_path = ""
        self._names = ("model", "1")
        self._peers = Peers(settings.feedback_peers) if settings.feedback_peers else None
        self._gets: dict[str, Callable[[], Answer]] = {
            "/v2": self._server,
            "/v2/health/live": lambda: _json(200, {"live": True}),
            "/v2/health/ready": self._ready,
            "/metrics": lambda: Answer(200, self.signals.render(), ((b"content-type", CONTENT_TYPE.encode()),)),
            "/openapi.json": lambda: _json(200, document(*self._names)),
        }
        if model:
            self.install(model, previous)

    @staticmethod
    def new_id() -> str:
        """Return an id for a request that came without one: 32 hexadecimal digits."""
        return f"{_PROCESS}{next(_NEXT):016x}"

    def install(self, model: Model, previous: Model | None = None) -> None:
        """Begin to serve a model.

        Raises ModelError when it does not fit the settings.
        """
        engine = Engine(self._settings, model, self.signals, previous)
        self._reader, self._writer = Reader(engine.model), Writer(engine.model, engine.name, engine.version)
        self._about = [
            (b"x-model-name", engine.name.encode()),
            (b"x-model-version", engine.version.encode()),
            (b"x-model-origin", _origin(model).encode("latin-1", "replace")),
        ]
        self._infer_path = f"/v2/models/{engine.name}/infer"
        self._names = engine.name, engine.version
        self.engine = engine

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        path: str = scope["path"]
        if path == self._infer_path or (path.startswith("/v2/models/") and path.endswith("/infer")):
            await self._infer(scope, receive, send)
            return
        try:
            answer = await self._feedback(scope, receive) if path == "/feedback" else self._get(scope["method"], path)
        except _GoneError:
            return
        for message in self._messages(answer, _read_headers(scope["headers"])[0]):
            await send(message)

    async def _infer(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer an inference request, and count it; one coroutine, as each more costs half a microsecond."""
        started, code = time.perf_counter(), None
        requests = self._requests
        requests.in_flight += 1
        request_id, json_bytes = _read_headers(scope["headers"])
        try:
            try:
                engine = self._admit(scope)
                message = await receive()
                if message.get("more_body", True):
                    body = await _read_on(message, receive, self._max_body)
                else:
                    body = message["body"]
                if len(body) > self._max_body:
                    text = f"the body is larger than {self._max_body} bytes; send fewer rows"
                    raise InferenceError(413, "size", text)
                request = self._reader.read(body, None if json_bytes is None else _length(json_bytes))
                struck = await engine.strike(started) if engine.faulty else None
                predictions, fallback = engine.infer(request, request_id, started, struck)
                answer = self._predicted(request, request_id, predictions, fallback)
            except (InferenceError, BadRequestError) as error:
                answer = self._refused(error)
            for each in self._messages(answer, request_id):
                await send(each)
            code = answer.status
        except _GoneError:
            pass
        finally:
            requests.ended(code, time.perf_counter() - started)

    def _admit(self, scope: MutableMapping[str, Any]) -> Engine:
        if scope["method"] != "POST":
            raise InferenceError(405, "path", "inference takes POST only")
        if scope["path"] != self._infer_path and self.engine:
            self._found(scope["path"])
        if self._requests.in_flight > self._settings.max_in_flight:
            raise InferenceError(503, "limit", f"more than {self._settings.max_in_flight} requests at once; try later")
        if self.engine is None or not self._state.loaded:
            raise InferenceError(503, "loading", "the model is still loading")
        return self.engine

    def _predicted(self, request: InferRequest, request_id: str, predictions: list[float], fallback: str) -> Answer:
        identity = request.id or request_id
        if request.binary:
            content, size = self._writer.binary(identity, predictions, request.rows, fallback)
            kind = (b"content-type", BINARY.encode())
            return Answer(200, content, (kind, (b"inference-header-content-length", b"%d" % size)))
        content = self._writer.json(identity, predictions, request.rows, fallback)
        if fallback:
            return Answer(200, content, (_JSON_TYPE, (b"x-model-fallback", fallback.encode())))
        return Answer(200, content)

    def _refused(self, error: InferenceError | BadRequestError) -> Answer:
        if isinstance(error, BadRequestError):
            self._requests.errors["schema"] += 1
            self._requests.violated(error.feature, error.kind)
            return _error(400, str(error))
        self._requests.errors[error.kind] += 1
        return _refusal(error)

    def _found(self, path: str) -> str:
        """Return what of the model a path asks for; raise InferenceError when it names another model or version."""
        engine = self.engine
        if engine is None:
            raise InferenceError(503, "loading", "the model is still loading")
        match = _MODEL_PATH.fullmatch(path)
        if not match or match[1] != engine.name:
            raise InferenceError(404, "path", f"no such model here; the model is at /v2/models/{engine.name}")
        if match[2] not in (None, engine.version):
            raise InferenceError(404, "path", f"no such version here; model {engine.name!r} is at {engine.version!r}")
        return match[3] or ""

    def _get(self, method: str, path: str) -> Answer:
        handler = self._gets.get(path.rstrip("/") or "/") or self._model_handler(path)
        if handler is None:
            place = f"/v2/models/{self.engine.name}" if self.engine else "still loading"
            return _error(404, f"nothing at {path[:120]!r}; the model is at {place}")
        if method not in ("GET", "HEAD"):
            return _error(405, f"{path} answers GET only", allow="GET, HEAD")
        return handler()

    def _model_handler(self, path: str) -> Callable[[], Answer] | None:
        if not path.startswith("/v2/models/"):
            return None
        try:
            asked = self._found(path)
        except InferenceError as error:
            refusal = _refusal(error)
            return lambda: refusal
        return self._model_ready if asked == "/ready" else self._metadata

    def _server(self) -> Answer:
        extensions = ["binary_tensor_data"]
        return _json(200, {"name": "model-server", "version": __version__, "extensions": extensions})

    def _ready(self) -> Answer:
        ready = self._state.ready
        return _json(200 if ready else 503, {"live": True, "ready": ready})

    def _model_ready(self) -> Answer:
        ready = self._state.ready
        return _json(200 if ready else 503, {"name": self.engine.name if self.engine else "", "ready": ready})

    def _metadata(self) -> Answer:
        if self.engine is None:
            return _error(503, "the model is still loading", retry_after="1")
        return _json(200, protocol.metadata(self.engine.model, self.engine.name, self.engine.version))

    async def _feedback(self, scope: MutableMapping[str, Any], receive: Receive) -> Answer:
        if scope["method"] != "POST":
            return _error(405, "feedback takes POST only", allow="POST")
        body = await _read_on(await receive(), receive, self._max_body)
        if len(body) > self._max_body:
            return _error(413, f"the body is larger than {self._max_body} bytes", connection="close")
        if self.signals.labels is None:
            return _error(503, "the model is still loading", retry_after="1")
        labels = self.signals.labels
        forwarded = any(name == FORWARDED for name, _ in scope["headers"])
        try:
            counts, unknown = feedback.take(body, labels, forwarded=forwarded)
        except feedback.FeedbackError as error:
            return _error(400, str(error))
        elsewhere = await self._peers.ask(unknown) if self._peers and unknown else None
        feedback.settle(counts, unknown, labels, elsewhere)
        return _json(200, counts)

    def _messages(self, answer: Answer, request_id: str) -> tuple[Message, Message]:
        headers = [
            *answer.headers,
            (b"content-length", b"%d" % len(answer.body)),
            (b"x-request-id", request_id.encode("latin-1")),
            *self._about,
        ]
        if self._state.draining:
            # A gateway that keeps this connection would lose a request on it when the process ends.
            headers.append((b"connection", b"close"))
        head = {"type": "http.response.start", "status": answer.status, "headers": headers}
        return head, {"type": "http.response.body", "body": answer.body}


def _origin(model: Model) -> str:
    """Return the hash of the model's file and where it came from, as one header: each costs a microsecond."""
    about = model.metadata
    known = {"sha256": model.sha256, "data": about.data, "run": about.run, "registry": about.registry_version}
    text = "; ".join(f"{name}={value}" for name, value in known.items() if value)
    return "".join(each if " " <= each <= "~" else "?" for each in text)


def _refusal(error: InferenceError) -> Answer:
    extra: dict[int, dict[str, str]] = {
        405: {"allow": "POST"},
        413: {"connection": "close"},
        503: {"retry_after": "1"},
    }
    return _error(error.status, str(error), **extra.get(error.status, {}))


async def _read_on(message: Message, receive: Receive, limit: int) -> bytes:
    """Return the request's body from its first message on; stop reading when it is larger than the limit.

    Raises _GoneError when the caller hung up.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise _GoneError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit or not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()


def _read_headers(headers: Headers) -> tuple[str, bytes | None]:
    """Return the caller's request id, or a new one, and the length of the JSON before binary tensors."""
    request_id, json_bytes = "", None
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            request_id = value.decode("ascii")
        elif name == b"inference-header-content-length":
            json_bytes = value
    return request_id or App.new_id(), json_bytes


def _length(text: bytes) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadRequestError("Inference-Header-Content-Length must be a whole number", "json") from None
