"""What the shell saw, handed to `plan` as plain frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from modelrollout.api.status import GateState
from modelrollout.core.evidence.windows import Reading
from modelrollout.core.split import Split


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
    """What the route objects say, as last read back."""

    split: Split
    """Weights are those of every backend that they name."""
    current: bool
    """False where somebody else changed a part that we own: it has to be written again."""
    accepted: bool
    """The gateway confirmed this very generation of the object."""
    latch: str | None = None
    """The attempt that was rolled back (see `SetRoute.latch`)."""
    problem: str | None = None
    """Why the gateway refuses it, in words."""
    kept: frozenset[str] = frozenset()
    """Revisions that it still names though no request reaches them: their Services must stay."""

    @property
    def weights(self) -> Mapping[str, int]:
        """Revision to weight, for every backend that is named."""
        return self.split.weights


@dataclass(frozen=True, slots=True)
class GateResult:
    """How far the check of a gate is."""

    id: str
    state: GateState
    message: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ComparerState:
    """The Deployment of the comparer."""

    stable: str
    candidate: str
    """The revisions that it compares."""
    settings: str
    """Digest of the settings that it runs with; see core.comparer."""
    ready: bool


@dataclass(frozen=True, slots=True)
class Request:
    """Something that a person asked for."""

    id: str
    action: Literal["promote", "abort", "pause", "resume", "retry", "undo", "approve"]
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
    gate: GateResult | None = None
    """Of the gate that was opened last."""
    comparer: ComparerState | None = None
    preview: str | None = None
    """The revision that the preview Service points at; '' for one that has to be written anew."""
    caught_up: bool = True
    """The operator has read evidence since it took over: a status may be older than what happened meanwhile."""
    budget_fits: bool = True
    """The PodDisruptionBudget is what the spec asks for."""
    terminal: str | None = None
    """Why the cluster refuses what the spec asks for; a person must change the spec."""
    aside: str | None = None
    """The same of something beside the traffic, which goes on without it."""
