"""What `plan` asks the shell to do, in order; each action is idempotent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from modelrollout.api.gates import Gate
from modelrollout.api.status import Move, Status
from modelrollout.api.strategy import Comparer
from modelrollout.core.split import Split


@dataclass(frozen=True, slots=True)
class EnsureRevision:
    """Apply the Deployment and Service of a revision; the template is the spec's own when it is new."""

    revision: str
    replicas: int


@dataclass(frozen=True, slots=True)
class ScaleRevision:
    """Set the replicas of a Deployment that exists."""

    revision: str
    replicas: int


@dataclass(frozen=True, slots=True)
class DeleteRevision:
    """Delete the Deployment and Service of a revision that nobody needs any more."""

    revision: str


@dataclass(frozen=True, slots=True)
class SetRoute:
    """Write the route so that it says this."""

    split: Split
    latch: str | None = None
    """Names the attempt that this very write rolls back.

    A rollback writes the route first and the status second. Should the operator die in between, the latch
    on the route tells its successor that the attempt is over; it can only take traffic from a candidate.
    """


@dataclass(frozen=True, slots=True)
class SetPreview:
    """Point the preview Service at a revision; None: nobody asks for it any more."""

    revision: str | None


@dataclass(frozen=True, slots=True)
class EnsureBudget:
    """Apply the PodDisruptionBudget that the spec asks for, or delete ours where it asks for none."""


@dataclass(frozen=True, slots=True)
class EnsureComparer:
    """Run a comparer between these two, by the settings of this step."""

    stable: str
    candidate: str
    settings: Comparer


@dataclass(frozen=True, slots=True)
class DeleteComparer:
    """Delete the comparer; nobody mirrors to it any more."""


@dataclass(frozen=True, slots=True)
class OpenGate:
    """Begin a gate's check, or look after one that was begun; `Observed.gate` tells what came of it.

    `id` names this run of it: the same id is never carried out twice, even by another operator's successor, as far
    as the kind of gate allows.
    """

    id: str
    gate: Gate
    stable: str
    candidate: str
    step: int = 0
    """Position among the steps, from 0."""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class CloseGate:
    """Stop what is left of a gate's check: nobody waits for it any more."""

    id: str


@dataclass(frozen=True, slots=True)
class SaveStatus:
    """Write `Plan.status` with the resourceVersion it was read at."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Emit one Kubernetes event for a move; with `notify` also tell the notifiers."""

    move: Move
    warning: bool = False
    notify: bool = False


Action = (
    EnsureRevision
    | ScaleRevision
    | DeleteRevision
    | SetRoute
    | SetPreview
    | EnsureBudget
    | EnsureComparer
    | DeleteComparer
    | OpenGate
    | CloseGate
    | SaveStatus
    | Announce
)


@dataclass(frozen=True, slots=True)
class Watch:
    """Evidence that the shell should gather for this rollout from now on."""

    stable: str
    candidate: str
    since: int
    """Start of the first window still to be counted; Unix seconds, on the window grid."""
    metrics: tuple[str, ...]
    past: tuple[str, ...] = ()
    """Metrics for which the hour of stable before `since` is wanted too."""
    presets: Mapping[str, str] = field(default_factory=dict)
    """Metric to the preset that it is read by in this step, where that is not its own."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, what to remember, and when to look again."""

    actions: tuple[Action, ...]
    status: Status
    requeue_after: timedelta | None = None
    """None: only a change of something observed can matter; an idle rollout costs nothing."""
    watch: Watch | None = None
