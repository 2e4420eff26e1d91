"""Notifiers: one file for each way to tell people of moves, outside of the cluster."""

from modelrollout.api.resource import ModelRollout
from modelrollout.api.status import Move


class Silent:
    """Tells nobody; implements ports.Notifier."""

    def notify(self, rollout: ModelRollout, move: Move) -> None:
        """Do nothing."""
