"""Checks at fixed intervals: the common part of several rules."""

import numpy as np

from benchmarks.decision.traffic import Counts, Floats, Ints


def per_interval(values: Ints, seconds: int, interval: int) -> Ints:
    """Return sums over intervals of so many seconds; shape (runs, intervals)."""
    each = interval // seconds
    runs, windows = values.shape
    whole = windows // each
    sums: Ints = values[:, : whole * each].reshape(runs, whole, each).sum(axis=2)
    return sums


def candidate_rate(counts: Counts, interval: int) -> Floats:
    """Return the candidate's rate of bad requests in each interval; NaN where it had no request."""
    n = per_interval(counts.n_c, counts.seconds, interval).astype(np.float64)
    x = per_interval(counts.x_c, counts.seconds, interval)
    rates: Floats = np.divide(x, n, out=np.full(n.shape, np.nan), where=n > 0)
    return rates


def first(hits: np.ndarray[tuple[int, int], np.dtype[np.bool_]], interval: int) -> Floats:
    """Return the end of the first interval that is hit, in seconds; infinite for none."""
    found = hits.any(axis=1)
    return np.where(found, (hits.argmax(axis=1) + 1.0) * interval, np.inf)


def after(failed: np.ndarray[tuple[int, int], np.dtype[np.bool_]], needed: int, interval: int) -> Floats:
    """Return when the number of failed checks, never reset, reaches `needed`."""
    return first(failed.cumsum(axis=1) >= needed, interval)
