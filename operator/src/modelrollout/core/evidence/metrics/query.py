"""A metric of the user's own: PromQL that gives one value an instant.

*Compared* (asked for both revisions): a sign test. Each window in which both sides have a value is a trial, lost where
the candidate's exceeds stable's by more than is tolerated; the null is that it loses at most half of them. It needs no
model of the values, only that the windows of a candidate as good as stable are like tosses of a coin.

*Threshold* (asked once): the newest value of each window against fixed limits, as other tools do it. So many windows
outside in a row are a failure. This rule has no part in alpha and no limit on false alarms but its own patience.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from modelrollout.api.metrics import Metric
from modelrollout.api.status import Reason, Tally, Verdict, VerdictKind
from modelrollout.api.units import parse_percent
from modelrollout.core.evidence import paired, wording
from modelrollout.core.evidence.case import Case, Outcome, Test, instant, onward
from modelrollout.core.evidence.metrics.subject import Subject
from modelrollout.core.evidence.windows import Series
from modelrollout.core.evidence.wording import MAX_LOG_DOUBT

FAILURES: Final = 3
"""Windows in a row outside of the limits that are a failure, when left out."""
HALF: Final = 0.5


@dataclass(frozen=True, slots=True)
class Compared(Subject):
    """Values of both revisions; the trials are in the tally, `evidence` holds up to when they were counted."""

    def enter_step(self, evidence: str, since: int) -> str:
        """Return the state as a new weight begins: trials are kept."""
        return str(onward(since, instant(evidence))) if evidence else ""

    def judge(self, case: Case) -> Outcome:
        """Count trials."""
        end = instant(case.last.evidence)
        end = case.since if end is None else end
        start = case.first(end)
        if start is None:
            return case.unchanged(end)
        relative, absolute = self.metric.tolerated
        pairs = [
            (c, s)
            for c, s in zip(_values(case.reading.candidate, start), _values(case.reading.stable, start), strict=False)
            if c is not None and s is not None
        ]
        before = case.last.candidate
        lost = before.bad + sum(c > s + abs(s) * relative + absolute for c, s in pairs)
        end = case.reading.instants[-1]
        changes = {"candidate": Tally(requests=before.requests + len(pairs), bad=lost), "evidence": str(end)}
        verdict = case.last.model_copy(update=changes)
        log_harm = paired.log_above(lost, verdict.candidate.requests, HALF)
        return Outcome(self._conclude(case, verdict, log_harm, pairs), log_harm, end)

    def _conclude(self, case: Case, verdict: Verdict, log_harm: float, pairs: Sequence[tuple[float, float]]) -> Verdict:
        trials, lost = verdict.candidate.requests, verdict.candidate.bad
        log_safety = paired.log_below(lost, trials, HALF)
        nats = -math.log(parse_percent(case.analysis.false_promotion)) - log_safety
        kind, seen = VerdictKind.NO_DATA, f"worse than tolerated in {lost} of {trials} windows"
        if not trials:
            reason, text = Reason.NO_VALUE, "the query has no value for both revisions in any window yet"
        elif log_harm > MAX_LOG_DOUBT:
            reason = Reason.DOUBTFUL
            text = f"doubtful: {seen}; e-value {wording.e_value(log_harm)}, no step forward above 5"
        elif nats <= 0.0:
            kind, reason = VerdictKind.PASS, Reason.SAFE
            text = f"safe: {seen} (e-value {wording.e_value(log_safety)})"
        else:
            reason, gain = Reason.COUNTING, paired.gain_below((lost + 0.25) / (trials + 1.0), HALF)
            more = f"needs about {math.ceil(nats / gain)} more windows" if gain > 0.02 else "too close to tell"
            text = f"{more}: {seen}"
        effect = f"{pairs[-1][0]:.4g} against {pairs[-1][1]:.4g}" if pairs else verdict.effect
        changes = {"harm": f"{log_harm:.2f}", "safety": f"{log_safety:.2f}", "effect": effect}
        return verdict.model_copy(update={"verdict": kind, "reason": reason, "message": text, **changes})


@dataclass(frozen=True, slots=True)
class Threshold(Subject):
    """One value against fixed limits; `evidence` holds up to when it was looked at and the run of bad windows."""

    def enter_step(self, evidence: str, since: int) -> str:
        """Return the state as a new weight begins: a run of bad windows goes on."""
        head, _, run = evidence.partition(" ")
        return f"{onward(since, instant(head))} {run}" if run else ""

    def judge(self, case: Case) -> Outcome:
        """Look at the values of the new windows; one that is missing neither ends a run of bad ones nor adds to it."""
        head, _, text = case.last.evidence.partition(" ")
        end, run = instant(head), instant(text) or 0
        end = case.since if end is None else end
        start = case.first(end)
        if start is None:
            return case.unchanged(end)
        patience, known = self.metric.failures or FAILURES, None
        for value in _values(case.reading.candidate, start):
            if value is not None and run < patience:
                known, run = value, run + 1 if self._outside(value) else 0
        end, failed = case.reading.instants[-1], run >= patience
        verdict = case.last.model_copy(update={"evidence": f"{end} {run}", "harm": "0.00"})
        if known is None and not failed:
            why = "the query has no value now; nothing follows from that"
            return Outcome(_say(verdict, VerdictKind.NO_DATA, Reason.NO_VALUE, why), 0.0, end)
        bounds = " to ".join(f"{one:g}" for one in (self.metric.min, self.metric.max) if one is not None)
        side = "between" if self.metric.max is not None and self.metric.min is not None else self._side()
        seen = f"{verdict.effect if known is None else f'{known:.6g}'}, to be {side} {bounds}"
        verdict = verdict.model_copy(update={"effect": verdict.effect if known is None else f"{known:.6g}"})
        if run == 0:
            return Outcome(_say(verdict, VerdictKind.PASS, Reason.SAFE, f"value {seen}"), 0.0, end)
        late = f"value {seen}: outside in {run} windows in a row, fails at {patience}"
        return Outcome(_say(verdict, VerdictKind.NO_DATA, Reason.DOUBTFUL, late), 0.0, end, failed)

    def _outside(self, value: float) -> bool:
        high, low = self.metric.max, self.metric.min
        return (high is not None and value > high) or (low is not None and value < low)

    def _side(self) -> str:
        return "at most" if self.metric.max is not None else "at least"


def _say(verdict: Verdict, kind: VerdictKind, reason: Reason, message: str) -> Verdict:
    return verdict.model_copy(update={"verdict": kind, "reason": reason, "message": message})


def _values(side: Sequence[Series], start: int) -> list[float | None]:
    """Return the value at the end of each window after instant `start`; None where there is none or no number."""
    for one in side:
        return [value if value is not None and math.isfinite(value) else None for value in one.values[start + 1 :]]
    return []


def tests(metric: Metric) -> Iterator[Test]:
    """Yield the test of the metric."""
    yield Compared(metric, metric.weight or 1.0) if metric.compared else Threshold(metric, share=0.0)
