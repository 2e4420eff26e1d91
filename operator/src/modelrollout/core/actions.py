"""What `plan` asks the shell to do, in order; each action is idempotent."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from modelrollout.api.status import Move, Status


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
    """Write the route with these weights, which sum to 100; backends keep the order of the mapping."""

    weights: Mapping[str, int]
    latch: str | None = None
    """Names the attempt that this very write rolls back.

    A rollback writes the route first and the status second. Should the operator die in between, the latch
    on the route tells its successor that the attempt is over; it can only take traffic from a candidate.
    """


@dataclass(frozen=True, slots=True)
class SaveStatus:
    """Write `Plan.status` with the resourceVersion it was read at."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Emit one Kubernetes event for a move."""

    move: Move
    warning: bool = False


Action = EnsureRevision | ScaleRevision | DeleteRevision | SetRoute | SaveStatus | Announce


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


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, what to remember, and when to look again."""

    actions: tuple[Action, ...]
    status: Status
    requeue_after: timedelta | None = None
    """None: only a change of something observed can matter; an idle rollout costs nothing."""
    watch: Watch | None = None
