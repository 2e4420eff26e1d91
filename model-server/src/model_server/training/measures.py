"""Measures of models and of the distance between distributions; plain numpy.

Shares are vectors that sum to 1. Intervals are of 95 % and, where two models are compared, of the paired difference:
both answer the same rows.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Z = 1.959964
FLOOR = 1e-4  # a share of 0 would make a logarithm infinite


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        """Return it rounded, for reports."""
        return {"value": round(self.value, 6), "low": round(self.low, 6), "high": round(self.high, 6)}


def log_loss(p: Floats, y: Floats) -> Floats:
    """Return the loss of each row in nats."""
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def mean(values: Floats) -> Interval:
    """Return the mean with a normal interval."""
    if not len(values):
        return Interval(math.nan, math.nan, math.nan)
    half = Z * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    middle = float(values.mean())
    return Interval(middle, middle - half, middle + half)


def _ranks(values: Floats) -> Floats:
    """Return ranks from 1, ties sharing their middle."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Floats = ((ends - counts + 1 + ends) / 2)[inverse]
    return ranks


def auc_difference(candidate: Floats, stable: Floats, y: Floats) -> tuple[float, float, Interval]:
    """Return both areas under the ROC curve and their difference, candidate minus stable.

    DeLong, DeLong and Clarke-Pearson (1988), computed from ranks.
    """
    positive = y > 0.5
    n, m = int(positive.sum()), int((~positive).sum())
    if n < 2 or m < 2:
        return math.nan, math.nan, Interval(math.nan, math.nan, math.nan)
    areas, above, below = [], [], []
    for scores in (candidate, stable):
        ranks = _ranks(scores)
        above.append((ranks[positive] - _ranks(scores[positive])) / m)
        below.append(1 - (ranks[~positive] - _ranks(scores[~positive])) / n)
        areas.append(float(above[-1].mean()))
    difference = areas[0] - areas[1]
    variance = (above[0] - above[1]).var(ddof=1) / n + (below[0] - below[1]).var(ddof=1) / m
    half = Z * math.sqrt(float(variance))
    return areas[0], areas[1], Interval(difference, difference - half, difference + half)


def calibration(p: Floats, y: Floats, bins: int = 10) -> tuple[float, list[tuple[float, float, int]]]:
    """Return the expected calibration error, and (mean prediction, mean outcome, rows) of each tenth of predictions."""
    order = np.argsort(p, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    points = [(float(p[part].mean()), float(y[part].mean()), len(part)) for part in parts]
    return sum(abs(a - b) * n for a, b, n in points) / len(p), points


def shares(counts: NDArray[np.int64]) -> Floats:
    """Return counts as shares of their sum."""
    total = counts.sum()
    return counts / total if total else np.zeros(len(counts))


def distances(p: Floats, q: Floats) -> dict[str, float]:
    """Return L-infinity, Jensen-Shannon (nats), population stability index and KS of two vectors of shares."""
    a, b = np.maximum(p, FLOOR), np.maximum(q, FLOOR)
    middle = (a + b) / 2
    return {
        "linf": float(np.abs(p - q).max()),
        "js": float(0.5 * (a * np.log(a / middle)).sum() + 0.5 * (b * np.log(b / middle)).sum()),
        "psi": float(((a - b) * np.log(a / b)).sum()),
        "ks": float(np.abs(np.cumsum(p) - np.cumsum(q)).max()),
    }
