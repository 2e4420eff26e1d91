"""One rollout as a page tells it, be it simulated or recorded."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One move, or something else to be told."""

    time: float
    """Seconds from the page's second 0."""
    weight: int
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Mark:
    """What was known at the end of a window."""

    time: float
    share: float
    """The candidate's per cent of requests."""
    stable: tuple[int, int]
    """Requests and failed ones counted so far."""
    candidate: tuple[int, int]
    harm: dict[str, float]
    """Log e-value for harm by metric."""


@dataclass(frozen=True, slots=True)
class Story:
    """What is shown of one rollout."""

    title: str
    subtitle: str
    outcome: str
    facts: tuple[tuple[str, str], ...]
    """Names and values."""
    events: tuple[Event, ...]
    marks: tuple[Mark, ...]
    limit: float
    """Log e-value at which the rollout is rolled back."""
