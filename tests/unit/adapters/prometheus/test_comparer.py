"""What the comparer counts, read through its preset as Prometheus would answer."""

from typing import Any

from modelrollout.comparer.answers import Answer, End
from modelrollout.comparer.counting import SECONDS, Counts
from modelrollout.comparer.rules import Compared, Difference, Kind
from modelrollout.core.evidence.windows import Series
from tests.unit.adapters.prometheus.asking import CANDIDATE, FRAUD, SINCE, STABLE, WINDOW, read, watched
from tests.unit.adapters.prometheus.serving import Answer as HttpAnswer
from tests.unit.adapters.prometheus.serving import Form, matrix


def scraped(counts: Counts, times: int) -> dict[str, dict[tuple[tuple[str, str], ...], list[Any]]]:
    """Return every series as if it had been zero before."""
    found: dict[str, dict[tuple[tuple[str, str], ...], list[Any]]] = {}
    for metric in counts.registry.collect():
        for sample in metric.samples:
            # Prometheus puts the comparer's own place there.
            labels = {**sample.labels, "namespace": "elsewhere", "pod": "fraud-comparer-1", "instance": "10.0.0.1:8081"}
            values = [[SINCE + k * WINDOW, "0" if k == 0 else str(sample.value)] for k in range(times)]
            found.setdefault(sample.name, {})[tuple(labels.items())] = values
    return found


async def reading(metric: str) -> tuple[tuple[Series, ...], tuple[Series, ...]]:
    counts = Counts(FRAUD.namespace, FRAUD.name, STABLE, CANDIDATE)
    for seconds, status in ((0.001, 200), (0.002, 200), (0.3, 500)):
        counts.stable.asked(Answer(End.ANSWERED, 0.001, 200))
        counts.candidate.asked(Answer(End.ANSWERED, seconds, status))
    counts.candidate.asked(Answer(End.TIMEOUT, 5.0))
    counts.candidate.asked(Answer(End.UNREACHABLE, 0.1))
    counts.pair(Compared())
    counts.pair(Compared(Difference(Kind.VALUE), 0.5))
    series = scraped(counts, 2)

    def respond(form: Form) -> HttpAnswer:
        name = form["query"].partition("{")[0]
        return matrix(
            *({"metric": {"__name__": name, **dict(labels)}, "values": v} for labels, v in series[name].items())
        )

    readings, _ = await read(respond, {FRAUD: watched(FRAUD, metric, preset="comparer")})
    found = readings[FRAUD][metric]
    assert found.error is None
    return found.stable, found.candidate


def grown(series: tuple[Series, ...], **marks: object) -> float:
    """Return by how much the series with these marks grew."""
    return sum(
        one.values[-1] - one.values[0]
        for one in series
        if all(getattr(one, name) == value for name, value in marks.items())
    )


async def test_errors_of_both_revisions() -> None:
    stable, candidate = await reading("errors")
    assert (grown(stable, bad=False), grown(stable, bad=True)) == (3, 0)
    assert (grown(candidate, bad=False), grown(candidate, bad=True)) == (2, 3)


async def test_latencies_of_both_revisions() -> None:
    stable, candidate = await reading("latency")
    assert {one.le for one in stable} == {one.le for one in candidate}
    assert len(stable) == len(SECONDS) + 1
    assert grown(stable, le=float("inf")) == 3
    # Late answers are slow ones; where nobody answered at all there is no latency.
    assert grown(candidate, le=float("inf")) == 4
    assert grown(candidate, le=SECONDS[-1]) == 4


async def test_agreement_is_the_candidates() -> None:
    stable, candidate = await reading("agreement")
    assert stable == ()
    assert (grown(candidate, bad=False), grown(candidate, bad=True)) == (1, 1)
