"""`errors`: failed requests, as the gateway or the server counts them."""

from collections.abc import Iterator
from dataclasses import dataclass

from modelrollout.api.metrics import Metric
from modelrollout.core.evidence import counters, two_sample
from modelrollout.core.evidence.case import Case, Outcome, Test
from modelrollout.core.evidence.eprocess import Design
from modelrollout.core.evidence.rates import Margin
from modelrollout.core.evidence.two_sample import Memory, Rates
from modelrollout.core.evidence.windows import Reading

SHARE = 3.0


@dataclass(frozen=True, slots=True)
class Errors:
    """Failed requests of one slice, or of all."""

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
        """Return the state as a new weight begins."""
        return self.rates.enter_step(evidence, since)

    def judge(self, case: Case) -> Outcome:
        """Count failed requests."""
        memory = two_sample.unpack(case.last.evidence)
        end = case.since if memory is None else memory.state.end
        start = case.first(end)
        if start is None:
            return case.unchanged(end)
        reading = two_sample.part_of(case.reading, self.part) if self.part else case.reading
        if memory is None:
            memory = self._begin(case, reading, start)
        return self.rates.count(case, memory, start, counters.bad_and_all(reading, start))

    def _begin(self, case: Case, reading: Reading, start: int) -> Memory:
        cells = two_sample.past_cells(reading.past)
        requests, bad = counters.lifetime(reading.stable, start)
        if cells:
            requests = sum(n for minute in cells for n, _ in minute)
            bad = sum(x for minute in cells for _, x in minute)
        # A little is added so that no rate is zero.
        rate = (bad + 0.2) / (requests + 200.0)
        return self.rates.begin(case, reading.instants[start], rate, requests, cells)


def tests(metric: Metric) -> Iterator[Test]:
    """Yield the tests of the metric: one, or one for each slice."""
    relative, absolute = metric.tolerated
    design = Design(margin=Margin(1.0 + relative, absolute))
    yield from sliced(metric, design, SHARE)


def sliced(metric: Metric, design: Design, share: float) -> Iterator[Test]:
    """Yield a test of failed requests for each slice, or one for all of them."""
    share = metric.weight or share
    if metric.slices is None:
        yield Errors(Rates(metric, metric.name, share, design))
        return
    for value in metric.slices.values:
        name = f"{metric.name}[{value}]"
        yield Errors(Rates(metric, name, share / len(metric.slices.values), design), value)
