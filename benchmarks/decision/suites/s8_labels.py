"""S8: labels that come late: all after 5 minutes, or wrong answers after 5 and right ones after 30.

The operator's own metric, judged minute by minute on counters of cohorts of predictions, while the weight grows.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from benchmarks.decision import bounds, traffic
from benchmarks.decision.rendering import START
from benchmarks.decision.suite import Cell, Results, Row, hits, rate_row, time_rows
from benchmarks.decision.targets import FALSE_ROLLBACK, HORIZON, LABELS, STEPS, WINDOW, Size
from benchmarks.decision.traffic import Floats, Ints
from modelrollout.api.spec import Analysis
from modelrollout.api.status import Verdict
from modelrollout.core.evidence.judge import Question, enter_step, judge
from modelrollout.core.evidence.rates import Margin
from modelrollout.core.evidence.windows import Reading, Series

NAME: Final = "S8"
WRONG: Final = 0.05
"""Stable's share of wrong answers."""
LABELLED: Final = 0.05
WRONG_AFTER: Final = 300
RIGHT_AFTER: Final = {"together": 300, "bad news first": 1800}
COHORT: Final = 300
"""Seconds of predictions that one counter holds."""
LOOK: Final = 4
"""Windows between two looks."""
DROPS: Final = (0.0, 0.03, 0.05)
DROP: Final = 0.01
"""Tolerated drop of the share of right answers."""
ANALYSIS: Final = Analysis.model_validate(
    {"preset": "model-server", "metrics": [{"name": "quality", "maxDrop": f"{100 * DROP:g}%"}]}
)


def cells(size: Size) -> list[Cell]:
    """Return good versions and worse ones at two traffics."""
    return [
        Cell(
            NAME,
            f"S8 {_words(drop)} rps={rps}, {order}",
            max(20, size.detect // (1 if drop == 0.0 else 3)),
            (drop, rps, order),
        )
        for drop in DROPS
        for rps in (20, 200)
        for order in RIGHT_AFTER
    ]


def _words(drop: float) -> str:
    return f"-{100 * drop:g}pp" if drop else "A/A"


def run(cell: Cell, chunk: int, runs: int) -> dict[str, Floats]:
    """Simulate labelled predictions of both revisions."""
    drop, rps, after = float(cell.params[0]), float(cell.params[1]), RIGHT_AFTER[str(cell.params[2])]
    rng = traffic.generator(cell.key, chunk)
    made = traffic.independent(rng, runs, rps * LABELLED, WRONG + drop, WRONG)
    sides = (("c", made.n_c - made.x_c, made.x_c), ("s", made.n_s - made.x_s, made.x_s))
    times = [_judged(*(_cohorts(name, right[k], wrong[k], after) for name, right, wrong in sides)) for k in range(runs)]
    return {"quality": np.array(times)}


def _cohorts(source: str, right: Ints, wrong: Ints, right_after: int) -> list[Series]:
    """Return a counter of each cohort and outcome, born with its cohort; values at every end of a window."""
    each, series = COHORT // WINDOW, []
    for first in range(0, len(right), each):
        for bad, made, after in ((False, right, right_after), (True, wrong, WRONG_AFTER)):
            known = np.zeros(len(made), dtype=np.int64)
            start = first + after // WINDOW
            known[start : start + each] = made[first : first + each][: max(0, len(made) - start)]
            held = [0.0, *np.cumsum(known).astype(float).tolist()]
            values = tuple(None if place < first else value for place, value in enumerate(held))
            series.append(Series(bad, None, source, values, cohort=START + first * WINDOW))
    return series


def _judged(candidate: Sequence[Series], stable: Sequence[Series]) -> float:
    changes = np.cumsum([length for _, length in STEPS]).tolist()
    verdicts: Sequence[Verdict] = ()
    for place in range(LOOK, HORIZON // WINDOW + 1, LOOK):
        instants = tuple(START + k * WINDOW for k in range(place - LOOK, place + 1))
        reading = Reading(instants, _cut(stable, place), _cut(candidate, place))
        found = judge(Question(ANALYSIS, verdicts, {"quality": reading}, since=START, next_weight=25, weight=10))
        if found.blamed is not None:
            return float(place * WINDOW)
        verdicts = found.verdicts
        if place * WINDOW in changes:
            verdicts = enter_step(ANALYSIS, verdicts, START + place * WINDOW)
    return math.inf


def _cut(side: Sequence[Series], place: int) -> tuple[Series, ...]:
    return tuple(
        Series(one.bad, None, one.source, one.values[place - LOOK : place + 1], cohort=one.cohort)
        for one in side
        if one.values[place] is not None
    )


def bound(drop: float, rps: float) -> float:
    """Return the seconds that any test needs when labels come 5 minutes after their predictions."""
    tolerated = Margin(1.0, DROP)
    return WRONG_AFTER + bounds.seconds(WRONG + drop, WRONG, rps * LABELLED, tolerated, STEPS)


def rows(results: Results) -> Sequence[Row]:
    """Hold false rollbacks and delays against their targets."""
    found: list[Row] = []
    for key, values in results.items():
        times = values["quality"]
        if "A/A" in key:
            found.append(rate_row((NAME, key[3:]), hits(times), len(times), FALSE_ROLLBACK))
        else:
            target = LABELS * bound(0.05, 200.0) if key == f"S8 {_words(0.05)} rps=200, together" else None
            found += time_rows(NAME, key[3:], times, target, None)[:1]
    return found
