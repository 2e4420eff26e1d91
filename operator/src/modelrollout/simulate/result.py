"""What came of one run."""

from dataclasses import dataclass

from modelrollout.api.status import Move


@dataclass(frozen=True, slots=True)
class Told:
    """One move, as the operator tells it."""

    time: float
    """Seconds after the template was applied."""
    move: Move


@dataclass(frozen=True, slots=True)
class Point:
    """What one window showed, for pictures."""

    time: float
    weight: int
    stable: tuple[int, int]
    """Requests and failed ones counted so far."""
    candidate: tuple[int, int]
    harm: dict[str, float]
    """Log e-value for harm by metric."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a run. Times are in seconds from the candidate's first traffic where not said otherwise."""

    outcome: str
    """promoted, rolledBack, paused, open; reported: a shadow alone is over."""
    time: float | None
    """When it was promoted, rolled back or reported."""
    weight: int
    """The candidate's share of traffic at the end."""
    reason: str
    excess: float
    first: float | None
    """When the candidate first took requests or copies of them, after the template was applied."""
    path: tuple[tuple[float, float], ...]
    """The candidate's per cent of users' requests from each moment on (seconds after the template), until the end."""
    broken: tuple[str, ...]
    windows: int
    moves: tuple[Told, ...] = ()
    points: tuple[Point, ...] = ()
