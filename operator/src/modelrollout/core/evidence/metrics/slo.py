"""`slo`: a limit on failed requests of both revisions together, whoever of them fails.

A candidate can take stable down with it: an overloaded database, a full GPU. A comparison sees nothing then. This test
has no say in promotion but by its doubt: a service that meets its objective proves nothing about the candidate.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modelrollout.api.metrics import Metric
from modelrollout.api.status import Reason, Verdict, VerdictKind
from modelrollout.api.units import parse_percent
from modelrollout.core.evidence import counters, paired, wording
from modelrollout.core.evidence.case import Case, Outcome, Test, instant, onward
from modelrollout.core.evidence.interval import rate_bounds
from modelrollout.core.evidence.metrics.subject import Subject
from modelrollout.core.evidence.paired import State
from modelrollout.core.evidence.tallies import tallies, totals
from modelrollout.core.evidence.wording import MAX_LOG_DOUBT


@dataclass(frozen=True, slots=True)
class Slo(Subject):
    """Failed requests of both revisions; `evidence` holds up to when they were counted, and the test's state."""

    @property
    def limit(self) -> float:
        """Highest share of all requests that may fail."""
        return limit(self.metric)

    def enter_step(self, evidence: str, since: int) -> str:
        """Return the state as a new weight begins: harm is never forgotten."""
        head, _, state = evidence.partition(" ")
        return f"{onward(since, instant(head))} {state}" if state else ""

    def judge(self, case: Case) -> Outcome:
        """Count failed requests."""
        head, _, packed = case.last.evidence.partition(" ")
        end, state = instant(head), paired.unpack(packed)
        if end is None or state is None:
            end, state = case.since, State()
        start = case.first(end)
        if start is None:
            return case.unchanged(end)
        instants = case.reading.instants[start:]
        total: Sequence[int] = totals(case.last)
        for before, after, window in zip(
            instants, instants[1:], counters.bad_and_all(case.reading, start), strict=False
        ):
            n_c, x_c, n_s, x_s = window
            state = paired.update(state, x_c + x_s, n_c + n_s, self.limit, after - before)
            total = [a + b for a, b in zip(total, window, strict=True)]
        verdict = case.last.model_copy(update={**tallies(total), "evidence": f"{instants[-1]} {state.pack()}"})
        return Outcome(self._conclude(verdict, state.log_above), state.log_above, instants[-1])

    def _conclude(self, verdict: Verdict, log_harm: float) -> Verdict:
        n = verdict.candidate.requests + verdict.stable.requests
        bad = verdict.candidate.bad + verdict.stable.bad
        most, share = wording.percent(self.limit), wording.percent(bad / n) if n else "none"
        low, high = (wording.percent(bound) for bound in rate_bounds(bad, n))
        changes = {
            "verdict": VerdictKind.PASS,
            "reason": Reason.SAFE,
            "message": f"{share} of {n} requests to both revisions failed, at most {most} may",
            "effect": f"{share} failed ({low} to {high})" if n else "",
            "harm": f"{log_harm:.2f}",
        }
        if verdict.candidate.requests == 0:
            changes |= {"verdict": VerdictKind.NO_DATA, "reason": Reason.NO_TRAFFIC}
            changes["message"] = "no request reached the candidate yet; send traffic, or check the gateway"
        elif log_harm > MAX_LOG_DOUBT:
            odds = f"e-value for more than {most} lately {wording.e_value(log_harm)}, no step forward above 5"
            changes |= {"verdict": VerdictKind.NO_DATA, "reason": Reason.DOUBTFUL}
            changes["message"] = f"doubtful: {bad} of {n} requests to both revisions failed; {odds}"
        return verdict.model_copy(update=changes)


def limit(metric: Metric) -> float:
    """Return the highest share of failed requests that an objective allows, within (0, 1)."""
    return parse_percent(metric.max_error_rate or "5%")


def tests(metric: Metric) -> Iterator[Test]:
    """Yield the test of the metric."""
    yield Slo(metric, metric.weight or 1.0)
