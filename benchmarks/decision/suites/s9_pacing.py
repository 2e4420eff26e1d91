"""S9: evidence sets the pace: how fast a good version is promoted, and how often one at the last margin."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from benchmarks.decision import traffic
from benchmarks.decision.engine import Profile, begin, joined
from benchmarks.decision.intervals import median
from benchmarks.decision.profiles import DEFAULT, measured, past
from benchmarks.decision.suite import Cell, Results, Row, State, rate_row, seconds, time_rows
from benchmarks.decision.targets import (
    BETA,
    BUDGET,
    DWELL,
    PACE_CARRIED,
    PACE_FAST,
    PACE_SLOW,
    PROMOTED,
    RATES,
    WINDOW,
    Size,
)
from benchmarks.decision.traffic import Floats
from modelrollout.core.evidence import eprocess
from modelrollout.core.evidence.eprocess import State as TestState
from modelrollout.core.evidence.rates import Margin
from modelrollout.core.evidence.windows import Window
from modelrollout.core.evidence.wording import MAX_LOG_DOUBT

NAME = "S9"
WEIGHTS: Final = (0.05, 0.1, 0.25, 0.5, 1.0)
LONGEST: Final = 12 * 3600
AT_MARGIN: Final = "at the margin"
GOOD: Final = "good"


def cells(size: Size) -> list[Cell]:
    """Return good versions at all traffics, and versions at the margin of the last step."""
    return [
        Cell(NAME, f"S9 {kind} rps={rps} p0={p0}", size.detect, (kind, rps, p0))
        for kind in (GOOD, AT_MARGIN)
        for rps in ((10, 100, 1000) if kind == GOOD else (10, 100))
        for p0 in RATES
    ]


def run(cell: Cell, chunk: int, runs: int) -> dict[str, Floats]:
    """Return seconds to full traffic, infinite for never; and of rollback."""
    kind, rps, p0 = str(cell.params[0]), float(cell.params[1]), float(cell.params[2])
    margin = DEFAULT.design.margin
    rate = p0 if kind == GOOD else margin.rho * p0 + BUDGET
    rng = traffic.generator(cell.key, chunk)
    n, x = past(rng, runs, rps, p0)
    ends = [
        _rollout(
            _Road(DEFAULT.with_scatter(measured(n[k], x[k])), rps, rate, p0), rng, int(n[k].sum()), int(x[k].sum())
        )
        for k in range(runs)
    ]
    return {"promoted": np.array([end[0] for end in ends]), "rolled back": np.array([end[1] for end in ends])}


@dataclass(frozen=True, slots=True)
class _Road:
    """One way to full traffic."""

    profile: Profile
    rps: float
    p_c: float
    p_s: float

    def windows(self, rng: np.random.Generator, share: float, start: int) -> Iterator[Window]:
        """Yield the windows of a step until somebody stops asking; their ends count from its start."""
        left = max(0, (LONGEST - start) // WINDOW)
        while left > 0:
            counts = traffic.independent(rng, 1, self.rps, self.p_c, self.p_s, np.full(min(left, 60), share))
            left -= 60
            yield from joined(counts.run(0))


def _rollout(road: _Road, rng: np.random.Generator, requests: int, bad: int) -> tuple[float, float]:
    """Return seconds to promotion and to rollback; one of them, or both, infinite."""
    state, clock = begin(road.profile.design, requests, bad), 0
    for share, following in pairwise(WEIGHTS):
        margin = road.profile.design.margin
        safe = Margin(margin.rho, min(0.5, margin.delta + BUDGET / following))
        state = eprocess.next_step(state, 0)
        state, passed, verdict = _step(road, state, safe, road.windows(rng, share, clock))
        clock += passed
        if verdict is None:
            return math.inf, math.inf
        if not verdict:
            return math.inf, float(clock)
    return float(clock), math.inf


def _step(road: _Road, state: TestState, safe: Margin, windows: Iterator[Window]) -> tuple[TestState, int, bool | None]:
    passed, base = 0, 0
    for window in windows:
        # `joined` counts anew every 60 windows.
        base += 60 * WINDOW if base + window.end <= passed else 0
        before, passed = passed, base + window.end
        state = eprocess.update(state, road.profile.after(passed - before), safe, replace(window, end=passed))
        if state.log_harm >= road.profile.limit:
            return state, passed, False
        if passed >= DWELL and state.safety_best >= -math.log(BETA) and state.log_harm <= MAX_LOG_DOUBT:
            return state, passed, True
    return state, passed, None


def rows(results: Results) -> Sequence[Row]:
    """Hold promotion and pace against their targets."""
    found: list[Row] = []
    for key, ends in results.items():
        kind, rps, p0 = key[3:].split(" rps=")[0], *(float(part) for part in key.split("rps=")[1].split(" p0="))
        times = ends["promoted"]
        promoted = int(np.isfinite(times).sum())
        if kind == GOOD:
            found.append(rate_row((NAME, f"{key[3:]}: promoted"), promoted, len(times), PROMOTED, least=True))
            found += time_rows(NAME, f"{key[3:]}: time to 100 %", times, _wanted(rps, p0), None)
            found += [_carried(times)] if _wanted(rps, p0) == PACE_SLOW else []
        else:
            found.append(rate_row((NAME, f"{key[3:]}: promoted"), promoted, len(times), BETA))
    return found


def _wanted(rps: float, p0: float) -> float | None:
    if rps >= 100:
        return PACE_FAST
    return PACE_SLOW if p0 == RATES[0] else None


def _carried(times: Floats) -> Row:
    """Return the row of a goal that evidence earned anew at every weight cannot reach: it needs 616 s at the least."""
    value = median(times)
    state = State.MET if value <= PACE_CARRIED else State.STRETCH
    what = "good rps=10 p0=0.001: time to 100 %: median, if weights shared evidence"
    return Row(NAME, what, f"<= {PACE_CARRIED:.0f} s", seconds(value), "", state)
