"""`errors`: failed requests, as the gateway or the server counts them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from modelrollout.api.metrics import Metric
from modelrollout.core.evidence import counters, two_sample
from modelrollout.core.evidence.case import Case, Outcome, Test
from modelrollout.core.evidence.eprocess import Design
from modelrollout.core.evidence.metrics.subject import Subject, split
from modelrollout.core.evidence.rates import Margin
from modelrollout.core.evidence.two_sample import Memory, Rates
from modelrollout.core.evidence.windows import Reading

SHARE = 3.0


@dataclass(frozen=True, slots=True)
class Errors(Subject):
    """Failed requests of one slice, or of all."""

    rates: Rates = field(kw_only=True)

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
        reading = self.own(case.reading)
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
    rates = Rates(Design(margin=Margin(1.0 + relative, absolute)))
    yield from (Errors(metric, share, part, rates=rates) for share, part in split(metric, SHARE))
