"""Flagger's rule: a success rate at a fixed threshold, checked each minute; the fifth failed check rolls back.

Settings: interval 60 s, threshold 5 (failed checks add up over the whole rollout; a passed one does not reset them),
request-success-rate >= 99 %; or tuned by somebody who knows stable's rate: at most that rate and one point. A check
without requests has no value, which counts as failed.
"""

import numpy as np

from benchmarks.decision.comparators.checks import after, candidate_rate
from benchmarks.decision.traffic import Counts, Floats

INTERVAL = 60
THRESHOLD = 5


def standard(counts: Counts, stable_rate: float) -> Floats:  # noqa: ARG001 - the same for every service
    """Judge with the success rate of the documentation's examples: 99 %."""
    return _checked(counts, 0.01)


def tuned(counts: Counts, stable_rate: float) -> Floats:
    """Judge with a threshold one point above stable's true rate."""
    return _checked(counts, stable_rate + 0.01)


def _checked(counts: Counts, most: float) -> Floats:
    rate = candidate_rate(counts, INTERVAL)
    return after(np.isnan(rate) | (rate > most), THRESHOLD, INTERVAL)
