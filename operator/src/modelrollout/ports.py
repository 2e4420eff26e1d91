"""What the core and the shell need of the world, as protocols; adapters implement them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from modelrollout.api.resource import ModelRollout
from modelrollout.api.status import Move, Status
from modelrollout.core.actions import Watch
from modelrollout.core.evidence.windows import Reading
from modelrollout.core.observed import Route


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Identity of a rollout."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class TransientError(Exception):
    """Something that may go away by itself: try again later."""


class ConflictError(TransientError):
    """The object changed since it was read: read it again and plan anew."""


class TerminalError(Exception):
    """The API server refuses what the spec asks for; only a change of the spec helps. Says field and fault."""


class Cluster(Protocol):
    """The API server, for what we own; every write is a server-side apply with our field manager."""

    async def apply_revision(
        self, rollout: ModelRollout, revision: str, template: Mapping[str, Any] | None, replicas: int
    ) -> None:
        """Apply Deployment and Service of a revision. `template` None: keep the Deployment's own."""

    async def scale_revision(self, rollout: ModelRollout, revision: str, replicas: int) -> None:
        """Set the replicas of a revision's Deployment."""

    async def delete_revision(self, rollout: ModelRollout, revision: str) -> None:
        """Delete Deployment and Service of a revision; absent ones are fine."""

    async def save_status(self, rollout: ModelRollout, status: Status) -> str:
        """Write the status at the rollout's resourceVersion; returns the new one. ConflictError when stale."""

    async def announce(self, rollout: ModelRollout, move: Move, warning: bool) -> None:
        """Create one Kubernetes event about a move."""

    async def pod_trouble(self, rollout: ModelRollout, revision: str) -> tuple[str | None, bool]:
        """Say why pods of a revision are not ready, and whether they crash again and again."""


class TrafficRouter(Protocol):
    """One way to split requests; one file each under adapters/routers."""

    async def set(self, rollout: ModelRollout, weights: Mapping[str, int], latch: str | None) -> None:
        """Write the route with these weights."""

    def read(self, rollout: ModelRollout, raw: Mapping[str, Any] | None) -> Route | None:
        """Interpret the route object as last watched."""


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
