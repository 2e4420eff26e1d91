"""The metrics that can gate a rollout: one file each, each with a function `tests(metric)`."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from modelrollout.api.metrics import Metric
from modelrollout.api.spec import Analysis
from modelrollout.core.evidence.case import Test
from modelrollout.core.evidence.metrics import (
    agreement,
    errors,
    inputs,
    latency,
    predictions,
    quality,
    query,
    slo,
    traffic,
)
from modelrollout.core.evidence.stages import Stage, staged

KINDS: Final[Mapping[str, Callable[[Metric], Iterator[Test]]]] = {
    "errors": errors.tests,
    "latency": latency.tests,
    "predictions": predictions.tests,
    "inputs": inputs.tests,
    "agreement": agreement.tests,
    "quality": quality.tests,
    "slo": slo.tests,
}
"""The built-in ones; a metric of any other name asks a query of its own."""
PAST: Final = ("errors", "latency", "predictions")
"""Metrics that look at an hour of stable before they begin."""
TOLD: Final = ("inputs",)
"""Metrics that are told only: they neither hold nor go back, answered or not."""


_latest: list[tuple[Analysis, bool, tuple[Test, ...]]] = []
"""The analysis asked for last: a plan asks several times, and a simulation half a million times, for the same."""


def tests_of(analysis: Analysis, stage: Stage | None) -> tuple[Test, ...]:
    """Return the tests of all metrics of an analysis; with a stage, those of every stage."""
    shadowed = stage is not None
    if _latest and _latest[0][0] is analysis and _latest[0][1] == shadowed:
        return _latest[0][2]
    found = [test for metric in analysis.metrics for test in KINDS.get(metric.name, query.tests)(metric)]
    tests = tuple(traffic.watched(found))
    if shadowed:
        tests = staged(tests)
    _latest[:] = [(analysis, shadowed, tests)]
    return tests
