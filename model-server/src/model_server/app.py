"""The HTTP side: a plain ASGI application, driven without a framework."""

import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from model_server import __version__, answers, feedback, protocol
from model_server.answers import Answer
from model_server.engine import Engine, InferenceError, State
from model_server.inference import Inference, read_headers, refused
from model_server.model import Model
from model_server.openapi import document
from model_server.peers import FORWARDED, Peers
from model_server.protocol import BadRequestError
from model_server.settings import Settings
from model_server.signals import CONTENT_TYPE, Signals

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

MAX_BODY = 1 << 20
_MODEL_PATH = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?(/infer|/ready)?")


class _GoneError(Exception):
    """The caller hung up."""


class App:
    """Answers health, metadata, inference, feedback and metrics requests."""

    def __init__(self, settings: Settings, model: Model | None, state: State, previous: Model | None = None) -> None:
        self._settings, self._state, self.max_body = settings, state, settings.max_body
        self.signals = Signals()
        self._requests = self.signals.requests
        self._inference: Inference | None = None
        self._infer_path, self._at_once_path = "", b""
        self._peers = Peers(settings.feedback_peers) if settings.feedback_peers else None
        self._gets: dict[str, Callable[[], Answer]] = {
            "/v2": self._server,
            "/v2/health/live": lambda: answers.document(200, {"live": True}),
            "/v2/health/ready": self._ready,
            "/metrics": lambda: Answer(200, self.signals.render(), ((b"content-type", CONTENT_TYPE.encode()),)),
            "/openapi.json": lambda: answers.document(200, document(*self._names())),
        }
        if model:
            self.install(model, previous)

    @property
    def engine(self) -> Engine | None:
        """The model that is served, once there is one."""
        return self._inference.engine if self._inference else None

    def install(self, model: Model, previous: Model | None = None) -> None:
        """Begin to serve a model.

        Raises ModelError when it does not fit the settings.
        """
        self._inference = Inference(Engine(self._settings, model, self.signals, previous))
        self._infer_path = self._inference.path
        self._at_once_path = b"" if self._inference.engine.faulty else self._infer_path.encode()

    def at_once(self, path: bytes) -> Inference | None:
        """Return what answers POST requests for this path at once, as far as all is as it should be now."""
        if path != self._at_once_path or not self._state.loaded or self._state.draining:
            return None
        return self._inference if self._requests.in_flight < self._settings.max_in_flight else None

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
        for message in self._messages(answer, read_headers(scope["headers"])[0]):
            await send(message)

    async def _infer(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer an inference request, and count it; one coroutine, as each more costs half a microsecond."""
        started, code = time.perf_counter(), None
        requests = self._requests
        requests.in_flight += 1
        request_id, json_bytes = read_headers(scope["headers"])
        try:
            try:
                inference = self._admit(scope)
                message = await receive()
                if message.get("more_body", True):
                    body = await _read_on(message, receive, self.max_body)
                else:
                    body = message["body"]
                if len(body) > self.max_body:
                    text = f"the body is larger than {self.max_body} bytes; send fewer rows"
                    raise InferenceError(413, "size", text)
                request = inference.read(body, json_bytes)
                engine = inference.engine
                struck = await engine.strike(started) if engine.faulty else None
                answer = inference.answer(request, request_id, started, struck)
            except (InferenceError, BadRequestError) as error:
                answer = refused(error, requests)
            for each in self._messages(answer, request_id):
                await send(each)
            code = answer.status
        except _GoneError:
            pass
        finally:
            requests.ended(code, time.perf_counter() - started)

    def _admit(self, scope: MutableMapping[str, Any]) -> Inference:
        if scope["method"] != "POST":
            raise InferenceError(405, "path", "inference takes POST only")
        if scope["path"] != self._infer_path and self.engine:
            self._found(scope["path"])
        if self._requests.in_flight > self._settings.max_in_flight:
            raise InferenceError(503, "limit", f"more than {self._settings.max_in_flight} requests at once; try later")
        if self._inference is None or not self._state.loaded:
            raise InferenceError(503, "loading", "the model is still loading")
        return self._inference

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
            return answers.error(404, f"nothing at {path[:120]!r}; the model is at {place}")
        if method not in ("GET", "HEAD"):
            return answers.error(405, f"{path} answers GET only", allow="GET, HEAD")
        return handler()

    def _model_handler(self, path: str) -> Callable[[], Answer] | None:
        if not path.startswith("/v2/models/"):
            return None
        try:
            asked = self._found(path)
        except InferenceError as error:
            refusal = answers.refusal(error)
            return lambda: refusal
        return self._model_ready if asked == "/ready" else self._metadata

    def _names(self) -> tuple[str, str]:
        return (self.engine.name, self.engine.version) if self.engine else ("model", "1")

    def _server(self) -> Answer:
        extensions = ["binary_tensor_data"]
        return answers.document(200, {"name": "model-server", "version": __version__, "extensions": extensions})

    def _ready(self) -> Answer:
        ready = self._state.ready
        return answers.document(200 if ready else 503, {"live": True, "ready": ready})

    def _model_ready(self) -> Answer:
        ready = self._state.ready
        return answers.document(
            200 if ready else 503, {"name": self.engine.name if self.engine else "", "ready": ready}
        )

    def _metadata(self) -> Answer:
        if self.engine is None:
            return answers.error(503, "the model is still loading", retry_after="1")
        return answers.document(200, protocol.metadata(self.engine.model, self.engine.name, self.engine.version))

    async def _feedback(self, scope: MutableMapping[str, Any], receive: Receive) -> Answer:
        if scope["method"] != "POST":
            return answers.error(405, "feedback takes POST only", allow="POST")
        body = await _read_on(await receive(), receive, self.max_body)
        if len(body) > self.max_body:
            return answers.error(413, f"the body is larger than {self.max_body} bytes", connection="close")
        if self.signals.labels is None:
            return answers.error(503, "the model is still loading", retry_after="1")
        labels = self.signals.labels
        forwarded = any(name == FORWARDED for name, _ in scope["headers"])
        try:
            counts, unknown = feedback.take(body, labels, forwarded=forwarded)
        except feedback.FeedbackError as error:
            return answers.error(400, str(error))
        elsewhere = await self._peers.ask(unknown) if self._peers and unknown else None
        feedback.settle(counts, unknown, labels, elsewhere)
        return answers.document(200, counts)

    def _messages(self, answer: Answer, request_id: str) -> tuple[Message, Message]:
        headers = [
            *answer.headers,
            (b"content-length", b"%d" % len(answer.body)),
            (b"x-request-id", request_id.encode("latin-1")),
            *(self._inference.about if self._inference else ()),
        ]
        if self._state.draining:
            # A gateway that keeps this connection would lose a request on it when the process ends.
            headers.append((b"connection", b"close"))
        head = {"type": "http.response.start", "status": answer.status, "headers": headers}
        return head, {"type": "http.response.body", "body": answer.body}


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
