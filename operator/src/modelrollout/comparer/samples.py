"""The last disagreements, for people to look at: bounded in number and bytes, and redacted whenever they are shown."""

import json
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from modelrollout.comparer.answers import Answer, Request
from modelrollout.comparer.compare import read
from modelrollout.comparer.paths import Paths, written
from modelrollout.comparer.rules import Compared

LARGEST: Final = 64 * 2**10
"""A body with more bytes is not kept: one that is cut could not be redacted."""
LONGEST: Final = 4096
"""Characters of a body that are shown."""
_OVERHEAD: Final = 1024


@dataclass(frozen=True, slots=True)
class _Body:
    """A body, unless it is too large."""

    content: bytes
    json_bytes: int | None
    size: int

    @classmethod
    def of(cls, content: bytes, json_bytes: int | None) -> "_Body":
        return cls(content if len(content) <= LARGEST else b"", json_bytes, len(content))

    def shown(self, redact: Paths) -> dict[str, Any]:
        """Return it as text: where anything is to be redacted, what is not JSON is not shown."""
        text = self._text(redact)
        cut = len(text) > LONGEST or len(self.content) < self.size
        return {"bytes": self.size, "body": text[:LONGEST], "truncated": cut}

    def _text(self, redact: Paths) -> str:
        document = read(self.content, self.json_bytes)
        try:
            if document.is_json:
                rest = f" and {len(document.rest)} bytes of binary tensors" if document.rest else ""
                return json.dumps(redact.redacted(document.value), ensure_ascii=False) + rest
        except RecursionError:
            pass
        return "[redacted: not JSON]" if redact and self.content else self.content.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class _Sample:
    """One disagreement. Of the request neither headers nor, unless asked for, query and body: they tell who asked."""

    at: datetime
    id: str
    method: str
    target: str
    request: _Body | None
    answers: tuple[tuple[Answer, _Body], tuple[Answer, _Body]]
    """Stable's and the candidate's; the answers themselves are without bodies."""
    found: Compared

    @property
    def held(self) -> int:
        """About how many bytes it holds."""
        request = len(self.request.content) if self.request else 0
        return _OVERHEAD + len(self.target) + request + sum(len(body.content) for _, body in self.answers)


class Samples:
    """The newest disagreements."""

    def __init__(self, most: int, most_bytes: int, redact: Paths, *, keep_inputs: bool) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._redact, self._keep_inputs = redact, keep_inputs
        self._kept: deque[_Sample] = deque()
        self.held = 0
        """About how many bytes are held."""

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, request: Request, stable: Answer, candidate: Answer, found: Compared) -> None:
        """Keep a disagreement, at the cost of the oldest ones."""
        sample = _Sample(
            datetime.now(UTC),
            request.id,
            request.method,
            request.target if self._keep_inputs else request.path,
            _Body.of(request.body, request.json_bytes) if self._keep_inputs else None,
            (_kept(stable), _kept(candidate)),
            found,
        )
        self._kept.append(sample)
        self.held += sample.held
        while self._kept and (len(self._kept) > self._most or self.held > self._most_bytes):
            self.held -= self._kept.popleft().held

    def shown(self) -> Iterator[dict[str, Any]]:
        """Yield them as JSON objects, newest first."""
        for sample in reversed(tuple(self._kept)):
            stable, candidate = (self._answer(*answer) for answer in sample.answers)
            yield {
                "time": sample.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "requestId": sample.id,
                "method": sample.method,
                "path": sample.target,
                "difference": _difference(sample.found),
                "stable": stable,
                "candidate": candidate,
                "request": sample.request.shown(self._redact) if sample.request else None,
            }

    def _answer(self, answer: Answer, body: _Body) -> dict[str, Any]:
        return {
            "status": answer.status,
            "seconds": round(answer.seconds, 6),
            "contentType": answer.content_type[:100],
            **body.shown(self._redact),
        }


def _difference(found: Compared) -> dict[str, Any]:
    largest = found.largest
    return {
        "kind": found.difference.kind.value if found.difference else "",
        "where": written(found.difference.location) if found.difference else "",
        # JSON has no infinity.
        "largest": str(largest) if largest is not None and math.isinf(largest) else largest,
        "rows": found.rows,
        "disagreeingRows": found.rows - found.agreeing,
    }


def _kept(answer: Answer) -> tuple[Answer, _Body]:
    bare = Answer(answer.end, answer.seconds, answer.status, content_type=answer.content_type)
    return bare, _Body.of(answer.body, answer.json_bytes)
