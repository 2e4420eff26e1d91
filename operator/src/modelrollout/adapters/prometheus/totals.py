"""From counters of all requests, failed ones included, to counters of the good ones.

Afterwards every request is counted once, in a series that is bad or in one that is not. The subtraction is made for
each source, on counts that know of births and resets, so that neither hides in a sum. A failure may be visible a
moment before the request that it belongs to: the good ones never count backwards, which would look like a reset.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from modelrollout.core.evidence.counters import increments, sources_known
from modelrollout.core.evidence.windows import Series

Marked = Sequence[tuple[Series, bool]]
"""Series, and whether each counts all requests."""


def partitioned(stable: Marked, candidate: Marked) -> tuple[tuple[Series, ...], tuple[Series, ...]]:
    """Return the series of both sides with totals replaced by counters of good requests."""
    every = [series for series, _ in (*stable, *candidate)]
    if not any(total for _, total in (*stable, *candidate)):
        return tuple(series for series, _ in stable), tuple(series for series, _ in candidate)
    known = sources_known(every, len(every[0].values))
    return _side(stable, known), _side(candidate, known)


def _side(marked: Marked, known: dict[str, list[bool]]) -> tuple[Series, ...]:
    result, groups = [], defaultdict[tuple[str, str], tuple[list[Series], list[Series]]](lambda: ([], []))
    for series, total in marked:
        groups[series.source, series.part][not total].append(series)
        if not total:
            result.append(series)
    for (source, _), (totals, failed) in groups.items():
        if totals:
            alive = known[source]
            result.append(replace(totals[0], values=_good(_grown(totals, alive), _grown(failed, alive), alive)))
    return tuple(result)


def _good(total: Sequence[float], failed: Sequence[float], alive: Sequence[bool]) -> tuple[float | None, ...]:
    result: list[float | None] = []
    good = first = max(0.0, total[0] - failed[0])
    for every, bad, there in zip(total, failed, alive, strict=True):
        good = max(good, first + (every - total[0]) - (bad - failed[0]))
        result.append(good if there else None)
    return tuple(result)


def _grown(series: Sequence[Series], alive: Sequence[bool]) -> list[float]:
    """Return the sum of counters at each instant as if none of them had ever been reset."""
    total = sum(one.values[0] or 0.0 for one in series)
    result = [total]
    for grown in zip(*(increments(one, alive, 0) for one in series), strict=True):
        total += sum(grown)
        result.append(total)
    return result if series else [0.0] * len(alive)
