"""What the comparer is started with, and how quantities are read."""

import re
from dataclasses import dataclass, field
from typing import Final

from modelrollout.comparer.paths import Paths
from modelrollout.comparer.rules import Rules

_UNITS: Final = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_BYTES: Final = re.compile(r"([0-9]{1,12})(Ki|Mi|Gi|)")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the revisions that are asked."""

    revision: str
    url: str
    """Scheme, host and port, and perhaps a path that comes before that of every request."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds time and memory. Sizes are bytes, times are seconds."""

    timeout: float = 5.0
    """An answer that takes longer is late."""
    concurrency: int = 64
    """Requests that are compared at the same time."""
    queue: int = 256
    """Requests that wait for it."""
    queue_bytes: int = 64 * 2**20
    """Of all request bodies that are held, waiting or not."""
    max_body: int = 2**20
    """Of one request."""
    max_answer: int = 2**20
    """Of one answer; what is larger makes no pair."""
    samples: int = 50
    """Disagreements that are kept."""
    samples_bytes: int = 4 * 2**20
    """Of all that are kept."""
    drain: float = 5.0
    """Longest time that comparisons get to end after SIGTERM."""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, read and checked."""

    namespace: str
    rollout: str
    stable: Side
    candidate: Side
    rules: Rules = field(default_factory=Rules)
    limits: Limits = field(default_factory=Limits)
    noise: float = 0.05
    """Share of requests for which stable is asked twice."""
    redact: Paths = field(default_factory=Paths)
    keep_inputs: bool = False
    host: str = "0.0.0.0"  # noqa: S104
    port: int = 8080
    metrics_host: str = "0.0.0.0"  # noqa: S104
    metrics_port: int = 8081


def parse_bytes(text: str) -> int:
    """Read a size such as `1Mi` or `65536`. Raises ValueError, saying what a size looks like, for anything else."""
    match = _BYTES.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{text!r} is no size; write for instance 512Ki, 1Mi or 65536")
    return int(match[1]) * _UNITS[match[2]]
