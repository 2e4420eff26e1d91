"""Argo Rollouts' rule: a success condition at fixed intervals; more failures than `failureLimit` end the rollout.

Settings: success rate >= 99 %, interval and range of the query 1 m, or both 5 m, failureLimit 3, so the fourth failed
measurement (they add up) aborts. A query without a value (NaN) fails its
condition, as the documentation says it does unless the condition asks for NaN first.
"""

import numpy as np

from benchmarks.decision.comparators.checks import after, candidate_rate
from benchmarks.decision.traffic import Counts, Floats

FAILURE_LIMIT = 3
MOST = 0.01


def every_minute(counts: Counts, stable_rate: float) -> Floats:  # noqa: ARG001
    """Judge each minute on the last minute."""
    return _measured(counts, 60)


def every_five_minutes(counts: Counts, stable_rate: float) -> Floats:  # noqa: ARG001
    """Judge every five minutes on the last five."""
    return _measured(counts, 300)


def _measured(counts: Counts, interval: int) -> Floats:
    rate = candidate_rate(counts, interval)
    return after(np.isnan(rate) | (rate > MOST), FAILURE_LIMIT + 1, interval)
