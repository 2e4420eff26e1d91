"""`quality`: wrong predictions, told by labels that come later.

A label counts in the cohort of its prediction, and only cohorts count that began after the candidate came, for both
revisions alike: otherwise stable would bring along old predictions whose late labels are others than the early ones.
Labels may take longer than a rollout. A step does not wait for them, unless they do come in time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from modelrollout.api.metrics import Metric
from modelrollout.api.status import Reason, Verdict, VerdictKind
from modelrollout.api.units import parse_percent
from modelrollout.core.evidence import counters, two_sample, wording
from modelrollout.core.evidence.case import Case, Outcome, Test, instant
from modelrollout.core.evidence.eprocess import Design
from modelrollout.core.evidence.rates import Margin
from modelrollout.core.evidence.two_sample import Memory, Rates
from modelrollout.core.evidence.windows import Reading
from modelrollout.core.evidence.wording import MAX_LOG_DOUBT

RATIOS: Final = (1.1, 1.3, 1.6, 2.2, 4.0, 10.0)
"""Alternatives, closer than those for failed requests: wrong predictions are no rare events."""
PRIOR: Final = (1 / 6,) * 6
LABELS: Final = 30
"""Labels of the candidate within a step below which they are taken to come too late for it."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Labelled predictions of one slice, or of all.

    `evidence` holds the first cohort that counts (Unix seconds), the candidate's labels since the step began, and the
    state of the tests.
    """

    rates: Rates
    part: str = ""

    @property
    def metric(self) -> Metric:
        """The metric, as the user wrote it."""
        return self.rates.metric

    @property
    def name(self) -> str:
        """The name of its verdict."""
        return self.rates.name

    @property
    def share(self) -> float:
        """Its part of alpha."""
        return self.rates.share

    def enter_step(self, evidence: str, since: int) -> str:
        """Return the state as a new weight begins: cohorts since the beginning count on."""
        first, _, rest = evidence.partition(" ")
        state = self.rates.enter_step(rest.partition(" ")[2], since)
        return f"{first} 0 {state}" if state else ""

    def judge(self, case: Case) -> Outcome:
        """Count labels."""
        first, _, rest = case.last.evidence.partition(" ")
        labels, _, packed = rest.partition(" ")
        cohort, memory = instant(first), two_sample.unpack(packed)
        if cohort is None or memory is None:
            cohort, memory = case.since, None
        end = case.since if memory is None else memory.state.end
        start = case.first(end)
        if start is None:
            return case.unchanged(end)
        if memory is None:
            memory = self._begin(case, start)
        counts = _labels(case.reading, self.part, cohort, start)
        bare = replace(case, last=case.last.model_copy(update={"evidence": packed}))
        outcome = self.rates.count(bare, memory, start, counts)
        here = (instant(labels) or 0) + sum(window[0] for window in counts)
        verdict = outcome.verdict.model_copy(update={"evidence": f"{cohort} {here} {outcome.verdict.evidence}"})
        return replace(outcome, verdict=_patient(verdict, here, outcome.log_harm))

    def _begin(self, case: Case, start: int) -> Memory:
        part = two_sample.part_of(case.reading, self.part) if self.part else case.reading
        labels, wrong = counters.lifetime(part.stable, start)
        return self.rates.begin(case, case.reading.instants[start], (wrong + 2.0) / (labels + 20.0), labels, [])


def _patient(verdict: Verdict, labels: int, log_harm: float) -> Verdict:
    """Return the verdict, in words for labels; Pass where too few came in this step to wait for more."""
    if verdict.verdict is VerdictKind.PASS or log_harm > MAX_LOG_DOUBT:
        return verdict
    if labels < LABELS:
        message = f"labels come later than this step: {labels} of the candidate's predictions labelled in it"
        if verdict.candidate.requests:
            message += f"; so far wrong: {wording.counts(verdict)}"
        changes = {"verdict": VerdictKind.PASS, "reason": Reason.UNLABELLED, "message": message}
    elif verdict.reason is Reason.NO_TRAFFIC:
        changes = {"message": f"no label came lately; wrong so far: {wording.counts(verdict)}"}
    else:
        changes = {"message": verdict.message.replace("candidate requests", "labelled predictions of the candidate")}
    return verdict.model_copy(update=changes)


def _labels(reading: Reading, part: str, first: int, start: int) -> list[tuple[int, int, int, int]]:
    """Return n_c, x_c, n_s, x_s of each window after instant `start`, of cohorts that began at or after `first`.

    A cohort's counter is born with its first label; other series tell that its source was there before.
    """
    known = counters.sources_known((*reading.stable, *reading.candidate), len(reading.instants))
    totals = [[0, 0, 0, 0] for _ in range(len(reading.instants) - start - 1)]
    for offset, side in ((0, reading.candidate), (2, reading.stable)):
        for one in side:
            if one.cohort is None or one.cohort < first or (part and one.part != part):
                continue
            for total, grown in zip(totals, counters.increments(one, known[one.source], start), strict=True):
                total[offset] += grown
                total[offset + 1] += grown if one.bad else 0
    return [(t[0], t[1], t[2], t[3]) for t in totals]


def tests(metric: Metric) -> Iterator[Test]:
    """Yield the tests of the metric: one, or one for each slice."""
    margin = Margin(1.0, parse_percent(metric.max_drop or wording.MAX_DROP))
    design = Design(margin=margin, bernoulli=True, ratios=RATIOS, prior=PRIOR)
    share = metric.weight or 1.0
    values: Sequence[str] = metric.slices.values if metric.slices is not None else ()
    if not values:
        yield Quality(Rates(metric, metric.name, share, design))
    for value in values:
        yield Quality(Rates(metric, f"{metric.name}[{value}]", share / len(values), design), value)
