"""`predictions`: whether what the model answers has drifted away from what stable answers.

Histograms of predictions of both revisions over the same windows, compared at a few boundaries (see `distance`). The
tolerance is a Kolmogorov-Smirnov distance: a new model is expected to predict a little differently.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from modelrollout.api.metrics import Metric
from modelrollout.api.status import Reason, Tally, Verdict, VerdictKind
from modelrollout.api.units import parse_percent
from modelrollout.core.evidence import counters, dispersion, distance, histograms, two_sample, wording
from modelrollout.core.evidence.boundaries import checksum
from modelrollout.core.evidence.case import Case, Outcome, Test, onward
from modelrollout.core.evidence.distance import Floats
from modelrollout.core.evidence.metrics.subject import Subject
from modelrollout.core.evidence.windows import Past
from modelrollout.core.evidence.wording import MAX_LOG_DOUBT

QUANTILES: Final = (0.2, 0.5, 0.8)
"""Boundaries are those of stable's buckets nearest to these quantiles; each more makes all of them slower."""
MIN_PAST: Final = 50
"""Predictions of stable that are needed before boundaries can be chosen."""
BUDGET_FACTOR: Final = 10.0
"""A drifted prediction may well be right: the harm budget for it is so many times that for a failed request."""


@dataclass(frozen=True, slots=True)
class Memory:
    """All that is remembered of the metric."""

    end: int
    layout: int
    """Checksum of the histogram's bounds."""
    places: tuple[int, ...]
    """The boundaries that were chosen, as positions in the layout."""
    phi: float
    state: distance.State

    def pack(self) -> str:
        """Write it as text, exact, below 300 characters."""
        places = bytes(self.places).hex()
        return f"{self.end} {self.layout:x} {places} {self.phi:.4g} {distance.pack(self.state)}"


def unpack(text: str) -> Memory | None:
    """Read what `pack` wrote; None for anything else."""
    try:
        end, layout, places, phi, packed = text.split(" ")
        state, chosen = distance.unpack(packed), tuple(bytes.fromhex(places))
        if state is None or len(chosen) != len(state.stable):
            return None
        return Memory(int(end), int(layout, 16), chosen, float(phi), state)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Predictions(Subject):
    """What both revisions predict."""

    @property
    def tolerance(self) -> float:
        """Distance that is tolerated."""
        return self.metric.max_distance or wording.DISTANCE["predictions"]

    def enter_step(self, evidence: str, since: int) -> str:
        """Return the state as a new weight begins."""
        memory = unpack(evidence)
        if memory is None:
            return ""
        end = onward(since, memory.end)
        return replace(memory, end=end, state=distance.next_step(memory.state)).pack()

    def safe(self, case: Case) -> float:
        """Return the distance that the candidate must be shown to stay below; tighter with the traffic at stake."""
        budget = parse_percent(case.analysis.harm_budget) * BUDGET_FACTOR
        return min(0.9, self.tolerance + budget / (case.next_weight / 100.0))

    def judge(self, case: Case) -> Outcome:
        """Count predictions."""
        bounds, other = counters.layout(case.reading.stable), counters.layout(case.reading.candidate)
        memory = unpack(case.last.evidence)
        problem = None
        if bounds and other and bounds != other:
            problem = "prediction buckets of stable and candidate differ; give both models the same buckets"
        elif bounds and memory is not None and memory.layout != checksum(bounds):
            problem = "prediction buckets of stable changed during the rollout"
        elif memory is None and len(bounds) < 2:
            problem = "no histogram of stable's predictions yet; does the model server export one, and is it scraped?"
        if problem is not None:
            # Nothing of what cannot be compared is worth reading again; what follows a beginning may be.
            end = case.reading.instants[-1] if memory is None and case.reading.instants else None
            return Outcome(case.no_data(Reason.UNREADABLE, problem), float(case.last.harm), end)
        start = case.first(case.since if memory is None else memory.end)
        if start is None or not bounds:
            return case.unchanged(None if memory is None else memory.end)
        if memory is None:
            found, start = _begin(case, bounds, start)
            if isinstance(found, Verdict):
                return Outcome(found, 0.0, None)
            memory = found
        return self._count(case, bounds, memory, start)

    def _count(self, case: Case, bounds: Sequence[float], memory: Memory, start: int) -> Outcome:
        """Count the windows after position `start`, joined until the candidate has a few predictions in each."""
        reading, places = case.reading, [*memory.places, len(bounds) - 1]
        sides = [counters.buckets(reading, side, bounds, start) for side in (reading.candidate, reading.stable)]
        # No window alone decides: predictions of one burst of requests may well be alike.
        cap = min(-math.log(parse_percent(case.analysis.false_rollback)) / 2.0, case.cap)
        design, safe = distance.Design(self.tolerance, memory.phi, cap), self.safe(case)
        total = [case.last.candidate.requests, case.last.stable.requests]
        c, s = np.zeros(len(places)), np.zeros(len(places))
        for end, row_c, row_s in zip(reading.instants[start + 1 :], *sides, strict=True):
            c, s = c + _at(row_c, places), s + _at(row_s, places)
            if 0 < c[-1] < two_sample.MIN_REQUESTS and end - memory.end < two_sample.MAX_JOINED:
                continue
            state = distance.update(memory.state, design, safe, (c, s), end - memory.end)
            total = [total[0] + round(float(c[-1])), total[1] + round(float(s[-1]))]
            memory = replace(memory, end=end, state=state)
            c, s = np.zeros(len(places)), np.zeros(len(places))
        seconds = reading.instants[-1] - reading.instants[start]
        tallies = {"candidate": Tally(requests=total[0]), "stable": Tally(requests=total[1])}
        verdict = case.last.model_copy(update={**tallies, "evidence": memory.pack()})
        per_second = sum(row[-1] for row in sides[0]) / seconds
        return Outcome(self._conclude(case, verdict, memory, per_second), memory.state.log_harm, memory.end)

    def _conclude(self, case: Case, verdict: Verdict, memory: Memory, per_second: float) -> Verdict:
        state, safe = memory.state, self.safe(case)
        need = -math.log(parse_percent(case.analysis.false_promotion))
        n = verdict.candidate.requests
        effect = f"distance {state.distance:.3f}, PSI {state.stability_index:.3f}" if n else ""
        seen = f"{effect or 'none'} over {n} predictions of the candidate"
        kind = VerdictKind.NO_DATA
        if n == 0:
            reason, text = Reason.NO_TRAFFIC, "no prediction of the candidate was counted yet; is it scraped?"
        elif state.log_harm > MAX_LOG_DOUBT:
            reason, odds = Reason.DOUBTFUL, wording.e_value(state.log_harm)
            text = f"doubtful: {seen}; e-value for more than {self.tolerance:g} {odds}, no step forward above 5"
        elif state.best >= need:
            kind, reason = VerdictKind.PASS, Reason.SAFE
            text = f"safe at {case.next_weight}%: {seen}; below {safe:.3g} (e-value {wording.e_value(state.best)})"
        else:
            reason, more = Reason.COUNTING, _more(memory, safe, need)
            wait = wording.wait(more, per_second, case.weight)
            text = f"needs about {more} more predictions of the candidate{wait} to go to {case.next_weight}%: {seen}"
        changes = {"harm": f"{state.log_harm:.2f}", "safety": f"{state.log_safety:.2f}", "effect": effect}
        return verdict.model_copy(update={"verdict": kind, "reason": reason, "message": text, **changes})


