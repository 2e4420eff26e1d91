"""Which tests look at a step. In a shadow users get stable's answers, so its numbers are of another kind.

A rollout that begins in the shadow has tests of its own for it: the comparer's clocks and counts are not the gateway's,
and evidence must not be carried from one to the other. All of them share one alpha (see `judge`); one that is not
looked at keeps the e-value that it had, which is still an e-value.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from modelrollout.core.evidence.around import Around
from modelrollout.core.evidence.case import Test

COMPARER: Final = "comparer"
"""The preset that reads what the comparer counts."""
COMPARED: Final = ("errors", "latency", "agreement")
"""What the comparer counts, for both revisions by the same clock."""
_SHADOW_ONLY: Final = ("agreement",)
_BOTH: Final = ("predictions", "inputs")
"""Read from the pods, whoever sends the requests."""


class Stage(StrEnum):
    """Where a rollout with a shadow is; one without a shadow has no stages."""

    SHADOW = "shadow"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Shadowed(Around):
    """A test as it is in the shadow: the same, under another name, with a memory of its own."""

    @property
    def name(self) -> str:
        """The name of its verdict."""
        return f"shadow {self.test.name}"


def staged(tests: Sequence[Test]) -> tuple[Test, ...]:
    """Return the tests of a rollout with a shadow: those of live traffic, and those of the shadow before them."""
    shadows = [Shadowed(test) for test in tests if test.metric.name in COMPARED and not _shadow_only(test)]
    return (*shadows, *tests)


def awake(test: Test, stage: Stage | None) -> bool:
    """Say whether a test looks at steps of this stage."""
    if stage is None:
        return True
    if isinstance(test, Shadowed) or _shadow_only(test):
        return stage is Stage.SHADOW
    threshold = test.metric.query is not None and not test.metric.compared
    return stage is Stage.LIVE or test.metric.name in _BOTH or threshold


def _shadow_only(test: Test) -> bool:
    return test.metric.name in _SHADOW_ONLY
