"""The metrics that can gate a rollout: one file each, each with a function `tests(metric)`."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from modelrollout.api.metrics import Metric
from modelrollout.api.spec import Analysis
from modelrollout.core.evidence.case import Test
from modelrollout.core.evidence.metrics import errors, latency

KINDS: Final[Mapping[str, Callable[[Metric], Iterator[Test]]]] = {
    "errors": errors.tests,
    "latency": latency.tests,
}
PAST: Final = ("errors", "latency")
"""Metrics that look at an hour of stable before they begin."""


def tests_of(analysis: Analysis) -> tuple[Test, ...]:
    """Return the tests of all metrics of an analysis."""
    return tuple(test for metric in analysis.metrics for test in KINDS[metric.name](metric))
