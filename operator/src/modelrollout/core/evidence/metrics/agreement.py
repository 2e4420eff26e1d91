"""`agreement`: whether the candidate answers as stable does, asked the same question.

The pairs of answers come from the comparer. Both tests are functions of two totals, the pairs and those that disagree,
counted since the candidate came: agreement has nothing to do with the weight, so no step asks for it anew.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from modelrollout.api.metrics import Metric
from modelrollout.api.status import Reason, Tally, Verdict, VerdictKind
from modelrollout.api.units import parse_percent
from modelrollout.core.evidence import counters, paired, wording
from modelrollout.core.evidence.case import Case, Outcome, Test, instant, onward
from modelrollout.core.evidence.interval import rate_bounds
from modelrollout.core.evidence.metrics.subject import Subject
from modelrollout.core.evidence.tallies import with_candidate
from modelrollout.core.evidence.wording import MAX_LOG_DOUBT


@dataclass(frozen=True, slots=True)
class Agreement(Subject):
    """Pairs of answers of both revisions; `evidence` holds up to when they were counted."""

    @property
    def limit(self) -> float:
        """Highest share of pairs that may disagree."""
        return 1.0 - parse_percent(self.metric.min_agreement or wording.MIN_AGREEMENT)

    def enter_step(self, evidence: str, since: int) -> str:
        """Return the state as a new weight begins: totals are kept, pairs before `since` do not count."""
        return str(onward(since, instant(evidence))) if evidence else ""

    def judge(self, case: Case) -> Outcome:
        """Count pairs."""
        end = instant(case.last.evidence)
        end = case.since if end is None else end
        start = case.first(end)
        if start is None:
            return case.unchanged(end)
        windows = counters.bad_and_all(case.reading, start)
        before = case.last.candidate
        tally = with_candidate(before, windows)
        seconds = case.reading.instants[-1] - case.reading.instants[start]
        end = case.reading.instants[-1]
        verdict = case.last.model_copy(update={"candidate": tally, "evidence": str(end)})
        log_harm = paired.log_above(tally.bad, tally.requests, self.limit)
        per_second = (tally.requests - before.requests) / seconds
        return Outcome(self._conclude(case, verdict, log_harm, per_second), log_harm, end)

    def _conclude(self, case: Case, verdict: Verdict, log_harm: float, per_second: float) -> Verdict:
        pairs, bad = verdict.candidate.requests, verdict.candidate.bad
        log_safety = paired.log_below(bad, pairs, self.limit)
        need = -math.log(parse_percent(case.analysis.false_promotion))
        kind, seen = VerdictKind.NO_DATA, f"{bad} of {pairs} pairs of answers disagree"
        if pairs == 0:
            reason = Reason.NO_TRAFFIC
            text = "no pair of answers yet; is the comparer running, and are requests mirrored to it?"
        elif log_harm > MAX_LOG_DOUBT:
            reason, odds = Reason.DOUBTFUL, f"more than {wording.percent(self.limit)} {wording.e_value(log_harm)}"
            text = f"doubtful: {seen}; e-value for {odds}, no step forward above 5"
        elif log_safety >= need:
            kind, reason = VerdictKind.PASS, Reason.SAFE
            text = f"at least {wording.percent(1.0 - self.limit)}: {seen} (e-value {wording.e_value(log_safety)})"
        else:
            reason = Reason.COUNTING
            text = f"{self._missing(case, verdict.candidate, need - log_safety, per_second)}: {seen}"
        low, high = (wording.percent(bound) for bound in rate_bounds(bad, pairs))
        effect = f"{wording.percent(bad / pairs)} disagree ({low} to {high})" if pairs else ""
        changes = {"harm": f"{log_harm:.2f}", "safety": f"{log_safety:.2f}", "effect": effect}
        return verdict.model_copy(update={"verdict": kind, "reason": reason, "message": text, **changes})

    def _missing(self, case: Case, pairs: Tally, nats: float, per_second: float) -> str:
        """Say how many more pairs it takes if they go on as they did."""
        share = (pairs.bad + self.limit / 2.0) / (pairs.requests + 1.0)
        gain = paired.gain_below(share, self.limit)
        least = wording.percent(1.0 - self.limit)
        if gain <= 1e-6:
            return f"too close to {least} agreement to tell"
        more = max(1, math.ceil(nats / gain))
        return f"needs about {more} more pairs{wording.wait(more, per_second, case.weight)} to show {least} agreement"


def tests(metric: Metric) -> Iterator[Test]:
    """Yield the test of the metric."""
    yield Agreement(metric, metric.weight or 1.0)
