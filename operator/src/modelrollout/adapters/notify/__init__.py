"""Notifiers: people are told of moves, outside of the cluster.

Another package brings one with an entry point in the group `modelrollout.notifiers`: a callable, or a coroutine
function, that takes the rollout (`ModelRollout`) and the move (`Move`). It is called in the order of moves and one
at a time, a plain callable in a thread of its own; what it raises is logged and counted, and never tried again.
"""

from modelrollout.adapters.notify.queue import Notices, installed
from modelrollout.api.resource import ModelRollout
from modelrollout.api.status import Move

__all__ = ["Notices", "Silent", "installed"]


class Silent:
    """Tells nobody; implements ports.Notifier."""

    def notify(self, rollout: ModelRollout, move: Move) -> None:
        """Do nothing."""
