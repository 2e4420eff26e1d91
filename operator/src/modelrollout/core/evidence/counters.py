"""From raw counters at aligned instants to increments: integers, nothing twice.

A counter's increase between two instants is the difference of its values, or the whole value after a reset (the
later value is smaller). A series that was not there before counts from 0, provided that its source was already
known: it was born. Where the source itself is new, or came back after its data were lost, nothing tells how much
of the value is old, and the value becomes the new base without counting.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from modelrollout.core.evidence.windows import Reading, Series

_EXACT = 2.0**53
"""Up to here a float holds each whole number; sums of such counters do not overflow."""


def usable(value: float | None) -> float | None:
    """Return a counter's value, or None where it cannot be one (NaN, infinite, negative)."""
    return None if value is None or not math.isfinite(value) or value < 0.0 else value


def increments(series: Series, known: Sequence[bool], start: int) -> list[int]:
    """Return the increase in each window from instant `start` on; `known[k]`: the source was seen at instant k."""
    result = []
    last = usable(series.values[start])
    for index in range(start + 1, len(series.values)):
        value = usable(series.values[index])
        grown = 0.0
        if value is not None:
            if last is not None:
                grown = value - last if value >= last else value
            elif known[index - 1]:
                grown = value
            last = value
        elif known[index]:
            last = None
        result.append(round(grown))
    return result


def sources_known(series: Iterable[Series], instants: int) -> dict[str, list[bool]]:
    """Say for each source at which instants any of its series existed."""
    known: dict[str, list[bool]] = {}
    for one in series:
        seen = known.setdefault(one.source, [False] * instants)
        for index, value in enumerate(one.values):
            seen[index] = seen[index] or usable(value) is not None
    return known


def _steady(values: Sequence[float | None], start: int) -> list[int] | None:
    """Return the increase in each window of a counter that was there all the time and never fell; None for others.

    Nearly every counter is one of these, and needs nothing to be known of its source.
    """
    last = values[start]
    if last is None or not 0.0 <= last <= _EXACT:
        return None
    result = []
    for value in values[start + 1 :]:
        if value is None or not last <= value <= _EXACT:
            return None
        result.append(round(value - last))
        last = value
    return result


def bad_and_all(reading: Reading, start: int) -> list[tuple[int, int, int, int]]:
    """Return n_c, x_c, n_s, x_s of each window after instant `start`, from counters of all and of bad requests.

    The counters partition the requests: a request is counted once, in a series that is bad or in one that is not.
    """
    known: dict[str, list[bool]] = {}
    totals = [[0, 0, 0, 0] for _ in range(len(reading.instants) - start - 1)]
    for offset, side in ((0, reading.candidate), (2, reading.stable)):
        for one in side:
            grown = _steady(one.values, start)
            if grown is None:
                known = known or sources_known((*reading.stable, *reading.candidate), len(reading.instants))
                grown = increments(one, known[one.source], start)
            for total, more in zip(totals, grown, strict=True):
                total[offset] += more
                total[offset + 1] += more if one.bad else 0
    return [(t[0], t[1], t[2], t[3]) for t in totals]


def buckets(reading: Reading, side: Sequence[Series], bounds: Sequence[float], start: int) -> list[list[int]]:
    """Return, for each window after instant `start`, the cumulative increase at each bound."""
    position = {bound: index for index, bound in enumerate(bounds)}
    if start == len(reading.instants) - 2 and (window := _one_window(side, position, start)) is not None:
        return [window]
    found = [(position[one.le], one) for one in side if one.le in position]
    values = np.array([one.values[start:] for _, one in found] or [(0.0,)], dtype=np.float64)
    grown = np.diff(values, axis=1)
    # As for `_steady`, all at once: a histogram has many series. NaN (None) and infinity fail the comparisons.
    if found and grown.size and values.min() >= 0.0 and grown.min() >= 0.0 and values[:, -1].max() <= _EXACT:
        sums = np.zeros((len(bounds), grown.shape[1]))
        np.add.at(sums, [place for place, _ in found], np.rint(grown))
        windows: list[list[int]] = sums.T.astype(np.int64).tolist()
        return windows
    known = sources_known((*reading.stable, *reading.candidate), len(reading.instants))
    totals = [[0] * len(bounds) for _ in range(len(reading.instants) - start - 1)]
    for place, one in found:
        for total, more in zip(totals, increments(one, known[one.source], start), strict=True):
            total[place] += more
    return totals


def _one_window(side: Sequence[Series], position: Mapping[float, int], start: int) -> list[int] | None:
    """Return the cumulative increase at each bound in the only window there is; None unless all is steady."""
    totals = [0] * len(position)
    for one in side:
        place = position.get(one.le) if one.le is not None else None
        if place is not None:
            first, last = one.values[start], one.values[start + 1]
            if first is None or last is None or not 0.0 <= first <= last <= _EXACT:
                return None
            totals[place] += round(last - first)
    return totals


def added(windows: Sequence[Sequence[int]]) -> list[int]:
    """Return the cumulative increase at each bound over several windows; empty for none."""
    return [sum(column) for column in zip(*windows, strict=True)]


def held(side: Sequence[Series], bounds: Sequence[float], index: int) -> list[float]:
    """Return what the buckets hold at an instant."""
    totals = [0.0] * len(bounds)
    for one in side:
        if one.le is not None:
            totals[bounds.index(one.le)] += usable(one.values[index]) or 0.0
    return totals


def layout(side: Sequence[Series]) -> tuple[float, ...]:
    """Return the bucket bounds of a histogram, ascending; infinity last."""
    return tuple(sorted({one.le for one in side if one.le is not None}))


def lifetime(side: Sequence[Series], index: int) -> tuple[int, int]:
    """Return all requests and bad ones that the counters hold at an instant."""
    values = [(usable(one.values[index]) or 0.0, one.bad) for one in side]
    return round(sum(value for value, _ in values)), round(sum(value for value, bad in values if bad))
