"""What goes back over HTTP, before it has the headers that every answer has."""

import json
from typing import NamedTuple

from model_server.engine import InferenceError
from model_server.protocol import JSON

Headers = tuple[tuple[bytes, bytes], ...]

JSON_TYPE: Headers = ((b"content-type", JSON.encode()),)
BINARY_TYPE: Headers = ((b"content-type", b"application/octet-stream"),)
_EXTRA: dict[int, dict[str, str]] = {
    405: {"allow": "POST"},
    413: {"connection": "close"},
    503: {"retry_after": "1"},
}


class Answer(NamedTuple):
    """An HTTP answer; `headers` come in addition to those that every answer has."""

    status: int
    body: bytes
    headers: Headers = JSON_TYPE


def document(status: int, content: object, **headers: str) -> Answer:
    """Return an answer of JSON; names of headers are written with underscores."""
    extra = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Answer(status, json.dumps(content, separators=(",", ":")).encode(), (*JSON_TYPE, *extra))


def error(status: int, text: str, **headers: str) -> Answer:
    """Return an answer that says what was wrong."""
    return document(status, {"error": text}, **headers)


def refusal(reason: InferenceError) -> Answer:
    """Return the answer to a request that gets no prediction."""
    return error(reason.status, str(reason), **_EXTRA.get(reason.status, {}))
