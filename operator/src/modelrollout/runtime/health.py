"""Whether the operator works: what its probes answer, from the times at which things last happened."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

LONGEST_SILENCE: Final = 300.0
"""Seconds; every watch hears at least a bookmark a minute, and is opened anew when it does not."""
LONGEST_STALL: Final = 120.0
"""Seconds that due work may wait while no reconcile ends."""


@dataclass
class Health:
    """Times on the event loop's clock; whoever does something notes it here."""

    queue: Callable[[], tuple[int, float]] = lambda: (0, 0.0)
    """Depth of the queue, and the age of its oldest key in seconds."""
    watches: Callable[[], Mapping[str, float]] = dict
    """Name of each watch, and when it last heard anything."""
    unsynced: Callable[[], list[str]] = list
    """Names of the caches that are not complete yet."""
    standby: bool = False
    """Waits for the lease: nothing to do, and nothing wrong."""
    leading: bool = False
    waits_for: str = "start"
    """What keeps it from being ready, before it leads or stands by."""
    last_reconcile: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    def reconciled(self) -> None:
        """Note that a reconcile ended, well or not."""
        self.last_reconcile = self._now()

    def illness(self) -> str | None:
        """Say why the process should be restarted; None when it should not."""
        now = self._now()
        for name, heard in self.watches().items():
            if now - heard > LONGEST_SILENCE:
                return f"the watch of {name} has been silent for {now - heard:.0f} s"
        depth, oldest = self.queue()
        if depth and oldest > LONGEST_STALL and now - self.last_reconcile > LONGEST_STALL:
            return f"{depth} rollouts wait, and no reconcile ended for {now - self.last_reconcile:.0f} s"
        return None

    def unreadiness(self) -> str | None:
        """Say why it is not ready; None when it leads with complete caches, or stands by."""
        if self.standby:
            return None
        if not self.leading:
            return f"waits for {self.waits_for}"
        missing = self.unsynced()
        return f"caches not complete: {', '.join(missing)}" if missing else None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
