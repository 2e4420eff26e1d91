"""Quantiles and their intervals, of what a simulation measured."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STATISTICS: Final = {"median": 50.0, "p95": 95.0}


def bootstrap(values: Sequence[float] | Floats, statistic: str, confidence: float = 0.99) -> tuple[float, float]:
    """Return the percentile interval of `mean`, `median` or `p95` from 2,000 resamples (fixed seed)."""
    array = np.asarray(values, dtype=np.float64)
    rng = np.random.Generator(np.random.PCG64(1))
    picks = array[rng.integers(0, len(array), size=(2000, len(array)))]
    found = picks.mean(axis=1) if statistic == "mean" else _percentile(picks, STATISTICS[statistic])
    tail = 100.0 * (1.0 - confidence) / 2.0
    low, high = np.percentile(found, [tail, 100.0 - tail], method="nearest")
    return float(low), float(high)


def _percentile(values: Floats, share: float) -> Floats:
    found: Floats = np.percentile(values, share, axis=1, method="lower")
    return found


def median(values: Floats) -> float:
    """Return the middle value; infinite where half of them are."""
    return float(np.percentile(values, 50, method="lower"))


def p95(values: Floats) -> float:
    """Return the value that 95 % stay at or below."""
    return float(np.percentile(values, 95, method="lower"))
