"""What the shell saw, handed to `plan` as plain frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from modelrollout.core.evidence.windows import Reading


@dataclass(frozen=True, slots=True)
class Workload:
    """The Deployment of one revision."""

    revision: str
    desired: int
    """Pods asked for in its spec."""
    ready: int
    """Ready pods, as far as the Deployment controller has seen this generation; 0 until it has."""
    total: int = 0
    """Pods that exist, ready or not."""
    deadline_exceeded: bool = False
    """The Deployment gave up: ProgressDeadlineExceeded."""
    image: str | None = None
    trouble: str | None = None
    """Why pods do not become ready, in words (`ImagePullBackOff: ...`), where known."""
    crash_loop: bool = False
    """Pods started and died again and again: no wait will mend it."""


@dataclass(frozen=True, slots=True)
class Route:
    """The route object as last read back."""

    weights: Mapping[str, int]
    """Revision to weight, for every backend that it names."""
    current: bool
    """False where somebody else changed a part that we own: it has to be written again."""
    accepted: bool
    """The gateway confirmed this very generation of the object."""
    latch: str | None = None
    """The attempt that was rolled back (see `SetRoute.latch`)."""
    problem: str | None = None
    """Why the gateway refuses it, in words."""


@dataclass(frozen=True, slots=True)
class Request:
    """Something that a person asked for."""

    id: str
    action: Literal["promote", "abort", "pause", "resume", "retry", "undo"]
    by: str = ""
    full: bool = False
    """promote: skip every further step."""
    to: str | None = None
    """undo: the revision to serve."""
    problem: str | None = None
    """Why the request cannot be understood; it is then recorded and not carried out."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything outside the resource that a decision may look at."""

    desired: str
    """Revision of `spec.template` (with tracked configuration)."""
    image: str | None = None
    """Image of the template's first container."""
    workloads: Mapping[str, Workload] = field(default_factory=dict)
    route: Route | None = None
    readings: Mapping[str, Reading] = field(default_factory=dict)
    """By metric name; a metric that was not asked for since the last plan is absent."""
    request: Request | None = None
    terminal: str | None = None
    """Why the cluster refuses what the spec asks for; a person must change the spec."""
