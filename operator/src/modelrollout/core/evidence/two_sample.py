"""A metric that is a share of bad requests, candidate against stable: from a reading to the two e-processes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from modelrollout.api.spec import Analysis
from modelrollout.api.status import Verdict
from modelrollout.api.units import parse_percent
from modelrollout.core.evidence import counters, dispersion, eprocess, gross, wording
from modelrollout.core.evidence.case import Case, Outcome, onward
from modelrollout.core.evidence.dispersion import Dispersion
from modelrollout.core.evidence.eprocess import Design, State
from modelrollout.core.evidence.rates import Margin
from modelrollout.core.evidence.tallies import tallies, totals
from modelrollout.core.evidence.windows import Past, Reading, Window

MIN_REQUESTS: Final = 5
"""Windows are joined until the candidate got this many requests; depends on traffic only, never on outcomes."""
MAX_JOINED: Final = 120
"""Seconds after which joined windows count even so."""
PRIOR_WEIGHT: Final = 5000
"""Most that stable's past before the rollout weighs, in requests, so that its present counts soon."""
START_MASS: Final = 0.7
"""Share of the prior on harm that is there from the start; the rest waits for a late onset, a leak for instance."""
ONSET: Final = 1500.0
"""Seconds in which a late onset enters with probability 1 - 1/e."""

EARLY_CAP: Final = 0.5
"""Most that all that came before the route had settled may add to log E, as a share of what a rollback asks for."""

Counts = Sequence[tuple[int, int, int, int]]
"""n_c, x_c, n_s, x_s of each window."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of one metric: how its bad requests scatter, and the state of its tests."""

    scatter: Dispersion
    state: State
    wealth: gross.Wealth = gross.START
    """Of the test for gross failure."""

    def pack(self) -> str:
        """Write it as text: exact, for floats are written so that they read back the same."""
        numbers = (self.scatter.phi, self.scatter.cap, *self.wealth)
        return " ".join([*(f"{number!r}" for number in numbers), eprocess.pack(self.state)])


def unpack(text: str) -> Memory | None:
    """Read what `pack` wrote; None for anything else, such as the state of another version."""
    *numbers, packed = text.split(" ")
    state = eprocess.unpack(packed)
    try:
        phi, cap, one, two = (float(number) for number in numbers)
    except ValueError:
        return None
    usable = phi >= 1.0 and cap > 0.0 and math.isfinite(one) and math.isfinite(two)
    return Memory(Dispersion(phi, cap), state, (one, two)) if usable and state is not None else None


