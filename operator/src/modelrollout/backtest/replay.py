"""The judge, window by window, over what was recorded."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from modelrollout.api.spec import Analysis
from modelrollout.api.status import Verdict, VerdictKind
from modelrollout.api.units import parse_duration
from modelrollout.backtest.source import Trial
from modelrollout.core.evidence import counters
from modelrollout.core.evidence.judge import Question, enter_step, judge, past_wanted
from modelrollout.core.evidence.windows import Past, Reading, Series
from modelrollout.core.sticky import by_key
from modelrollout.core.strategies import steps_of

SMOOTH: Final = 12
"""Most windows over which the share of requests is taken for the weight."""
TELLING: Final = 300
"""Requests that tell the share well enough."""
BEYOND_CHANCE: Final = 4.0
"""Standard deviations at which the weight is taken to be another one."""
PAST: Final = 3600
PAST_STEP: Final = 60
ANY: Final = (1, 2, 5, 10, 25, 50, 75, 90)
"""Weights that are told apart in a recording where no step of the strategy has one."""
COUNTED: Final = ("errors", "slo", "latency")
"""Metrics that count every request."""


class NoTrial(ValueError):
    """A recording in which the candidate never takes traffic beside stable."""


@dataclass(slots=True)
class Held:
    """A weight at which the candidate was, in the recording."""

    weight: int
    """As the strategy knows it: the step nearest to the share of requests."""
    next_weight: int
    since: int
    """Unix seconds."""
    safe: int | None = None
    """When every metric had shown the next weight to be safe, and the least duration was over; Unix seconds."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """What one window showed."""

    time: int
    share: float
    """The candidate's share of requests."""
    stable: tuple[int, int]
    candidate: tuple[int, int]
    harm: dict[str, float]


@dataclass(slots=True)
class Decision:
    """What would have been decided."""

    outcome: str
    """rolledBack; promoted: every weight in the recording was shown to be safe, the last one for all traffic; open."""
    time: int | None
    reason: str
    first: int
    """When the candidate first took traffic; Unix seconds."""
    windows: int
    step: int
    """Seconds of a window."""
    held: list[Held] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    verdicts: tuple[Verdict, ...] = ()
    skipped: tuple[str, ...] = ()
    """Steps of the strategy that a recording cannot tell of, and what is done instead."""


def skipped(trial: Trial) -> Iterator[str]:
    """Yield what of the strategy is not replayed, in sentences."""
    steps = steps_of(trial.rollout.spec)
    for step in steps:
        if step.shadow is not None:
            yield f"{step.name} is skipped: a recording of users' requests holds no copies of them"
        elif step.match is not None:
            yield f"{step.name} is skipped: its requests count as those of the nearest weight"
        elif step.gate is not None:
            yield f"{step.name} is skipped: nobody is asked"
    if not any(step.weight is not None for step in steps):
        yield "no step has a weight: safety is asked for all traffic at whatever weight was recorded"


def replay(trial: Trial, readings: Mapping[str, Reading], since: int = 0) -> Decision:
    """Judge every window from the candidate's first traffic on, at `since` (Unix seconds) at the earliest.

    Raises NoTrial.

    The weights are those that the data show: the judge is asked about the step nearest to the candidate's share of
    requests, and safety is earned anew whenever that step changes.
    """
    shares = _shares(readings)
    instants = next(iter(readings.values())).instants
    first = next((k for k, (n_c, n_s) in enumerate(shares) if n_c and n_s and instants[k] >= since), None)
    if first is None:
        raise NoTrial(
            f"no window in which both {trial.stable} and {trial.candidate} take traffic; check the revisions"
            " (--stable, --candidate) and the time"
        )
    found = Decision("open", None, "", instants[first], 0, instants[1] - instants[0], skipped=tuple(skipped(trial)))
    _Replay(trial, readings, shares, found).run(first)
    return found


