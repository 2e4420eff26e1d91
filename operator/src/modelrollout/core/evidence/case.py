"""One metric of a question to the judge, and what came of it."""

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Protocol

from modelrollout.api.metrics import Metric
from modelrollout.api.spec import Analysis
from modelrollout.api.status import Reason, Verdict, VerdictKind
from modelrollout.api.units import parse_percent
from modelrollout.core.evidence.windows import Reading

SILENCE = 30
"""Seconds without one candidate request after which the hold is blamed on missing traffic."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a test is asked: the new reading, and everything that it said and remembered before."""

    analysis: Analysis
    last: Verdict
    """What was said of the metric last; `evidence` holds the state of its test, empty before the first window."""
    reading: Reading
    """New data; never with an error."""
    since: int
    """Windows that begin before this instant do not count (Unix seconds)."""
    weight: int
    """The candidate's weight now, in per cent."""
    next_weight: int
    """The weight to be earned, in per cent."""
    limit: float
    """Log e-value at which this test alone rolls back."""
    settled: int = 0
    """From this instant on the gateway splits requests as the step says (Unix seconds)."""

    def first(self, end: int) -> int | None:
        """Return the position of the first instant at or after `end`, if a window follows it."""
        instants = self.reading.instants
        place = bisect_left(instants, end)
        return place if place < len(instants) - 1 else None

    @property
    def cap(self) -> float:
        """Return the most that one window may add to log E (nats).

        Pods are scraped each at a moment of its own, so at the onset of an incident that hits all, one revision is
        seen in it up to a window before the other; two windows are spoilt, and three must be needed. What one gateway
        counts for both revisions is of one moment.
        """
        stable = {one.source for one in self.reading.stable}
        together = all(one.source in stable for one in self.reading.candidate)
        return math.inf if together else -math.log(parse_percent(self.analysis.false_rollback)) / 3.0

    def unchanged(self, end: int | None) -> "Outcome":
        """Return what was said last: nothing new was read."""
        return Outcome(self.last, float(self.last.harm), end)

    def no_data(self, reason: Reason, message: str) -> Verdict:
        """Return the verdict NoData for a reason."""
        update = {"verdict": VerdictKind.NO_DATA, "reason": reason, "message": message}
        return self.last.model_copy(update=update)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a test found."""

    verdict: Verdict
    log_harm: float
    """Log e-value against the null that nothing is worse than tolerated."""
    end: int | None
    """Evidence is counted up to here (Unix seconds); None where the test could not begin."""
    failed: bool = False
    """It failed by a plain rule, which rolls back at once and outside of alpha: nothing limits its false alarms."""
    beside: Verdict | None = None
    """A verdict of the operator's own, found on the same reading."""
    peak: float | None = None
    """Highest `log_harm` after any window of the reading; None where a look at each might have found something else."""
    counted: tuple[tuple[int, int], ...] = ()
    """Requests of candidate and stable in each window that was counted."""
    unsettled: tuple[int, int] = (0, 0)
    """Requests of candidate and stable that were counted on this reading, of before `Case.settled`."""


def instant(text: str) -> int | None:
    """Read an instant (Unix seconds) from a state; None for anything else."""
    return int(text) if text.isascii() and text.isdigit() else None


def onward(since: int, end: int | None) -> int:
    """Return from where to count, given the end of what was counted: nothing twice, though a clock was set back."""
    return since if end is None else max(since, end)


class Test(Protocol):
    """One way to turn the readings of one metric into a verdict; pure, its memory is `Verdict.evidence`."""

    @property
    def metric(self) -> Metric:
        """The metric, as the user wrote it."""

    @property
    def name(self) -> str:
        """The name of its verdict: the metric's, with the slice in brackets where it judges one."""

    @property
    def share(self) -> float:
        """Its part of alpha, relative to the others'; 0 for one that never fails."""

    def judge(self, case: Case) -> Outcome:
        """Count the windows of a reading."""

    def enter_step(self, evidence: str, since: int) -> str:
        """Return the state as a new weight begins: safety to be earned anew, nothing counted before `since`."""
