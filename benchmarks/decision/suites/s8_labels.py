"""S8: labels that come late, bad news sooner than good: wrong answers after 5 minutes, right ones after 30."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from benchmarks.decision import traffic
from benchmarks.decision.engine import PAST, Profile, joined, rollback_time, state_of
from benchmarks.decision.suite import Cell, Results, Row, hits, rate_row, time_rows
from benchmarks.decision.targets import ALPHA, FALSE_ROLLBACK, LABELS, WINDOW, Size
from benchmarks.decision.traffic import Counts, Floats, Ints
from modelrollout.api.metrics import Metric
from modelrollout.core.evidence.metrics.quality import Quality, tests
from modelrollout.core.evidence.two_sample import ONSET, START_MASS

NAME = "S8"
WRONG: Final = 0.10
"""Stable's share of wrong answers."""
LABELLED: Final = 0.05
WRONG_AFTER: Final = 300
RIGHT_AFTER: Final = 1800
DROPS: Final = (0.0, 0.03, 0.05)


def cells(size: Size) -> list[Cell]:
    """Return good versions and worse ones at two traffics."""
    return [
        Cell(NAME, f"S8 {_words(drop)} rps={rps}", size.few if drop == 0.0 else size.detect, (drop, rps))
        for drop in DROPS
        for rps in (20, 200)
    ]


def _words(drop: float) -> str:
    return f"-{100 * drop:g}pp" if drop else "A/A"


def profile() -> Profile:
    """Return the operator's test of labels, with all of alpha."""
    (test,) = (one for one in tests(Metric(name="quality")) if isinstance(one, Quality))
    return Profile("labels", replace(test.rates.design, start_mass=START_MASS), ALPHA, onset=ONSET)


def run(cell: Cell, chunk: int, runs: int) -> dict[str, Floats]:
    """Simulate labels of predictions that were made since the rollout began, for both revisions alike."""
    drop, rps = (float(value) for value in cell.params)
    rng = traffic.generator(cell.key, chunk)
    made = traffic.independent(rng, runs, rps * LABELLED, WRONG + drop, WRONG)
    x_c, x_s = _later(made.x_c, WRONG_AFTER), _later(made.x_s, WRONG_AFTER)
    good_c, good_s = _later(made.n_c - made.x_c, RIGHT_AFTER), _later(made.n_s - made.x_s, RIGHT_AFTER)
    counts = Counts(x_c + good_c, x_c, x_s + good_s, x_s)
    labels = round(rps * LABELLED * PAST)
    pasts = rng.binomial(labels, WRONG, size=runs)
    used = profile()
    times = [
        rollback_time(used, state_of(used.design, (int(bad) + 2.0) / (labels + 20.0), labels), joined(counts.run(k)))
        for k, bad in enumerate(pasts)
    ]
    return {"labels": np.array(times)}


def _later(values: Ints, seconds: int) -> Ints:
    shift = seconds // WINDOW
    moved = np.zeros_like(values)
    moved[:, shift:] = values[:, :-shift]
    return moved


def rows(results: Results) -> Sequence[Row]:
    """Hold false rollbacks and delays against their targets."""
    found: list[Row] = []
    for key, values in results.items():
        times = values["labels"]
        if "A/A" in key:
            found.append(rate_row((NAME, key[3:]), hits(times), len(times), FALSE_ROLLBACK))
        else:
            target = LABELS if key == f"S8 {_words(0.05)} rps=200" else None
            found += time_rows(NAME, key[3:], times, target, None)[:1]
    return found