@dataclass(slots=True)
class _Replay:
    trial: Trial
    readings: Mapping[str, Reading]
    shares: Sequence[tuple[int, int]]
    found: Decision
    verdicts: list[Verdict] = field(default_factory=list)

    def run(self, first: int) -> None:
        analysis, found = self.trial.rollout.spec.analysis, self.found
        instants = next(iter(self.readings.values())).instants
        end = instants[first]
        for index in range(first + 1, len(instants)):
            n_c, n_s = self._recent(first, index)
            if n_c and not n_s:
                self._alone(instants[index])
                return
            held = self._hold(n_c, n_s, instants[index - 1])
            judgement = judge(
                Question(
                    analysis=analysis,
                    verdicts=self.verdicts,
                    readings=self._seen(analysis, end, index),
                    since=end,
                    next_weight=held.next_weight,
                    weight=held.weight if by_key(self.trial.rollout.spec) is None else 0,
                    stage=self.trial.stage,
                )
            )
            self.verdicts, end = list(judgement.verdicts), judgement.end
            found.windows += 1
            found.verdicts = judgement.verdicts
            self._note(instants[index], n_c / max(1, n_c + n_s))
            if judgement.blamed is not None:
                found.outcome, found.time, found.reason = "rolledBack", instants[index], judgement.blamed.message
                return
            if held.safe is None and self._may_go_on(judgement.worst, held, instants[index]):
                held.safe = instants[index]
                held.message = "; ".join(f"{verdict.name} {verdict.message}" for verdict in judgement.verdicts)
        self._conclude(instants[-1])

    def _recent(self, first: int, index: int) -> tuple[int, int]:
        """Return the requests of the newest windows: few of them, unless there is little traffic."""
        n_c = n_s = 0
        for k in range(index - 1, max(first, index - SMOOTH) - 1, -1):
            n_c, n_s = n_c + self.shares[k][0], n_s + self.shares[k][1]
            if n_c + n_s >= TELLING:
                break
        return n_c, n_s

    def _hold(self, n_c: int, n_s: int, since: int) -> Held:
        """Return the weight that the data show now; safety is earned anew where it has clearly changed."""
        held, window = self.found.held, since - self.found.held[-1].since if self.found.held else 0
        weight = self._nearest(n_c / max(1, n_c + n_s))
        if held and (weight == held[-1].weight or not _refuted(held[-1].weight / 100.0, n_c, n_s)):
            return held[-1]
        if held and window <= self.found.step:
            held.pop()  # the split was on its way
        if not held or held[-1].weight != weight:
            # Without weights of its own the strategy asks for all traffic next, wherever the recording is.
            later = [step for step in self._weights() if step > weight]
            held.append(Held(weight, later[0] if later else 100, since))
            self.verdicts = enter_step(self.trial.rollout.spec.analysis, self.verdicts, since, self.trial.stage)
        return held[-1]

    def _weights(self) -> list[int]:
        steps = steps_of(self.trial.rollout.spec)
        return [step.weight for step in steps if step.weight is not None and not step.whole]

    def _nearest(self, share: float) -> int:
        return min(self._weights() or ANY, key=lambda weight: abs(weight / 100.0 - share))

    def _may_go_on(self, worst: VerdictKind, held: Held, now: int) -> bool:
        least = parse_duration(self.trial.rollout.spec.strategy.min_step_duration).total_seconds()
        return worst is VerdictKind.PASS and now - held.since >= least

    def _seen(self, analysis: Analysis, since: int, index: int) -> dict[str, Reading]:
        """Return what the collector would have read: everything since the last window that counted."""
        wanted = past_wanted(analysis, self.verdicts, self.trial.stage)
        seen = {}
        for name, reading in self.readings.items():
            start = next(k for k, instant in enumerate(reading.instants) if instant >= since)
            cut = Reading(
                reading.instants[start : index + 1],
                _cut(reading.stable, slice(start, index + 1)),
                _cut(reading.candidate, slice(start, index + 1)),
                past=_past(reading, start) if name in wanted else None,
            )
            seen[name] = cut
        return seen

    def _note(self, time: int, share: float) -> None:
        counted = next((verdict for verdict in self.verdicts if verdict.name in COUNTED), None)
        if counted is not None:
            sides = [(side.requests, side.bad) for side in (counted.stable, counted.candidate)]
            harm = {verdict.name: float(verdict.harm) for verdict in self.verdicts}
            self.found.points.append(Point(time, share, sides[0], sides[1], harm))

    def _alone(self, now: int) -> None:
        """Conclude where stable's traffic ends: the candidate was promoted then, there is nothing to compare with."""
        held = self.found.held
        while len(held) > 1 and now - held[-1].since <= 2 * self.found.step:
            held.pop()  # the split was on its way to all traffic
        last = held[-1] if held else None
        if last is not None and last.safe is not None and last.next_weight == 100:
            self.found.outcome, self.found.time, self.found.reason = "promoted", last.safe, last.message
            return
        self.found.reason = "the recording goes on to all traffic before that was shown to be safe: " + self._open()
        self.found.time = now

    def _conclude(self, now: int) -> None:
        last = self.found.held[-1] if self.found.held else None
        if last is not None and last.safe is not None and last.next_weight == 100:
            self.found.outcome, self.found.time, self.found.reason = "promoted", last.safe, last.message
        else:
            self.found.reason, self.found.time = self._open(), now

    def _open(self) -> str:
        return "; ".join(f"{verdict.name} {verdict.message}" for verdict in self.verdicts) or "nothing was counted"


def _refuted(share: float, n_c: int, n_s: int) -> bool:
    """Say whether so many requests are beyond chance for a share."""
    n = n_c + n_s
    return abs(n_c - share * n) > BEYOND_CHANCE * math.sqrt(n * share * (1.0 - share)) + 1.0


def _shares(readings: Mapping[str, Reading]) -> list[tuple[int, int]]:
    """Return the requests of candidate and stable in each window, from a metric that counts all of them."""
    name = next((name for name in COUNTED if name in readings), None)
    if name is None:
        raise NoTrial("spec.analysis.metrics: none of them counts requests; add errors or latency")
    reading = readings[name]
    if name != "latency":
        return [(n_c, n_s) for n_c, _, n_s, _ in counters.bad_and_all(reading, 0)]
    bounds = counters.layout((*reading.stable, *reading.candidate))
    sides = [counters.buckets(reading, side, bounds, 0) for side in (reading.candidate, reading.stable)]
    return [(c[-1], s[-1]) if c else (0, 0) for c, s in zip(*sides, strict=True)]


def _cut(side: Sequence[Series], part: slice) -> tuple[Series, ...]:
    cut = (replace(one, values=one.values[part]) for one in side)
    return tuple(one for one in cut if any(value is not None for value in one.values))


def _past(reading: Reading, start: int) -> Past:
    """Return stable's counters over the hour before instant `start`, as far as they were recorded."""
    end, step = reading.instants[start], reading.instants[1] - reading.instants[0]
    stride = max(1, -(-PAST_STEP // step))
    places = [k for k in range(start, -1, -stride) if end - reading.instants[k] <= PAST][::-1]
    picked = (replace(one, values=tuple(one.values[k] for k in places)) for one in reading.stable)
    kept = tuple(one for one in picked if any(value is not None for value in one.values))
    return Past(tuple(reading.instants[k] for k in places), kept)
