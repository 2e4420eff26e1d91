"""S7: answers of both revisions to the same requests: more disagreement than tolerated, within six hours."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from benchmarks.decision import bounds, traffic
from benchmarks.decision.intervals import bootstrap
from benchmarks.decision.suite import Cell, Results, Row, State, hits, rate_row
from benchmarks.decision.targets import (
    ALPHA,
    DISAGREE,
    FALSE_ROLLBACK,
    SHADOW_HOURS,
    SHADOW_RATIO,
    WINDOW,
    Size,
)
from benchmarks.decision.traffic import Floats, Ints
from modelrollout.core.evidence import paired

NAME = "S7"
SHARES: Final = (0.01, 0.02, 0.03, 0.04, 0.1)
WITHOUT_END: Final = 25.0
"""Bounds that a run above the limit is watched for."""


def cells(size: Size) -> list[Cell]:
    """Return shares of disagreement below, at and above the limit."""
    return [
        Cell(NAME, f"S7 p={share:g} pairs={pairs}/s", size.few if share <= DISAGREE else size.detect, (share, pairs))
        for share in SHARES
        for pairs in (1, 10)
    ]


def run(cell: Cell, chunk: int, runs: int) -> dict[str, Floats]:
    """Simulate pairs until the test alarms or the time is over."""
    share, pairs = (float(value) for value in cell.params)
    rng = traffic.generator(cell.key, chunk)
    bound = bounds.one_sample(share, DISAGREE, pairs)
    length = SHADOW_HOURS * 3600.0 if math.isinf(bound) else max(WITHOUT_END * bound, 10.0 * WINDOW)
    trials = rng.poisson(pairs * WINDOW, (runs, math.ceil(length / WINDOW)))
    bad = rng.binomial(trials, share)
    return {"paired": np.array([_one(x, n) for x, n in zip(bad.cumsum(axis=1), trials.cumsum(axis=1), strict=True)])}


def _one(bad: Ints, trials: Ints) -> float:
    need = -math.log(ALPHA)
    for place, (x, n) in enumerate(zip(bad.tolist(), trials.tolist(), strict=True), start=1):
        if paired.log_above(x, n, DISAGREE) >= need:
            return float(place * WINDOW)
    return math.inf


def rows(results: Results) -> Sequence[Row]:
    """Hold alarms within the limit and delays above it against their targets."""
    found = []
    for key, values in results.items():
        share, pairs = (float(part.strip("/s")) for part in key[5:].split(" pairs="))
        times = values["paired"]
        if share <= DISAGREE:
            found.append(rate_row((NAME, f"{key[3:]}: alarms in 6 h"), hits(times), len(times), FALSE_ROLLBACK))
            continue
        ratios = times / bounds.one_sample(share, DISAGREE, pairs)
        low, high = bootstrap(ratios, "mean")
        value = float(ratios.mean())
        target = SHADOW_RATIO if share == SHARES[2] else None
        state = State.INFO
        if target is not None:
            state = State.MET if value <= target else State.MISSED if low > target else State.WITHIN
        wanted = "" if target is None else f"<= {target:.2f}"
        found.append(
            Row(NAME, f"{key[3:]}: mean delay / bound", wanted, f"{value:.2f}", f"{low:.2f} .. {high:.2f}", state)
        )
    return found
