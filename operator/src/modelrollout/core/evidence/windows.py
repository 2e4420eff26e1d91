"""Windows of counts, and what a metrics provider answers for a rollout."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Series:
    """One counter as the provider holds it, at the aligned instants of `Reading.instants`."""

    bad: bool
    """Whether this series counts what is to be avoided: failed requests, wrong answers, disagreements."""
    le: float | None
    """Histograms: upper bound of the bucket (seconds for latency; `inf` for the last). Bins: their index."""
    source: str
    """Who counts: the scraped instance. A series born at a source already known counts from 0."""
    values: tuple[float | None, ...]
    """One value an instant; None where the series did not exist."""
    part: str = ""
    """The slice or the feature that it belongs to."""
    cohort: int | None = None
    """Delayed labels: when the cohort of predictions began; Unix seconds."""


@dataclass(frozen=True, slots=True)
class Past:
    """Counters of stable over the hour before evidence begins: what tells how its bad requests scatter."""

    instants: tuple[int, ...] = ()
    """Unix seconds, ascending, a minute or more apart."""
    stable: tuple[Series, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """The provider's answer about one metric: data, no data (empty series), or an error. Never a mixture."""

    instants: tuple[int, ...] = ()
    """Aligned instants in Unix seconds, ascending; k+1 instants bound k windows."""
    stable: tuple[Series, ...] = ()
    candidate: tuple[Series, ...] = ()
    error: str | None = None
    """Set when the provider did not answer; then everything else is empty."""
    past: Past | None = None
    """Where `Watch.past` asked for it."""


@dataclass(frozen=True, slots=True)
class Window:
    """Requests and bad ones of both revisions within one window."""

    end: int
    """Unix seconds."""
    n_c: int
    x_c: int
    n_s: int
    x_s: int
