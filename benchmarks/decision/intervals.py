"""Intervals and quantiles of what a simulation measured."""

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STATISTICS: Final = {"median": 50.0, "p95": 95.0}


def binomial_above(count: int, n: int, p: float) -> float:
    """Return P(X >= count) for X ~ Bin(n, p)."""
    if count <= 0:
        return 1.0
    if p <= 0.0 or p >= 1.0:
        return float(p >= 1.0)
    return min(1.0, math.fsum(math.exp(_log_mass(k, n, p)) for k in range(count, n + 1)))


def _log_mass(k: int, n: int, p: float) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p)


def clopper_pearson(count: int, n: int, confidence: float = 0.99) -> tuple[float, float]:
    """Return the exact two-sided interval of a proportion; `n` must be positive."""
    tail = (1.0 - confidence) / 2.0
    lower = 0.0 if count == 0 else _bisect(lambda p: binomial_above(count, n, p) < tail)
    upper = 1.0 if count == n else _bisect(lambda p: 1.0 - binomial_above(count + 1, n, p) > tail)
    return lower, upper


def _bisect(below: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        if below(middle):
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


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
