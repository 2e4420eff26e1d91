"""What a run of the benchmarks can be told."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes; the defaults are those of the table in README.md."""

    repeat: int = 4
    """Bad versions of which half of the requests fail; three times as many of those that chance makes differ."""
    seconds: float = 600.0
    """How long idle rollouts are watched."""
    count: int = 100
    """Rollouts at once."""
    idle: int = 500
    """Idle rollouts."""
