"""What the operator was started with and decisions depend on."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Settings:
    """Fixed for the life of an operator."""

    window: int = 15
    """Length of a window of evidence in seconds: Prometheus's scrape interval."""
    settle: timedelta = timedelta(seconds=2)
    """Time that a gateway needs to apply a route that it has accepted."""
    report_every: timedelta = timedelta(seconds=60)
    """Longest time that fresh evidence waits to be written to status when nothing else is."""

    grain: timedelta = timedelta(milliseconds=200)
    """Shortest time until another look."""

    def grid(self, unix: float) -> int:
        """Return the first window boundary at or after a time."""
        return -int(-unix // self.window) * self.window

    def grid_before(self, unix: float) -> int:
        """Return the last window boundary at or before a time."""
        return int(unix // self.window) * self.window