@dataclass(frozen=True, slots=True)
class Rates:
    """Two-sample test of a share; how to count it is handed in."""

    design: Design
    join: int = MIN_REQUESTS
    """Windows are joined until the candidate got this many requests."""

    def enter_step(self, evidence: str, since: int) -> str:
        """Return the state as a new weight begins."""
        memory = unpack(evidence)
        if memory is None:
            return ""
        return replace(memory, state=eprocess.next_step(memory.state, onward(since, memory.state.end))).pack()

    def safe_margin(self, analysis: Analysis, next_weight: int) -> Margin:
        """Return the margin that a candidate must be shown to stay below before it gets `next_weight` per cent.

        The harm budget is a share of all traffic, so the more traffic is at stake, the tighter the margin.
        """
        budget = parse_percent(analysis.harm_budget)
        margin = self.design.margin
        return Margin(margin.rho, min(0.5, margin.delta + budget / (next_weight / 100.0)))

    def begin(
        self, case: Case, end: int, rate: float, requests: float, cells: Sequence[Sequence[dispersion.Cell]]
    ) -> Memory:
        """Return what is remembered before the first window, which begins at `end`, from stable's past."""
        scatter = dispersion.measure(cells, parse_percent(case.analysis.false_rollback))
        state = eprocess.begin(replace(self.design, start_mass=START_MASS), end, rate, min(requests, PRIOR_WEIGHT))
        return Memory(Dispersion(round(scatter.phi, 3), round(scatter.cap, 3)), state)

    def count(self, case: Case, memory: Memory, start: int, counts: Counts) -> Outcome:
        """Count the windows after position `start` of the reading, and conclude."""
        last, memory, harm = self._fold(case, memory, zip(case.reading.instants[start + 1 :], counts, strict=True))
        state, log_harm = memory.state, harm[-1]
        verdict = wording.conclude(
            last.model_copy(update={"evidence": memory.pack()}),
            case.analysis,
            wording.Finding(
                log_harm=log_harm,
                log_safety=state.log_safety,
                safety_best=state.safety_best,
                safe=self.safe_margin(case.analysis, case.next_weight),
                stable_rate=eprocess.stable_rate(state),
                weight=case.weight,
                next_weight=case.next_weight,
                silent_for=state.end - state.pending_since if state.pending[0] == 0 else 0,
                per_second=_per_second(case.reading, counts),
                phi=memory.scatter.phi,
            ),
        )
        ends = case.reading.instants[start + 1 :]
        early = [window for end, window in zip(ends, counts, strict=True) if end <= case.settled]
        return Outcome(
            verdict,
            log_harm,
            state.end,
            peak=max(harm),
            counted=tuple((window[0], window[2]) for window in counts[len(early) :]),
            unsettled=(sum(window[0] for window in early), sum(window[2] for window in early)),
        )

    def _fold(
        self, case: Case, memory: Memory, windows: Iterable[tuple[int, tuple[int, int, int, int]]]
    ) -> tuple[Verdict, Memory, list[float]]:
        """Count windows one by one; returns also the log e-value for harm after each."""
        scatter, limit = memory.scatter, case.limit - math.log1p(-gross.SHARE)
        design = replace(self.design, phi=scatter.phi, cap=min(scatter.cap, case.cap), limit=limit)
        safe, state = self.safe_margin(case.analysis, case.next_weight), memory.state
        wealth, harm = memory.wealth, []
        total: Sequence[int] = totals(case.last)
        latest = design
        for end, window in windows:
            total = [a + b for a, b in zip(total, window, strict=True)]
            p = state.pending
            joined = (p[0] + window[0], p[1] + window[1], p[2] + window[2], p[3] + window[3])
            if state.pending_since < case.settled:
                state = _early(state, design, Window(end, *joined), case)
            elif joined[0] >= self.join or (joined[0] > 0 and end - state.pending_since >= MAX_JOINED):
                whole = Window(end, *joined)
                wealth = gross.update(wealth, whole, eprocess.stable_rate(state), case.limit)
                hazard = -math.expm1((state.pending_since - end) / ONSET)
                if hazard != latest.hazard:
                    latest = replace(design, hazard=hazard)
                state = eprocess.update(state, latest, safe, whole)
                state = replace(state, pending=(0, 0, 0, 0), pending_since=end)
            else:
                state = replace(state, end=end, pending=joined)
            harm.append(gross.combined(state.log_harm, wealth, total[0]))
        return case.last.model_copy(update=tallies(total)), Memory(memory.scatter, state, wealth), harm


def _early(state: State, design: Design, joined: Window, case: Case) -> State:
    """Count what came before the route had settled: one window, which shows harm with a cap, and nothing safe.

    A gateway that has not heard of all pods yet may fail requests in the candidate's name; that alone never decides.
    """
    if joined.end < case.settled:
        return replace(state, end=joined.end, pending=(joined.n_c, joined.x_c, joined.n_s, joined.x_s))
    if joined.n_c:
        careful = replace(design, cap=min(design.cap, EARLY_CAP * case.limit))
        state = eprocess.update(state, careful, None, joined)
    return replace(state, end=joined.end, pending=(0, 0, 0, 0), pending_since=joined.end)


def past_cells(past: Past | None) -> list[list[dispersion.Cell]]:
    """Return requests and bad ones of each source of stable in each stretch of its past."""
    if past is None or len(past.instants) < 2:
        return []
    known = counters.sources_known(past.stable, len(past.instants))
    places = {source: place for place, source in enumerate(known)}
    cells = [[[0, 0] for _ in places] for _ in past.instants[1:]]
    for one in past.stable:
        place = places[one.source]
        for minute, grown in zip(cells, counters.increments(one, known[one.source], 0), strict=True):
            minute[place][0] += grown
            minute[place][1] += grown if one.bad else 0
    return [[(n, x) for n, x in minute] for minute in cells]


def _per_second(reading: Reading, counts: Counts) -> float | None:
    seconds = reading.instants[-1] - reading.instants[-1 - len(counts)]
    return sum(window[0] for window in counts) / seconds if seconds > 0 else None
