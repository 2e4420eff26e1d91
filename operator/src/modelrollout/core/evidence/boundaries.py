"""Which buckets of a latency histogram are compared: cells whose boundaries hold the tolerated factor.

For stable's boundary `b` the candidate's is the first one at or above `factor * b`; in geometric buckets that is a
fixed number of buckets further.
"""

import math
import zlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from typing import Final

import numpy as np

from modelrollout.core.evidence import ordinal
from modelrollout.core.evidence.ordinal import Floats

QUANTILE: Final = 0.9
"""Safety is shown at the boundary nearest to this quantile of stable."""
COARSEST: Final = 2.6
"""Factor between boundaries above which a change of latency would pass unseen."""
QUANTILES: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
"""Boundaries are chosen near these, and two beyond them."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The boundaries that were chosen, as positions in the histogram's layout."""

    low: tuple[int, ...]
    """Stable's boundaries."""
    high: tuple[int, ...]
    """The candidate's."""
    at: int
    """Which of them safety is shown at."""

    def of(self, cumulative: Sequence[float] | Floats, places: Sequence[int]) -> ordinal.Floats:
        """Return counts of the cells from cumulative counts of all buckets."""
        bounds = np.array([0.0, *(cumulative[place] for place in places), cumulative[-1]])
        return np.maximum(np.diff(bounds), 0.0)

    def of_each(self, windows: Sequence[Sequence[float]], places: Sequence[int]) -> ordinal.Floats:
        """Return counts of the cells for each window, one a row."""
        held = np.zeros((len(windows), len(places) + 2))
        held[:, 1:] = np.asarray(windows, dtype=np.float64)[:, [*places, -1]]
        return np.maximum(np.diff(held), 0.0)


def choose(held: Floats, bounds: Sequence[float], factor: float) -> Cells | str:
    """Choose boundaries from cumulative counts; a text says why none will do."""
    total = max(held[-1], 1.0)
    pairs = [(place, high) for place in range(len(bounds) - 1) if (high := above(bounds, place, factor)) is not None]
    # Of boundaries that share one of the candidate's, the highest comes closest to the factor.
    pairs = [pair for pair, after in zip_longest(pairs, pairs[1:]) if after is None or after[1] > pair[1]]
    shares = [held[place] / total for place, _ in pairs]
    wanted = {_nearest(shares, quantile) for quantile in QUANTILES if pairs}
    top = max(wanted, default=0)
    wanted |= {index for index in (top + 1, top + 3) if index < len(pairs)}
    chosen: list[tuple[int, int]] = [pairs[index] for index in sorted(wanted) if held[pairs[index][0]] > 0.0][
        -(ordinal.MOST_CELLS - 1) :
    ]
    at = _watched(chosen, held, bounds, factor)
    if at is None:
        return _too_coarse(held, bounds, factor)
    return Cells(tuple(low for low, _ in chosen), tuple(high for _, high in chosen), chosen.index(at))


def _watched(
    chosen: Sequence[tuple[int, int]], held: Floats, bounds: Sequence[float], factor: float
) -> tuple[int, int] | None:
    """Return the pair nearest to the quantile; None where it could not tell the factor, or nearly so."""
    telling = [pair for pair in chosen if 0.002 <= 1.0 - held[pair[0]] / held[-1] <= 0.9]
    if telling:
        at = min(telling, key=lambda pair: abs(held[pair[0]] / held[-1] - QUANTILE))
        least = bounds[at[0]]
    else:
        # All of stable lies between two boundaries: how slow the candidate must be counts from the lower one.
        above_it = [pair for pair in chosen if held[pair[0]] >= QUANTILE * held[-1]]
        if not above_it or above_it[0][0] == 0:
            return None
        at = above_it[0]
        least = bounds[at[0] - 1]
    # Some histograms begin with a bound of 0, beyond which anything is infinitely slower.
    return at if least > 0.0 and bounds[at[1]] / least <= max(COARSEST, 1.6 * factor) else None


def _too_coarse(held: Floats, bounds: Sequence[float], factor: float) -> str:
    place = min(int(np.searchsorted(held, QUANTILE * held[-1])), len(bounds) - 2)
    low = bounds[place - 1] if place else 0.0
    return (
        f"latency buckets are too coarse: nine of ten requests of stable take up to {low:g}-{bounds[place]:g} s, and "
        f"no boundaries there tell a factor of {factor:g}; add finer buckets (steps of a quarter), or remove latency"
    )


def _nearest(shares: Sequence[float], quantile: float) -> int:
    """Return the boundary whose share is nearest to a quantile, by its odds."""

    def odds(share: float) -> float:
        share = min(max(share, 1e-5), 1.0 - 1e-5)
        return math.log(share / (1.0 - share))

    return min(range(len(shares)), key=lambda index: abs(odds(shares[index]) - odds(quantile)))


def above(bounds: Sequence[float], place: int, factor: float) -> int | None:
    """Return the first finite boundary at least a factor above another."""
    least = bounds[place] * factor * (1.0 - 1e-9)
    found = bisect_left(bounds, least)
    return found if found < len(bounds) - 1 else None


@lru_cache(maxsize=256)
def checksum(bounds: tuple[float, ...]) -> int:
    """Return a checksum of a layout."""
    return zlib.crc32(",".join(f"{bound:.9g}" for bound in bounds).encode())
