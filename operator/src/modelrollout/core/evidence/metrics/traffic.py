"""The traffic ratio: whether the candidate gets the share of requests that its weight says.

Where it does not, something other than the route decides who answers, and every comparison may be skewed. Always on,
beside the test that counts requests anyway; it holds the traffic where it is and never rolls back.

Not where clients are weighed by their keys and not requests (core.sticky): some ask more often than others, some send
no key, and a share of requests that is not the weight is nobody's fault.

The null is a share within a tolerance around the weight, tested on the totals of the step, on both sides.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from modelrollout.api.status import Reason, Tally, Verdict, VerdictKind
from modelrollout.core.evidence import paired, wording
from modelrollout.core.evidence.around import Around
from modelrollout.core.evidence.case import Case, Outcome, Test
from modelrollout.core.evidence.eprocess import log_sum_exp

NAME: Final = "traffic"
SOURCES: Final = ("errors", "slo", "latency")
"""Metrics that count every request; the first of them is watched."""
RELATIVE: Final = 0.1
"""Tolerance: a tenth of the weight, and at least a point (but no more than half of a weight below two points)."""
LIMIT: Final = math.log(1000.0)
"""Log e-value at which the split is said to be wrong: falsely so in one of a thousand steps at most."""
ENOUGH: Final = 100
"""Requests that the smaller side ought to have had before recent totals can end an alarm."""
UNSETTLED: Final = 2
"""Looks at the beginning of a step that do not count where pods are scraped each at its own moment."""
MOST: Final = 300
"""Characters that a state may have."""


@dataclass(frozen=True, slots=True)
class Split:
    """Requests of the candidate and of stable at this step; with `recent`, those since the alarm was last looked at."""

    skip: int
    candidate: int = 0
    stable: int = 0
    recent: tuple[int, int] | None = None

    def pack(self) -> str:
        """Write it as text."""
        numbers = (self.skip, self.candidate, self.stable, *(self.recent or ()))
        return " ".join(f"{number:x}" for number in numbers)

    def grown(self, candidate: int, stable: int, weight: int) -> "Split":
        """Count requests."""
        if self.skip:
            return replace(self, skip=self.skip - 1) if candidate + stable else self
        total = Split(0, self.candidate + candidate, self.stable + stable)
        if self.recent is None:
            skewed = log_skewed(total.candidate, total.stable, weight) >= LIMIT
            return replace(total, recent=(0, 0)) if skewed else total
        c, s = self.recent[0] + candidate, self.recent[1] + stable
        if (c + s) * min(weight, 100 - weight) / 100.0 < ENOUGH:
            return replace(total, recent=(c, s))
        low, high = tolerated(weight)
        return Split(0) if low <= c / (c + s) <= high else replace(total, recent=(0, 0))


def unpack(text: str) -> Split | None:
    """Read what `Split.pack` wrote; None for anything else."""
    try:
        skip, candidate, stable, *recent = (int(word, 16) for word in text.split(" "))
    except ValueError:
        return None
    return Split(skip, candidate, stable, (recent[0], recent[1]) if len(recent) == 2 else None)


def settled(evidence: str) -> bool:
    """Say whether the state of a watched test counts its split, and raises no alarm: then only windows matter."""
    split = unpack(evidence.partition("|")[2])
    return split is not None and not split.skip and split.recent is None


def tolerated(weight: int) -> tuple[float, float]:
    """Return the least and the greatest share of requests that fit a weight (per cent)."""
    share = weight / 100.0
    slack = max(RELATIVE * share, min(0.01, share / 2.0))
    return share - slack, min(share + slack, 1.0 - 1e-9)


def log_skewed(candidate: int, stable: int, weight: int) -> float:
    """Return the log e-value against the null that the split fits the weight."""
    low, high = tolerated(weight)
    both = candidate + stable
    sides = (paired.log_above(candidate, both, high), paired.log_below(candidate, both, low))
    return log_sum_exp(sides) - math.log(2.0)


@dataclass(frozen=True, slots=True)
class Watched(Around):
    """A test that counts requests, with an eye on their split; what that remembers follows a bar in `evidence`."""

    def enter_step(self, evidence: str, since: int) -> str:
        """Return the state as a new weight begins: its split is counted anew."""
        return self.test.enter_step(evidence.partition("|")[0], since)

    def judge(self, case: Case) -> Outcome:
        """Let the test judge, and count the requests that it counted."""
        own, _, packed = case.last.evidence.partition("|")
        before = case.last.model_copy(update={"evidence": own})
        outcome = self.test.judge(replace(case, last=before))
        after = outcome.verdict
        if not after.evidence or not 0 < case.weight < 100:
            return outcome
        split = unpack(packed) or Split(0 if math.isinf(case.cap) else UNSETTLED)
        split = split.grown(
            after.candidate.requests - before.candidate.requests - outcome.unsettled[0],
            after.stable.requests - before.stable.requests - outcome.unsettled[1],
            case.weight,
        )
        text = f"{after.evidence}|{split.pack()}"
        verdict = after.model_copy(update={"evidence": text if len(text) <= MOST else after.evidence})
        return replace(
            outcome,
            verdict=verdict,
            beside=_alarm(split, case.weight) if split.recent else None,
            peak=outcome.peak if _quiet(unpack(packed), outcome.counted[:-1], case.weight) else None,
        )


def _quiet(split: Split | None, earlier: Sequence[tuple[int, int]], weight: int) -> bool:
    """Say whether a look after each of the earlier windows of a reading would have raised no alarm."""
    if not earlier:
        return True
    if split is None or split.skip or split.recent is not None:
        return False
    for candidate, stable in earlier:
        split = split.grown(candidate, stable, weight)
    return split.recent is None


def watched(tests: list[Test]) -> list[Test]:
    """Return tests with the first one that counts every request watched."""
    for name in SOURCES:
        for place, test in enumerate(tests):
            if test.metric.name == name:
                return [*tests[:place], Watched(test), *tests[place + 1 :]]
    return tests


def _alarm(split: Split, weight: int) -> Verdict:
    c, both = split.candidate, split.candidate + split.stable
    seen = f"{c} of {both} requests ({wording.percent(c / both)}) reached the candidate at weight {weight}%"
    return Verdict(
        name=NAME,
        verdict=VerdictKind.NO_DATA,
        reason=Reason.TRAFFIC_SPLIT,
        message=f"{seen}; look for sticky sessions, connections kept open, another route to the pods, or retries",
        candidate=Tally(requests=c),
        stable=Tally(requests=split.stable),
    )
