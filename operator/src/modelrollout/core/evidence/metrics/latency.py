"""`latency`: slower answers, from whole histograms.

Harm is tested on all buckets at once (`ordinal`), safety on the share of requests above one boundary near stable's
90th percentile. The tolerated factor is in the boundaries: the candidate's lie higher than stable's by at least it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from modelrollout.api.metrics import Metric
from modelrollout.api.status import Reason, Verdict
from modelrollout.api.units import parse_percent
from modelrollout.core.evidence import counters, dispersion, eprocess, histograms, ordinal, wording
from modelrollout.core.evidence.boundaries import Cells, above, checksum, choose
from modelrollout.core.evidence.case import Case, Outcome, Test, instant, onward
from modelrollout.core.evidence.dispersion import Dispersion
from modelrollout.core.evidence.metrics.subject import Subject, split
from modelrollout.core.evidence.rates import Margin, log_ratio
from modelrollout.core.evidence.tallies import tallies, totals
from modelrollout.core.evidence.two_sample import MAX_JOINED, MIN_REQUESTS
from modelrollout.core.evidence.windows import Past, Reading, Window

MIN_PAST: Final = 50
"""Requests of stable that are needed before boundaries can be chosen."""
RECENT: Final = 5000
"""Requests of stable's past, the newest, that choose them."""
BUDGET_FACTOR: Final = 10.0
"""A slow answer does less harm than a failed one: the budget for it is so many times as large."""


SAFETY: Final = tuple(float(f"{math.log(share):.6g}") for share in (0.65, 0.2, 0.15))
"""Safety as a step begins: as good as stable, 1.3 times its share of slow requests, and what waits."""


@dataclass(frozen=True, slots=True)
class Memory:
    """All that is remembered of a metric."""

    end: int
    layout: int
    """Checksum of the histogram's bounds."""
    cells: Cells
    scatter: Dispersion
    harm: ordinal.State
    safety: tuple[float, ...]
    safety_best: float = 0.0

    def pack(self) -> str:
        """Write it as text, exact, below 300 characters."""
        head = bytes((self.cells.at, *self.cells.low)).hex()
        numbers = (self.scatter.phi, self.scatter.cap, *self.safety, self.safety_best)
        words = (str(self.end), f"{self.layout:x}", head, *(f"{number:.6g}" for number in numbers))
        return " ".join((*words, ordinal.pack(self.harm)))


def unpack(text: str, bounds: Sequence[float], factor: float) -> Memory | None:
    """Read what `pack` wrote; None for anything else.

    The candidate's boundaries follow from stable's; there are none where the histogram has too few bounds for that,
    because it, or the tolerance, is another one now.
    """
    try:
        end, layout, head, phi, cap, *safety, best, packed = text.split(" ")
        at, *low = bytes.fromhex(head)
        harm = ordinal.unpack(packed)
        if harm is None or len(safety) != len(SAFETY):
            return None
        high = tuple(
            found for place in low if place < len(bounds) and (found := above(bounds, place, factor)) is not None
        )
        cells = Cells(tuple(low), high if len(high) == len(low) else (), at)
        scatter = Dispersion(float(phi), float(cap))
        wealth = tuple(float(number) for number in safety)
        return Memory(int(end), int(layout, 16), cells, scatter, harm, wealth, float(best))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Latency(Subject):
    """Response times of one slice, or of all requests."""

    factor: float = field(kw_only=True)
    """How much slower is tolerated."""

    def enter_step(self, evidence: str, since: int) -> str:
        """Return the state as a new weight begins."""
        if not evidence:
            return ""
        words = evidence.split(" ")
        start = [f"{number:.6g}" for number in SAFETY]
        return " ".join((str(onward(since, instant(words[0]))), *words[1:5], *start, "0", words[-1]))

    def judge(self, case: Case) -> Outcome:
        """Count response times."""
        reading = self.own(case.reading)
        bounds = counters.layout(reading.stable)
        problem = _differ(bounds, counters.layout(reading.candidate))
        memory = unpack(case.last.evidence, bounds, self.factor) if bounds else None
        if case.last.evidence and memory is not None and memory.layout != checksum(bounds):
            problem = "latency buckets of stable changed during the rollout"
        if problem:
            return Outcome(case.no_data(Reason.UNREADABLE, problem), float(case.last.harm), None)
        if case.last.evidence and not bounds:  # no histogram in this reading: nothing to count or conclude
            return case.unchanged(None)
        if memory is not None and not memory.cells.high:  # more is tolerated now: what was chosen no longer serves
            memory = None
        start = case.first(case.since if memory is None else memory.end)
        if start is None:
            return case.unchanged(None if memory is None else memory.end)
        if memory is None:
            found, start = self._begin(case, reading, bounds, start)
            if isinstance(found, Verdict):
                return Outcome(found, 0.0, None)
            memory = found
        return self._count(case, reading, bounds, memory, start)

    def _begin(self, case: Case, reading: Reading, bounds: Sequence[float], first: int) -> tuple[Memory | Verdict, int]:
        """Choose boundaries from stable's past; where that is too short, from its first windows."""
        if len(bounds) < 3:
            return case.no_data(Reason.UNREADABLE, "no latency histogram of stable yet"), first
        held, start = histograms.filled(_recent(reading.past, bounds), reading, bounds, first, MIN_PAST)
        if held[-1] < MIN_PAST:
            text = f"counting stable's latency first: {held[-1]:.0f} of {MIN_PAST} requests"
            return case.no_data(Reason.WAITING, text), start
        cells = choose(held, bounds, self.factor)
        if isinstance(cells, str):
            return case.no_data(Reason.UNREADABLE, cells), start
        scatter = dispersion.measure(
            _slow_cells(reading.past, bounds, cells.low[cells.at]), parse_percent(case.analysis.false_rollback)
        )
        return (
            Memory(
                end=reading.instants[start],
                layout=checksum(bounds),
                cells=cells,
                scatter=Dispersion(float(f"{scatter.phi:.6g}"), float(f"{scatter.cap:.6g}")),
                harm=ordinal.begin(cells.of(held, cells.low)),
                safety=SAFETY,
            ),
            start,
        )

    def _count(self, case: Case, reading: Reading, bounds: Sequence[float], memory: Memory, start: int) -> Outcome:
        stable = counters.buckets(reading, reading.stable, bounds, start)
        candidate = counters.buckets(reading, reading.candidate, bounds, start)
        cells, scatter = memory.cells, memory.scatter
        design = ordinal.Design(
            tuple(bounds[place] for place in cells.low),
            tuple(bounds[place] for place in cells.high),
            scatter.phi,
            min(scatter.cap, case.cap),
        )
        safe = self._safe_margin(case)
        total: Sequence[int] = totals(case.last)
        c, s = np.zeros(len(cells.low) + 1), np.zeros(len(cells.low) + 1)
        harm, counted = [memory.harm.log_harm], []
        rows = cells.of_each(candidate, cells.high), cells.of_each(stable, cells.low)
        for end, row_c, row_s in zip(reading.instants[start + 1 :], *rows, strict=True):
            c, s = c + row_c, s + row_s
            if 0 < c.sum() < MIN_REQUESTS and end - memory.end < MAX_JOINED:
                continue
            grown = (*_slow(c, cells.at), *_slow(s, cells.at))
            total = [a + b for a, b in zip(total, grown, strict=True)]
            memory = _update(memory, design, safe, Window(end, *grown), (c, s))
            harm.append(memory.harm.log_harm)
            counted.append((grown[0], grown[2]))
            c, s = np.zeros(len(c)), np.zeros(len(s))
        verdict = case.last.model_copy(update={**tallies(total), "evidence": memory.pack()})
        seconds = reading.instants[-1] - reading.instants[start]
        finding = wording.Finding(
            log_harm=harm[-1],
            log_safety=eprocess.log_sum_exp(memory.safety),
            safety_best=memory.safety_best,
            safe=safe,
            stable_rate=_slow_share(memory),
            weight=case.weight,
            next_weight=case.next_weight,
            silent_for=0,
            per_second=sum(row[-1] for row in candidate) / seconds if seconds else None,
            phi=scatter.phi,
        )
        concluded = wording.conclude(verdict, case.analysis, finding)
        return Outcome(concluded, harm[-1], memory.end, peak=max(harm), counted=tuple(counted))

    def _safe_margin(self, case: Case) -> Margin:
        budget = parse_percent(case.analysis.harm_budget) * BUDGET_FACTOR
        return Margin(1.0, min(0.5, budget / (case.next_weight / 100.0)))


