"""Requests as they are sent on, and what came back."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from multidict import CIMultiDict

CODES: Final = ("2xx", "3xx", "4xx", "5xx", "timeout", "unreachable")
"""How a request ended, as it is counted."""
JSON_BYTES: Final = "Inference-Header-Content-Length"
"""The header that says how many bytes of a body are JSON, where binary tensors follow."""


@dataclass(frozen=True, slots=True)
class Request:
    """A mirrored request, with what is sent on of its headers."""

    method: str
    target: str
    """Path and query, as they came."""
    headers: CIMultiDict[str]
    body: bytes
    id: str
    json_bytes: int | None = None
    """How many bytes of the body are JSON, where binary tensors follow."""

    @property
    def path(self) -> str:
        """The path without its query."""
        return self.target.partition("?")[0]


class End(StrEnum):
    """How asking ended."""

    ANSWERED = "answered"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    TOO_LARGE = "too large"
    """An answer with more bytes than are read; its status is known."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a revision answered."""

    end: End
    seconds: float
    """From before it was asked to the last byte."""
    status: int = 0
    body: bytes = b""
    content_type: str = ""
    json_bytes: int | None = None
    """How many bytes of the body are JSON, where binary tensors follow."""
    fault: str = ""
    """Why there is no answer, in few words."""

    @property
    def failed(self) -> bool:
        """Whether the server could not answer, rather than would not."""
        return self.end in (End.TIMEOUT, End.UNREACHABLE) or self.status >= 500

    @property
    def code(self) -> str:
        """How it is counted: one of CODES."""
        if self.end in (End.TIMEOUT, End.UNREACHABLE):
            return self.end.value
        return f"{min(max(self.status // 100, 2), 5)}xx"


def json_bytes(headers: Mapping[str, str]) -> int | None:
    """Return how many bytes of a body are JSON, where its headers say that not all are."""
    text = headers.get(JSON_BYTES)
    return int(text) if text is not None and text.isdecimal() and len(text) <= 12 else None
