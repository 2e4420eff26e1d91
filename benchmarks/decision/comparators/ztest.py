"""The pooled two-proportion z-test on all counts so far, looked at each minute.

Settings: one-sided 1 % (z >= 2.326) at every look; or with the critical value that a simulation of the same traffic
found to give 1 % over the whole hour: the honest opponent, which has to know rates, traffic and schedule beforehand.
"""

from typing import Final

import numpy as np

from benchmarks.decision.comparators.checks import first, per_interval
from benchmarks.decision.traffic import Counts, Floats

INTERVAL: Final = 60
CRITICAL: Final = 2.3263478740408408


def scores(counts: Counts) -> Floats:
    """Return z at the end of each minute; 0 where nothing can be said."""
    n_c, x_c, n_s, x_s = (
        per_interval(values, counts.seconds, INTERVAL).cumsum(axis=1).astype(np.float64)
        for values in (counts.n_c, counts.x_c, counts.n_s, counts.x_s)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (x_c + x_s) / (n_c + n_s)
        z = (x_c / n_c - x_s / n_s) / np.sqrt(pooled * (1.0 - pooled) * (1.0 / n_c + 1.0 / n_s))
    return np.nan_to_num(z, nan=0.0, posinf=0.0, neginf=0.0)


def repeated(counts: Counts, stable_rate: float) -> Floats:  # noqa: ARG001
    """Judge each minute as if it were the only look."""
    return first(scores(counts) >= CRITICAL, INTERVAL)


def calibrated(counts: Counts, critical: float) -> Floats:
    """Judge each minute against a critical value found by `calibrate`."""
    return first(scores(counts) >= critical, INTERVAL)


def calibrate(equal: Counts, alpha: float) -> float:
    """Return the critical value that equal revisions exceed at any look with probability `alpha`."""
    return float(np.quantile(scores(equal).max(axis=1), 1.0 - alpha, method="higher"))
