"""`quality`: wrong predictions, told by labels that come later.

A label counts in the cohort of its prediction, for both revisions alike: labels that come early are others than those
that come late, so stable must not bring along predictions from before the candidate came. For the same reason cohorts
of different weights are compared apart: at a higher weight the candidate's share of young predictions is higher too.
Labels may take longer than a rollout. A step does not wait for them, unless they do come in time.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

from modelrollout.api.metrics import Metric
from modelrollout.api.status import Reason, Verdict, VerdictKind
from modelrollout.api.units import parse_percent
from modelrollout.core.evidence import counters, two_sample, wording
from modelrollout.core.evidence.case import Case, Outcome, Test, instant
from modelrollout.core.evidence.eprocess import Design
from modelrollout.core.evidence.metrics.subject import Subject, split
from modelrollout.core.evidence.rates import Margin
from modelrollout.core.evidence.two_sample import Memory, Rates
from modelrollout.core.evidence.windows import Reading
from modelrollout.core.evidence.wording import MAX_LOG_DOUBT

RATIOS: Final = (1.1, 1.3, 1.6, 2.2, 4.0, 10.0)
"""Alternatives, closer than those for failed requests: wrong predictions are no rare events."""
PRIOR: Final = (1 / 6,) * 6
LABELS: Final = 30
"""Labels of the candidate within a step below which they are taken to come too late for it."""
STEPS: Final = 4
"""Steps whose cohorts are counted, the newest."""
TRANSITION: Final = 60
"""Seconds before a step within which the weight may have changed already: cohorts of then are of no one weight."""

Cell = tuple[int, int, int, int]
"""n_c, x_c, n_s, x_s."""


@dataclass(frozen=True, slots=True)
class Quality(Subject):
    """Labelled predictions of one slice, or of all.

    `evidence` holds when the steps began whose cohorts count (Unix seconds; after the first as seconds on from it), the
    candidate's labels since the last of them, and the state of the tests.
    """

    rates: Rates = field(kw_only=True)

    def enter_step(self, evidence: str, since: int) -> str:
        """Return the state as a new weight begins: cohorts of the steps before count on, each step's apart."""
        first, _, rest = evidence.partition(" ")
        steps, state = _starts(first), self.rates.enter_step(rest.partition(" ")[2], since)
        return f"{_written([*steps, max(since, steps[-1])][-STEPS:])} 0 {state}" if steps and state else ""

    def judge(self, case: Case) -> Outcome:
        """Count labels."""
        first, _, rest = case.last.evidence.partition(" ")
        labels, _, packed = rest.partition(" ")
        steps, memory = _starts(first), two_sample.unpack(packed)
        if not steps or memory is None:
            steps, memory = [case.since], None
        end = case.since if memory is None else memory.state.end
        start = case.first(end)
        if start is None:
            return case.unchanged(end)
        if memory is None:
            memory = self._begin(case, start)
        cells = list(_cells(case.reading, self.part, steps, start))
        instants = (case.reading.instants[start], *(end for end, _ in cells))
        bare = replace(
            case,
            last=case.last.model_copy(update={"evidence": packed}),
            reading=replace(case.reading, instants=instants),
        )
        outcome = self.rates.count(bare, memory, 0, [cell for _, cell in cells])
        here = (instant(labels) or 0) + sum(cell[0] for _, cell in cells)
        verdict = outcome.verdict.model_copy(
            update={"evidence": f"{_written(steps)} {here} {outcome.verdict.evidence}"}
        )
        return replace(outcome, verdict=_patient(verdict, here, outcome.log_harm))

    def _begin(self, case: Case, start: int) -> Memory:
        labels, wrong = counters.lifetime(self.own(case.reading).stable, start)
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


def _starts(text: str) -> list[int]:
    """Read when the steps began; nothing where the text is something else."""
    numbers = [instant(word) for word in text.split(",")]
    known = [number for number in numbers if number is not None]
    return [known[0], *(known[0] + number for number in known[1:])] if len(known) == len(numbers) else []


def _written(steps: Sequence[int]) -> str:
    return ",".join([str(steps[0]), *(str(step - steps[0]) for step in steps[1:])])


def _cells(reading: Reading, part: str, steps: Sequence[int], start: int) -> Iterator[tuple[int, Cell]]:
    """Yield the labels of each window after instant `start`, those of each step's cohorts apart, with its end.

    A cell in which the candidate has no label says nothing. The last one is empty: it tells up to when was counted.
    A cohort's counter is born with its first label; other series tell that its source was there before.
    """
    both = (*reading.stable, *reading.candidate)
    known = counters.sources_known(both, len(reading.instants))
    cohorts = sorted({one.cohort for one in both if one.cohort is not None})
    length = min((b - a for a, b in pairwise(cohorts)), default=0)
    totals = [[[0, 0, 0, 0] for _ in steps] for _ in range(len(reading.instants) - start - 1)]
    for offset, side in ((0, reading.candidate), (2, reading.stable)):
        for one in side:
            step = _step_of(one.cohort, length, steps)
            if step is None or (part and one.part != part):
                continue
            for total, grown in zip(totals, counters.increments(one, known[one.source], start), strict=True):
                total[step][offset] += grown
                total[step][offset + 1] += grown if one.bad else 0
    for end, total in zip(reading.instants[start + 1 :], totals, strict=True):
        yield from ((end, (t[0], t[1], t[2], t[3])) for t in total if t[0])
    yield reading.instants[-1], (0, 0, 0, 0)


def _step_of(cohort: int | None, length: int, steps: Sequence[int]) -> int | None:
    """Return the step that all predictions of a cohort were made in; None where there is none."""
    place = bisect_right(steps, cohort) - 1 if cohort is not None else -1
    if cohort is None or place < 0:
        return None
    whole = place == len(steps) - 1 or cohort + length <= steps[place + 1] - TRANSITION
    return place if whole else None


def tests(metric: Metric) -> Iterator[Test]:
    """Yield the tests of the metric: one, or one for each slice."""
    margin = Margin(1.0, parse_percent(metric.max_drop or wording.MAX_DROP))
    rates = Rates(Design(margin=margin, bernoulli=True, ratios=RATIOS, prior=PRIOR), join=1)
    yield from (Quality(metric, share, part, rates=rates) for share, part in split(metric))
