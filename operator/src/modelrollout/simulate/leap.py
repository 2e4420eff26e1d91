"""Several windows at one look, where a look at each would find nothing to do: the same run in less time.

Evidence is the same however often anybody looks. What is tried here is a plan at the last of some windows; it stands
if no plan at an earlier one can have done anything, and is dropped otherwise, with all that was drawn for it.
"""

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from modelrollout.api.resource import ModelRollout
from modelrollout.api.spec import Spec
from modelrollout.api.status import Phase, Reason, Status, VerdictKind
from modelrollout.api.units import parse_duration, parse_percent
from modelrollout.core.actions import Plan, SaveStatus
from modelrollout.core.evidence.judge import Judgement, Question, judge
from modelrollout.core.evidence.metrics import traffic
from modelrollout.core.sticky import by_key
from modelrollout.core.strategies import steps_of

FIRST: Final = 24
MOST: Final = 96
"""Windows at one look: of the first leap, and of any."""
KNOWN: Final = ("errors", "latency")
"""Metrics whose tests say how high the evidence for harm was on the way."""
NEVER: Final = timedelta(days=3650)
"""Between two writes of a status that only evidence changed: nobody reads it but an operator that was restarted."""


@dataclass
class Reach:
    """How far to leap: further after a success, and less far, later, after failures."""

    windows: int = FIRST
    misses: int = 0
    rest_until: int = 0
    """Row before which no leap is tried."""

    def rows(self, first: int, last: int) -> range:
        """Return the rows to count at one look; fewer than two: no leap."""
        return range(first, min(last + 1, first + self.windows)) if first >= self.rest_until else range(0)

    def hit(self) -> None:
        """Note a leap that stands."""
        self.windows, self.misses = min(MOST, 2 * self.windows), 0

    def miss(self, row: int) -> None:
        """Note one that was dropped, from `row` on."""
        self.windows, self.misses = max(2, self.windows // 2), self.misses + 1
        self.rest_until = row + 2 ** min(self.misses, 5) - 1


@dataclass
class Witness:
    """The judge, with an ear on what it finds."""

    found: list[Judgement] = field(default_factory=list)

    def __call__(self, question: Question) -> Judgement:
        """Judge."""
        self.found.append(judge(question))
        return self.found[-1]


def possible(rollout: ModelRollout) -> bool:
    """Say whether leaps are worth trying at all: every metric is known, and no step ends by the clock alone."""
    steps = steps_of(rollout.spec)
    known = all(metric.name in KNOWN for metric in rollout.spec.analysis.metrics)
    plain = all(step.kind in ("weight", "pause", "switch") for step in steps)
    timed = any(step.max_duration for step in steps) or rollout.spec.strategy.schedule is not None
    return known and plain and not timed


def begun(status: Status, spec: Spec) -> bool:
    """Say whether a weight is being verified, with evidence of every metric."""
    step = status.step
    verified = step is not None and step.verified is not None and status.window_end is not None
    verdicts = status.verdicts
    running = status.phase is Phase.PROGRESSING and status.paused is None and status.skip_to is None
    seen = all(verdict.evidence for verdict in verdicts)
    # Nobody looks at the split of requests where clients are weighed.
    settled = by_key(spec) is not None or any(traffic.settled(verdict.evidence) for verdict in verdicts)
    return running and verified and seen and settled


def stands(rollout: ModelRollout, made: Plan, found: list[Judgement], now: datetime) -> bool:
    """Say whether plans at the windows before could not have done anything either."""
    before, after = rollout.status, made.status
    if any(not isinstance(action, SaveStatus) for action in made.actions) or len(found) != 1:
        return False
    if after.history != before.history or after.phase is not before.phase or after.step != before.step:
        return False
    need = -math.log(parse_percent(rollout.spec.analysis.false_rollback))
    if found[0].blamed is not None or found[0].peak is None or found[0].peak > need - 1e-6:
        return False
    # Safety at its best never falls within a step: a metric that still counts did not pass on the way either.
    counting = any(verdict.reason is Reason.COUNTING for verdict in after.verdicts)
    return counting or after.verdict is VerdictKind.PASS or _resting(rollout, now)


def _resting(rollout: ModelRollout, now: datetime) -> bool:
    """Say whether the step lasts beyond `now` whatever the evidence says."""
    current, strategy = rollout.status.step, rollout.spec.strategy
    steps = steps_of(rollout.spec)
    if current is None or current.index >= len(steps):
        return False
    step = steps[current.index]
    return step.weight is not None and now < current.since + parse_duration(
        step.min_duration or strategy.min_step_duration
    )
