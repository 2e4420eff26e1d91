"""How each metric is counted: which requests are bad, what is tolerated, and what it needs from a reading."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from modelrollout.api.metrics import Metric
from modelrollout.core.evidence import counters
from modelrollout.core.evidence.eprocess import Design, State
from modelrollout.core.evidence.rates import Margin
from modelrollout.core.evidence.windows import Reading

Counts = list[tuple[int, int, int, int]]
"""n_c, x_c, n_s, x_s of each window."""

PRIOR_WEIGHT: Final = 5000
"""Most that stable's past before the rollout weighs, in requests, so that its present counts soon."""
QUANTILE: Final = 0.9
"""Latency is watched at the boundary nearest to this quantile of stable's past."""
MIN_PAST: Final = 50
"""Requests of stable that latency needs before it can choose its boundary."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What stable's past tells before the first window."""

    rate: float = 0.0
    requests: float = 0.0
    bucket: int = -1
    shift: int = 0
    missing: str = ""
    """What keeps the metric from being judged, in words."""
    waits: bool = False
    """It is missing only because it is early."""


class Choice(Protocol):
    """One metric as it is counted."""

    @property
    def name(self) -> str:
        """The metric's name in the resource."""

    @property
    def share(self) -> float:
        """Its part of alpha, relative to the other metrics'."""

    @property
    def budget_factor(self) -> float:
        """What the harm budget is multiplied with."""

    @property
    def test(self) -> Design:
        """The configuration of its tests."""

    def baseline(self, reading: Reading, first: int, start: int) -> Baseline:
        """Read stable's past at instant `start`; instants from `first` on may be used, but only up to it."""

    def problem(self, reading: Reading, state: State) -> str | None:
        """Say why the reading cannot be counted, if so."""

    def windows(self, reading: Reading, state: State, start: int) -> Counts:
        """Count the windows after instant `start`."""


@dataclass(frozen=True, slots=True)
class Errors:
    """Failed requests."""

    test: Design
    name: str = "errors"
    share: float = 3.0
    budget_factor: float = 1.0

    def baseline(self, reading: Reading, first: int, start: int) -> Baseline:  # noqa: ARG002 - any past will do
        """Read stable's past error rate; a little is added so that no rate is zero."""
        requests, bad = counters.lifetime(reading.stable, start)
        return Baseline((bad + 0.2) / (requests + 200.0), float(min(requests, PRIOR_WEIGHT)))

    def problem(self, reading: Reading, state: State) -> str | None:  # noqa: ARG002
        """Any counters can be counted."""
        return None

    def windows(self, reading: Reading, state: State, start: int) -> Counts:  # noqa: ARG002
        """Count all and failed requests."""
        return counters.bad_and_all(reading, start)


@dataclass(frozen=True, slots=True)
class Latency:
    """Slow requests: above the bucket boundary nearest to stable's 90th percentile.

    The candidate is held against a boundary that is higher by at least the tolerated factor: the null is then
    "the candidate is stochastically no slower than stable times that factor", whatever the shape of either.
    """

    test: Design
    factor: float
    name: str = "latency"
    share: float = 1.0
    budget_factor: float = 10.0

    def baseline(self, reading: Reading, first: int, start: int) -> Baseline:
        """Choose the boundaries from what stable did lately and, where that is lower, in its whole past.

        Either past alone may be spoilt: the whole by a slow start, the last windows by the candidate's.
        """
        bounds = counters.layout(reading.stable)
        if len(bounds) < 3:
            return Baseline(missing="no latency histogram of stable yet")
        recent = counters.added(counters.buckets(reading, reading.stable, bounds, first)[: start - first])
        if not recent or recent[-1] < MIN_PAST:
            seen = recent[-1] if recent else 0
            return Baseline(missing=f"counting stable's latency first: {seen} of {MIN_PAST} requests", waits=True)
        before = counters.held(reading.stable, bounds, first)
        bucket = min(_nearest(past) for past in (recent, before) if past[-1] >= MIN_PAST)
        finite = range(len(bounds) - 1)
        target = next((k for k in finite if bounds[k] >= bounds[bucket] * self.factor * (1 - 1e-9)), None)
        if target is None:
            return Baseline(
                missing=f"latency buckets are too coarse: none above {bounds[bucket]:g} s; add finer and higher buckets"
            )
        rate = 1.0 - (recent[bucket] + 0.5) / (recent[-1] + 1.0)
        return Baseline(rate, float(min(recent[-1], PRIOR_WEIGHT)), bucket, target - bucket)

    def problem(self, reading: Reading, state: State) -> str | None:
        """Refuse histograms whose buckets differ between the revisions or have changed."""
        stable, candidate = counters.layout(reading.stable), counters.layout(reading.candidate)
        if candidate and stable and candidate != stable:
            return "latency buckets of stable and candidate differ; give both the same buckets"
        if stable and state.bucket + state.shift >= len(stable) - 1:
            return "latency buckets of stable changed during the rollout"
        return None

    def windows(self, reading: Reading, state: State, start: int) -> Counts:
        """Count all and slow requests."""
        bounds = counters.layout((*reading.stable, *reading.candidate))
        if not bounds:
            return [(0, 0, 0, 0)] * (len(reading.instants) - start - 1)
        stable = counters.buckets(reading, reading.stable, bounds, start)
        candidate = counters.buckets(reading, reading.candidate, bounds, start)
        low, high = state.bucket, state.bucket + state.shift
        return [
            (c[-1], max(0, c[-1] - c[high]), s[-1], max(0, s[-1] - s[low]))
            for c, s in zip(candidate, stable, strict=True)
        ]


def _nearest(cumulative: Sequence[float]) -> int:
    """Return the finite boundary nearest to the quantile that is watched."""
    total = max(cumulative[-1], 1.0)
    return min(range(len(cumulative) - 1), key=lambda index: abs(cumulative[index] / total - QUANTILE))


def _errors(metric: Metric) -> Choice:
    relative, absolute = metric.tolerated
    margin = Margin(1.0 + relative, absolute)
    return Errors(Design(margin=margin))


def _latency(metric: Metric) -> Choice:
    return Latency(Design(margin=Margin(1.0, 0.0), bernoulli=True), 1.0 + metric.tolerated[0])


METRICS: Final[Mapping[str, Callable[[Metric], Choice]]] = {"errors": _errors, "latency": _latency}


def expected_gain(safe: Margin, rate: float) -> float:
    """Return the nats of safety evidence that one candidate request is worth when it is as good as stable.

    The Kullback-Leibler divergence between Poisson counts at stable's rate and at the margin.
    """
    rate = max(rate, 1e-6)
    line = safe.of(rate)
    return rate * math.log(rate / line) + (line - rate)