def _differ(stable: Sequence[float], candidate: Sequence[float]) -> str | None:
    if candidate and stable and tuple(candidate) != tuple(stable):
        return "latency buckets of stable and candidate differ; give both the same buckets"
    return None


def _recent(past: Past | None, bounds: Sequence[float]) -> ordinal.Floats:
    """Return cumulative counts of the newest requests in stable's past."""
    held = np.zeros(len(bounds))
    for row in reversed(histograms.past_rows(past, bounds)):
        held = held + np.array(row, dtype=np.float64)
        if held[-1] >= RECENT:
            break
    return held


def _slow_cells(past: Past | None, bounds: Sequence[float], place: int) -> list[list[dispersion.Cell]]:
    """Return requests and slow ones of each source in each stretch of stable's past."""
    return [
        [(row[-1], max(0, row[-1] - row[place])) for row in stretch]
        for stretch in histograms.past_rows_by_source(past, bounds)
    ]


def _slow(cells: ordinal.Floats, at: int) -> tuple[int, int]:
    return round(float(cells.sum())), round(float(cells[at + 1 :].sum()))


def _slow_share(memory: Memory) -> float:
    return float(memory.harm.shares[memory.cells.at + 1 :].sum())


def _update(
    memory: Memory,
    design: ordinal.Design,
    safe: Margin,
    window: Window,
    counts: tuple[ordinal.Floats, ordinal.Floats],
) -> Memory:
    c, s = counts
    rate = min(max(_slow_share(memory), 1e-6), 0.9)
    line = safe.of(rate)
    gains = [_gain(window, ratio * rate, rate, line, safe) / design.phi for ratio in eprocess.SAFETY_RATIOS[:2]]
    safety = tuple(float(f"{number:.6g}") for number in eprocess.advance_safety(memory.safety, gains))
    best = max(memory.safety_best, float(f"{eprocess.log_sum_exp(safety):.6g}"))
    harm = ordinal.update(memory.harm, design, c, s, window.end - memory.end)
    return Memory(window.end, memory.layout, memory.cells, memory.scatter, harm, safety, best)


def _gain(window: Window, theta: float, rate: float, line: float, safe: Margin) -> float:
    return log_ratio(window, theta, rate, safe, bernoulli=True) if theta < min(line, 0.95) else 0.0


def tests(metric: Metric) -> Iterator[Test]:
    """Yield the tests of the metric: one, or one for each slice."""
    factor = 1.0 + metric.tolerated[0]
    yield from (Latency(metric, share, part, factor=factor) for share, part in split(metric))
