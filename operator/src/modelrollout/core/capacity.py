"""How many pods a revision needs for its share of traffic."""

import math
from typing import Final

MIN_CANDIDATE: Final = 2
"""A candidate has two pods where stable has as many: one bad node must not be taken for a bad version."""


def needed(replicas: int, weight: int) -> int:
    """Return the ready pods that a candidate must have to carry `weight` per cent of traffic."""
    return min(replicas, max(MIN_CANDIDATE, math.ceil(replicas * weight / 100)))
