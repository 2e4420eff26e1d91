"""S3: how far from the least possible: mean delay over the information bound, at a constant weight, without end."""

import math
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from benchmarks.decision import bounds, traffic
from benchmarks.decision.engine import PLAIN, SHARP, rollback_times
from benchmarks.decision.intervals import bootstrap
from benchmarks.decision.suite import Cell, Results, Row, State
from benchmarks.decision.targets import (
    BOUND_LEAST,
    RATES,
    RATIO_MAX,
    RATIO_MEAN,
    STRETCH_MAX,
    STRETCH_MEAN,
    WINDOW,
    Size,
)
from benchmarks.decision.traffic import Counts, Floats
from modelrollout.core.evidence.rates import Margin

NAME = "S3"
FACTORS = (1.5, 2.0, 3.0, 5.0, 10.0)
LONGEST = 10_000.0
"""Bounds above it (hours) are left out: nobody waits for them, and they take most of the time to simulate."""


def _settings() -> Iterator[tuple[float, int, float, float, float]]:
    for share, rps, p0, factor in product((0.05, 0.5), (10, 100, 1000), RATES, FACTORS):
        bound = bounds.seconds(factor * p0, p0, rps, Margin(1.0, 0.0), ((share, math.inf),))
        if BOUND_LEAST <= bound <= LONGEST:
            yield share, rps, p0, factor, bound


def cells(size: Size) -> list[Cell]:
    """Return the settings whose bound is long enough to tell."""
    return [
        Cell(NAME, f"S3 weight={share} rps={rps} p0={p0} x{factor:g}", size.detect, (share, rps, p0, factor, bound))
        for share, rps, p0, factor, bound in _settings()
    ]


def run(cell: Cell, chunk: int, runs: int) -> dict[str, Floats]:
    """Simulate until every run is decided."""
    share, rps, p0, factor, bound = (float(value) for value in cell.params)
    rng = traffic.generator(cell.key, chunk)
    windows = math.ceil(25.0 * bound / WINDOW)
    found: dict[str, list[float]] = {"boosted": [], "plain": []}
    for _ in range(runs):
        counts = traffic.independent(rng, 1, rps, factor * p0, p0, np.full(windows, share))
        for name, profile in (("boosted", SHARP), ("plain", PLAIN)):
            found[name].append(_ratio(counts, rollback_times(profile, counts, rng, rps, p0), bound))
    return {name: np.array(values) for name, values in found.items()}


def _ratio(counts: Counts, times: Floats, bound: float) -> float:
    # A run that even 25 bounds did not decide counts as that long.
    return float(min(times[0], counts.n_c.shape[1] * counts.seconds)) / bound


def rows(results: Results) -> Sequence[Row]:
    """Say the geometric mean and the worst of all settings."""
    found = []
    for name in ("boosted", "plain"):
        means = {key: float(times[name].mean()) for key, times in results.items()}
        low, high = _geometric_interval([times[name] for times in results.values()])
        mean = math.exp(sum(math.log(value) for value in means.values()) / len(means))
        worst = max(means, key=means.__getitem__)
        worst_low, worst_high = bootstrap(results[worst][name], "mean")
        found += _judged(name, f"gmean of {len(means)}", mean, (low, high), (RATIO_MEAN, STRETCH_MEAN))
        found += _judged(name, f"worst ({worst[3:]})", means[worst], (worst_low, worst_high), (RATIO_MAX, STRETCH_MAX))
    return found


def _judged(name: str, what: str, value: float, interval: tuple[float, float], goals: tuple[float, float]) -> list[Row]:
    target, stretch = goals
    text = f"{interval[0]:.2f} .. {interval[1]:.2f}"
    if name == "plain":
        return [Row(NAME, f"mean delay / bound, {name}: {what}", "", f"{value:.3f}", text)]
    state = State.MET if value <= target else State.MISSED if interval[0] > target else State.WITHIN
    better = State.MET if value <= stretch else State.STRETCH if interval[0] > stretch else State.WITHIN
    return [
        Row(NAME, f"mean delay / bound: {what}", f"<= {target:.2f}", f"{value:.3f}", text, state),
        Row(NAME, f"mean delay / bound: {what}, stretch", f"<= {stretch:.2f}", f"{value:.3f}", text, better),
    ]


def _geometric_interval(values: Sequence[Floats]) -> tuple[float, float]:
    rng = np.random.Generator(np.random.PCG64(2))
    logs = np.zeros(1000)
    for one in values:
        logs += np.log(one[rng.integers(0, len(one), size=(1000, len(one)))].mean(axis=1))
    low, high = np.percentile(np.exp(logs / len(values)), [0.5, 99.5])
    return float(low), float(high)
