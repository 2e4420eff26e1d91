"""Kayenta's judge: Mann-Whitney on the error rates of each minute, candidate against stable.

Settings: confidence .98, tolerance .25 of the estimated shift, the metric critical (one High fails), judged every 15
minutes on everything since the start. High: the interval of the Hodges-Lehmann shift lies above the tolerance. Minutes
without requests are left out of a side; the normal approximation gives the interval.
"""

import math
from typing import Final

import numpy as np

from benchmarks.decision.comparators.checks import per_interval
from benchmarks.decision.traffic import Counts, Floats, Ints

JUDGED_EVERY: Final = 900
TOLERANCE: Final = 0.25
Z: Final = 2.3263478740408408
"""Of the two-sided confidence .98."""


def judge(counts: Counts, stable_rate: float) -> Floats:  # noqa: ARG001
    """Judge every 15 minutes."""
    candidate, stable = _rates(counts.n_c, counts.x_c, counts.seconds), _rates(counts.n_s, counts.x_s, counts.seconds)
    return np.array([_one(c, s) for c, s in zip(candidate, stable, strict=True)])


def _rates(n: Ints, x: Ints, seconds: int) -> Floats:
    requests = per_interval(n, seconds, 60).astype(np.float64)
    rates: Floats = np.divide(
        per_interval(x, seconds, 60), requests, out=np.full(requests.shape, np.nan), where=requests > 0
    )
    return rates


def _one(candidate: Floats, stable: Floats) -> float:
    for minutes in range(JUDGED_EVERY // 60, len(candidate) + 1, JUDGED_EVERY // 60):
        if is_high(candidate[:minutes], stable[:minutes]):
            return minutes * 60.0
    return math.inf


def is_high(candidate: Floats, stable: Floats) -> bool:
    """Say whether the candidate's values are higher; values of NaN are left out."""
    candidate, stable = candidate[~np.isnan(candidate)], stable[~np.isnan(stable)]
    if not len(candidate) or not len(stable):
        return False
    shifts = np.sort(np.subtract.outer(candidate, stable), axis=None)
    product = len(candidate) * len(stable)
    spread = math.sqrt(product * (len(candidate) + len(stable) + 1) / 12.0)
    place = math.floor(product / 2.0 - Z * spread)
    if place < 0:
        return False
    estimate = float(np.median(shifts))
    return float(shifts[place]) > TOLERANCE * abs(estimate)
