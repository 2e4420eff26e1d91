"""Stable's histogram before the evidence begins: its past, and its first windows where that is too short."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modelrollout.core.evidence import counters
from modelrollout.core.evidence.windows import Past, Reading

Floats = NDArray[np.float64]


def past_rows(past: Past | None, bounds: Sequence[float]) -> list[list[int]]:
    """Return the cumulative increase at each bound in each stretch of stable's past; empty where there is none."""
    if past is None or len(past.instants) < 2:
        return []
    return counters.buckets(Reading(past.instants, past.stable), past.stable, bounds, 0)


def past_rows_by_source(past: Past | None, bounds: Sequence[float]) -> list[list[list[int]]]:
    """Return the same of each source apart: stretch by source by bound."""
    if past is None or len(past.instants) < 2:
        return []
    reading, found = Reading(past.instants, past.stable), []
    for source in sorted({one.source for one in past.stable}):
        mine = tuple(one for one in past.stable if one.source == source)
        found.append(counters.buckets(reading, mine, bounds, 0))
    return [list(stretch) for stretch in zip(*found, strict=True)]


def filled(held: Floats, reading: Reading, bounds: Sequence[float], first: int, least: int) -> tuple[Floats, int]:
    """Add stable's first windows to what is `held` until that is `least` requests, or only one window is left.

    Returns cumulative counts, and the position of the instant from which windows are not in them.
    """
    windows = counters.buckets(reading, reading.stable, bounds, first)
    start = first
    while held[-1] < least and start < len(reading.instants) - 2:
        held = held + np.array(windows[start - first], dtype=np.float64)
        start += 1
    return held, start
