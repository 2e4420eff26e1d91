"""What the core and the shell need of the world, as protocols; adapters implement them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from modelrollout.api.resource import ModelRollout
from modelrollout.api.status import Move, Status
from modelrollout.api.strategy import Comparer
from modelrollout.core.actions import OpenGate, Watch
from modelrollout.core.evidence.windows import Reading
from modelrollout.core.observed import GateResult, Route
from modelrollout.core.split import Split


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Identity of a rollout."""

    namespace: str
    name: str

    @classmethod
    def of(cls, rollout: ModelRollout) -> "Key":
        """Return the identity of a rollout."""
        return cls(rollout.metadata.namespace, rollout.metadata.name)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class TransientError(Exception):
    """Something that may go away by itself: try again later."""


class ConflictError(TransientError):
    """The object changed since it was read: read it again and plan anew."""


class TerminalError(Exception):
    """The API server refuses what the spec asks for; only a change of the spec helps. Says field and fault."""


class AsideError(TerminalError):
    """The same of something beside the traffic: a person is told, and the rollout goes on without it."""


class Cluster(Protocol):
    """The API server, for what we own; every write is a server-side apply with our field manager."""

    async def apply_revision(
        self, rollout: ModelRollout, revision: str, template: Mapping[str, Any] | None, replicas: int
    ) -> None:
        """Apply Deployment and Service of a revision. `template` None: keep the Deployment's own.

        As of everything here: TerminalError where an object of that name is somebody else's, which stays as it is.
        """

    async def scale_revision(self, rollout: ModelRollout, revision: str, replicas: int) -> None:
        """Set the replicas of a revision's Deployment."""

    async def delete_revision(self, rollout: ModelRollout, revision: str) -> None:
        """Delete Deployment and Service of a revision; absent ones are fine."""

    async def apply_preview(self, rollout: ModelRollout, revision: str | None) -> None:
        """Point the Service `<name>-preview` at a revision; None: delete ours."""

    async def apply_budget(self, rollout: ModelRollout) -> None:
        """Apply the PodDisruptionBudget of the spec; without one in the spec delete ours, if there is any.

        AsideError where it cannot be had: it guards against drained nodes, and no request needs it.
        """

    async def apply_comparer(self, rollout: ModelRollout, stable: str, candidate: str, settings: Comparer) -> None:
        """Apply Deployment and Service of the comparer between two revisions."""

    async def delete_comparer(self, rollout: ModelRollout) -> None:
        """Delete Deployment and Service of the comparer; absent ones are fine."""

    async def save_status(self, rollout: ModelRollout, status: Status) -> str:
        """Write the status at the rollout's resourceVersion; returns the new one. ConflictError when stale."""

    async def announce(self, rollout: ModelRollout, move: Move, warning: bool) -> None:
        """Create one Kubernetes event about a move."""

    async def pod_trouble(self, rollout: ModelRollout, revision: str) -> tuple[str | None, bool]:
        """Say why pods of a revision are not ready, and whether they crash again and again."""


class TrafficRouter(Protocol):
    """One way to split requests; one file each under adapters/routers."""

    async def learn(self, rollout: ModelRollout) -> None:
        """Read what `check` has to know of the gateways, where it does not know it yet; never raises.

        Not called for a rollout at rest, which costs no reads.
        """

    def check(self, rollout: ModelRollout) -> None:
        """Raise TerminalError where a field or step cannot be honoured: it names router, field or step, and remedy.

        What is not known of a gateway is no reason to refuse.
        """

    async def set(self, rollout: ModelRollout, split: Split, latch: str | None) -> None:
        """Write the route so that it says this. TerminalError where the route is somebody else's."""

    def read(self, rollout: ModelRollout) -> Route | None:
        """Interpret the route as last watched or written; None where there is none yet.

        Without a word of the gateway (a router whose objects have no status) a route counts as accepted as it is
        written. The split of a route that says what we wrote equals what was written, order of weights included.
        """


class Gates(Protocol):
    """Carries out the checks of gates, each once, in the background."""

    def result(self, key: Key) -> GateResult | None:
        """Return how far the check is that was opened last for a rollout; None where none was, or it was closed."""

    async def open(self, rollout: ModelRollout, gate: OpenGate) -> None:
        """Begin a check, or look after one that an earlier operator began. Idempotent for an id.

        TerminalError where it can never be carried out as it is written.
        """

    async def close(self, rollout: ModelRollout, ident: str) -> None:
        """Stop a check and forget what came of it; one that is over, or unknown, is fine."""

    def forget(self, key: Key) -> None:
        """Forget a rollout that is gone."""


class Notifier(Protocol):
    """Tells people of moves, outside of the cluster."""

    def notify(self, rollout: ModelRollout, move: Move) -> None:
        """Send a move on its way; never raises and never waits."""


class Metrics(Protocol):
    """A provider of counters."""

    async def read(
        self, watches: Mapping[Key, tuple[ModelRollout, Watch]], until: int
    ) -> Mapping[Key, Mapping[str, Reading]]:
        """Read every metric of every active rollout up to `until`: one query a metric and batch of rollouts.

        Never raises: a provider that does not answer gives readings with `error` set.
        """


class Clock(Protocol):
    """Time, so that simulation can own it."""

    def now(self) -> datetime:
        """Return the present moment, in UTC."""
