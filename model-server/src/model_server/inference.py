"""Inference requests over HTTP, from their bytes to the bytes of their answers."""

import logging
import os
import re
import time
from collections.abc import Iterable
from itertools import count

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from model_server import answers
from model_server.answers import BINARY_TYPE, JSON_TYPE, Answer
from model_server.codec import Reader, Writer
from model_server.engine import Engine, InferenceError
from model_server.model import Model
from model_server.protocol import BadRequestError, InferRequest
from model_server.signals.requests import Requests

Headers = Iterable[tuple[bytes, bytes]]

_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_NEXT = count(int.from_bytes(os.urandom(7), "big"))
_PROCESS = os.urandom(8).hex()

log = logging.getLogger("model_server")


def new_id() -> str:
    """Return an id for a request that came without one: 32 hexadecimal digits."""
    return f"{_PROCESS}{next(_NEXT):016x}"


def read_headers(headers: Headers) -> tuple[str, bytes | None]:
    """Return the caller's request id, or a new one, and the length of the JSON before binary tensors."""
    request_id, json_bytes = "", None
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            request_id = value.decode("ascii")
        elif name == b"inference-header-content-length":
            json_bytes = value
    return request_id or new_id(), json_bytes


def refused(error: InferenceError | BadRequestError, requests: Requests) -> Answer:
    """Return the answer to a request that gets no prediction, and count why."""
    if isinstance(error, BadRequestError):
        requests.errors["schema"] += 1
        requests.violated(error.feature, error.kind)
        return answers.error(400, str(error))
    requests.errors[error.kind] += 1
    return answers.refusal(error)


class Inference:
    """Answers the inference requests of one model. `about` are the headers that tell of the model."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self._requests = engine, engine.signals.requests
        self._reader, self._writer = Reader(engine.model), Writer(engine.model, engine.name, engine.version)
        self.path = f"/v2/models/{engine.name}/infer"
        self.about = (
            (b"x-model-name", engine.name.encode()),
            (b"x-model-version", engine.version.encode()),
            (b"x-model-origin", _origin(engine.model).encode("latin-1", "replace")),
        )
        self._more: Headers | None = None
        self._end = b""

    def read(self, body: bytes, json_bytes: bytes | None) -> InferRequest:
        """Read a request; of one with binary tensors the first `json_bytes` (a number, as text) are JSON.

        Raises BadRequestError.
        """
        return self._reader.read(body, None if json_bytes is None else _length(json_bytes))

    def answer(
        self, request: InferRequest, request_id: str, started: float, struck: InferenceError | None = None
    ) -> Answer:
        """Return the answer to a request, as `Engine.infer`.

        Raises InferenceError.
        """
        predictions, fallback = self.engine.infer(request, request_id, started, struck)
        identity = request.id or request_id
        if request.binary:
            content, size = self._writer.binary(identity, predictions, request.rows, fallback)
            return Answer(200, content, (*BINARY_TYPE, (b"inference-header-content-length", b"%d" % size)))
        content = self._writer.json(identity, predictions, request.rows, fallback)
        if fallback:
            return Answer(200, content, (*JSON_TYPE, (b"x-model-fallback", fallback.encode())))
        return Answer(200, content)

    def at_once(self, headers: Headers, body: bytes, more: Headers) -> bytes:
        """Return all bytes of the answer to a request that came whole; `more` are headers that the server adds.

        This is the way that nearly all requests take. Nothing is awaited on it: an answer takes microseconds, and
        each step through the event loop would be one more.
        """
        started = time.perf_counter()
        requests = self._requests
        requests.in_flight += 1
        request_id, json_bytes = read_headers(headers)
        try:
            answer = self.answer(self.read(body, json_bytes), request_id, started)
        except (InferenceError, BadRequestError) as error:
            answer = refused(error, requests)
        except Exception:
            log.exception("a request could not be answered")
            answer = answers.error(500, "inference failed")
        if more is not self._more:
            self._more, self._end = more, _lines((*self.about, *more)) + b"\r\n"
        status, content, special = answer
        line = _JSON_LINE if special is JSON_TYPE else _lines(special)
        parts = (STATUS_LINE[status], line, _LENGTH % (len(content), request_id.encode()), self._end, content)
        requests.ended(status, time.perf_counter() - started)
        return b"".join(parts)


_LENGTH = b"content-length: %d\r\nx-request-id: %b\r\n"


def _lines(headers: Headers) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])


_JSON_LINE = _lines(JSON_TYPE)


def _origin(model: Model) -> str:
    """Return the hash of the model's file and where it came from, as one header: each costs a microsecond."""
    about = model.metadata
    known = {"sha256": model.sha256, "data": about.data, "run": about.run, "registry": about.registry_version}
    text = "; ".join(f"{name}={value}" for name, value in known.items() if value)
    return "".join(each if " " <= each <= "~" else "?" for each in text)


def _length(text: bytes) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadRequestError("Inference-Header-Content-Length must be a whole number", "json") from None
