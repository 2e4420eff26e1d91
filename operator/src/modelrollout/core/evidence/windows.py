"""Windows of counts, and what a metrics provider answers for a rollout."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Series:
    """One counter as the provider holds it, at the aligned instants of `Reading.instants`."""

    bad: bool
    """Errors: whether this series counts failed requests. Latency: unused."""
    le: float | None
    """Latency: upper bound of the bucket in seconds (`inf` for the last). Errors: None."""
    source: str
    """Who counts: the scraped instance. A series born at a source already known counts from 0."""
    values: tuple[float | None, ...]
    """One value an instant; None where the series did not exist."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The provider's answer about one metric: data, no data (empty series), or an error. Never a mixture."""

    instants: tuple[int, ...] = ()
    """Aligned instants in Unix seconds, ascending; k+1 instants bound k windows."""
    stable: tuple[Series, ...] = ()
    candidate: tuple[Series, ...] = ()
    error: str | None = None
    """Set when the provider did not answer; then everything else is empty."""


@dataclass(frozen=True, slots=True)
class Window:
    """Requests and bad ones of both revisions within one window."""

    end: int
    """Unix seconds."""
    n_c: int
    x_c: int
    n_s: int
    x_s: int