def _begin(case: Case, bounds: Sequence[float], first: int) -> tuple[Memory | Verdict, int]:
    """Choose boundaries from stable's past; where that is too short, from its first windows."""
    reading = case.reading
    before = np.array(histograms.past_rows(reading.past, bounds), dtype=np.float64).reshape(-1, len(bounds))
    held, start = histograms.filled(before.sum(axis=0), reading, bounds, first, MIN_PAST)
    if held[-1] < MIN_PAST:
        text = f"counting stable's predictions first: {held[-1]:.0f} of {MIN_PAST}"
        return case.no_data(Reason.WAITING, text), start
    places = choose(held)
    phi = _scatter(reading.past, bounds, places[0], parse_percent(case.analysis.false_rollback))
    state = distance.begin(held[list(places)], float(held[-1]))
    return Memory(reading.instants[start], checksum(bounds), places, phi, state), start


def choose(held: Floats) -> tuple[int, ...]:
    """Return positions of boundaries near the quantiles of cumulative counts; next to them where several are one."""
    last = min(len(held) - 1, 255)
    chosen = {int(np.abs(held[:last] - quantile * held[-1]).argmin()) for quantile in QUANTILES}
    for place in sorted(place + step for place in chosen for step in (-1, 1)):
        if 0 <= place < last and len(chosen) < len(QUANTILES):
            chosen.add(place)
    return tuple(sorted(chosen))


def _scatter(past: Past | None, bounds: Sequence[float], place: int, alpha: float) -> float:
    """Return how much more the share below a boundary scattered over stable's past than independent values would."""
    cells = [
        [(row[-1], min(row[place], row[-1])) for row in stretch]
        for stretch in histograms.past_rows_by_source(past, bounds)
    ]
    return float(f"{dispersion.measure(cells, alpha).phi:.4g}")


def _more(memory: Memory, safe: float, need: float) -> int:
    """Return how many more predictions of the candidate it takes if it predicts as stable does."""
    most = 1.0
    for below, (low, high) in zip(memory.state.stable, memory.state.safety.T, strict=True):
        for share, value in ((below, low), (1.0 - below, high)):
            line = min(share + safe, 1.0 - 1e-6)
            gain = share * math.log(share / line) + (1.0 - share) * math.log((1.0 - share) / (1.0 - line))
            most = max(most, (need - value) * memory.phi / max(gain, 1e-6))
    return math.ceil(most)


def _at(row: Sequence[int], places: Sequence[int]) -> Floats:
    counts = np.array([row[place] for place in places], dtype=np.float64)
    # A scrape in the middle of an update may leave a bucket ahead of those above it.
    result: Floats = np.minimum.accumulate(counts[::-1])[::-1]
    return result


def tests(metric: Metric) -> Iterator[Test]:
    """Yield the test of the metric."""
    yield Predictions(metric, metric.weight or 1.0)
