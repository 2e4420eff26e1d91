"""Recorded Prometheus data: one answer of `/api/v1/query_range` for each metric, in one JSON file.

    {"stable": "REVISION", "candidate": "REVISION", "namespace": "default", "step": 15, "from": UNIX_SECONDS,
     "metrics": {"errors": {"status": "success", "data": {"resultType": "matrix", "result": [...]}}, ...}}

A metric of one's own that is compared has two answers, `NAME/stable` and `NAME/candidate`. All but `metrics` may be
left out; answers may also stand at the top, without `metrics`. Samples lie on a grid of `step` seconds; those before
`from` are the past that tells how stable's bad requests scatter.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

MOST: Final = 100_000
"""Instants of one recording."""
_KNOWN: Final = frozenset({"stable", "candidate", "namespace", "step", "start", "end", "from", "metrics"})

Answers = Mapping[str, list[Any]]
"""Series of each answer, by metric."""


class InvalidRecording(ValueError):
    """A recording that cannot be replayed; the text names field, fault and remedy."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded, on a grid of instants."""

    answers: Answers
    start: int
    end: int
    step: int
    stable: str | None = None
    candidate: str | None = None
    namespace: str | None = None
    since: int = 0
    """Windows that begin before are the past (Unix seconds)."""

    @property
    def instants(self) -> tuple[int, ...]:
        """The instants, Unix seconds."""
        return tuple(range(self.start, self.end + 1, self.step))

    def as_json(self) -> str:
        """Write it as a file."""
        document = {
            "stable": self.stable,
            "candidate": self.candidate,
            "namespace": self.namespace,
            "step": self.step,
            "start": self.start,
            "end": self.end,
            "from": self.since,
            "metrics": {
                name: {"status": "success", "data": {"resultType": "matrix", "result": entries}}
                for name, entries in self.answers.items()
            },
        }
        return json.dumps({key: value for key, value in document.items() if value is not None})


def load(text: str) -> Recording:
    """Read a recording. Raises InvalidRecording."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRecording(f"not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise InvalidRecording('must be an object such as {"metrics": {"errors": ANSWER}}')
    metrics = raw.get("metrics", {key: value for key, value in raw.items() if key not in _KNOWN})
    if not isinstance(metrics, dict) or not metrics:
        raise InvalidRecording("metrics: must hold an answer of /api/v1/query_range for each metric, and has none")
    answers = {name: _entries(name, answer) for name, answer in metrics.items()}
    times = sorted({time for entries in answers.values() for entry in entries for time in _times(entry)})
    if not times:
        raise InvalidRecording("metrics: no answer has a sample; record a stretch of time with traffic")
    step = _step(raw.get("step"), times)
    start = _whole(raw, "start", times[0])
    end = _whole(raw, "end", times[-1])
    if end <= start or (end - start) // step > MOST:
        raise InvalidRecording(f"start, end: must be a stretch of time of at most {MOST} steps of {step} s")
    stable, candidate, namespace = (_text(raw, key) for key in ("stable", "candidate", "namespace"))
    end = start + (end - start) // step * step
    return Recording(answers, start, end, step, stable, candidate, namespace, _whole(raw, "from", 0))


def _entries(name: str, answer: object) -> list[Any]:
    """Return the series of an answer, whole or as its `data` or its `result` alone."""
    here = f"metrics.{name}"
    if isinstance(answer, dict) and answer.get("status") not in (None, "success"):
        raise InvalidRecording(f"{here}.status: is {answer['status']!r}; record it again")
    if isinstance(answer, dict) and "data" in answer:
        answer, here = answer["data"], f"{here}.data"
    if isinstance(answer, dict):
        if answer.get("resultType", "matrix") != "matrix":
            raise InvalidRecording(f"{here}.resultType: is {answer['resultType']!r}; a range query gives matrix")
        answer, here = answer.get("result"), f"{here}.result"
    if not isinstance(answer, list):
        raise InvalidRecording(f"{here}: must be a list of series, as /api/v1/query_range returns")
    return answer


def _times(entry: object) -> list[float]:
    values = (entry.get("values") or entry.get("histograms") or []) if isinstance(entry, dict) else []
    return [
        sample[0]
        for sample in values
        if isinstance(sample, list) and sample and isinstance(sample[0], int | float) and math.isfinite(sample[0])
    ]


def _step(given: object, times: list[float]) -> int:
    gaps = {round(later - earlier) for earlier, later in pairwise(times)}
    step = given if given is not None else math.gcd(*gaps) if gaps else 0
    if isinstance(step, bool) or not isinstance(step, int) or not 1 <= step <= 3600:
        raise InvalidRecording(f"step: is {step!r}; the seconds between instants, a whole number from 1 to 3600")
    return step


def _whole(raw: Mapping[str, Any], name: str, other: float) -> int:
    value = raw.get(name, other)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise InvalidRecording(f"{name}: is {value!r}; write Unix seconds")
    return int(value)


def _text(raw: Mapping[str, Any], name: str) -> str | None:
    value = raw.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidRecording(f"{name}: is {value!r}; write a text")
    return value
