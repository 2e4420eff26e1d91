"""A test around another one: as that is, but for what a subclass says otherwise."""

from dataclasses import dataclass

from modelrollout.api.metrics import Metric
from modelrollout.core.evidence.case import Case, Outcome, Test


@dataclass(frozen=True, slots=True)
class Around:
    """A test that is another one in everything."""

    test: Test

    @property
    def metric(self) -> Metric:
        """The metric, as the user wrote it."""
        return self.test.metric

    @property
    def name(self) -> str:
        """The name of its verdict."""
        return self.test.name

    @property
    def share(self) -> float:
        """Its part of alpha."""
        return self.test.share

    def enter_step(self, evidence: str, since: int) -> str:
        """Return the state as a new step begins."""
        return self.test.enter_step(evidence, since)

    def judge(self, case: Case) -> Outcome:
        """Count the windows of a reading."""
        return self.test.judge(case)
