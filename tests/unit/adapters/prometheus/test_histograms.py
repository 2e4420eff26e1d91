"""Native histograms: decoded from samples as Prometheus sends them, on a grid that both sides share."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelrollout.adapters.prometheus import histograms
from modelrollout.adapters.prometheus.answers import Garbage
from modelrollout.adapters.prometheus.histograms import Native
from modelrollout.adapters.prometheus.metrics import PrometheusMetrics
from modelrollout.adapters.prometheus.presets import Presets
from modelrollout.core.evidence.windows import Series
from tests.unit.adapters.prometheus.asking import CANDIDATE, FRAUD, SINCE, STABLE, UNTIL, WINDOW, of_pod, watched
from tests.unit.adapters.prometheus.serving import matrix, prometheus

BOTH = Presets(
    {
        "x/both.yaml": """
name: both
about: Both kinds of histograms.
labels: {namespace: "{namespace}", pod: "{service}-{id}-{id}"}
source: pod
latency: {histogram: took_bucket, native: took, unit: milliseconds}
"""
    }
)


def sample(observations: list[float], schema: int = 3, zero: int = 0) -> dict[str, Any]:
    """Return a histogram as Prometheus's JSON has it: only buckets that hold something, bounds as text."""
    cells: dict[int, int] = {}
    for value in observations:
        index = math.ceil(math.log2(value) * 2.0**schema - 1e-9)
        cells[index] = cells.get(index, 0) + 1

    def bound(index: int) -> str:
        return repr(2.0 ** (index * 2.0**-schema))

    buckets: list[list[Any]] = [[0, bound(k - 1), bound(k), str(held)] for k, held in sorted(cells.items())]
    if zero:
        buckets.insert(0, [3, "-2.938735877055719e-39", "2.938735877055719e-39", str(zero)])
    return {"count": str(len(observations) + zero), "sum": str(sum(observations)), "buckets": buckets}


def native(revision: str, *values: dict[str, Any]) -> dict[str, Any]:
    series = of_pod(FRAUD, revision, "took")
    del series["values"]
    return {**series, "histograms": [[SINCE + WINDOW * k, value] for k, value in enumerate(values)]}


async def latency(*series: dict[str, Any]) -> tuple[list[Series], list[Series], str | None]:
    with prometheus(lambda _: matrix(*series)) as fake:
        metrics = PrometheusMetrics(fake.url, window=WINDOW, presets=BOTH)
        try:
            readings = await metrics.read({FRAUD: watched(FRAUD, "latency", preset="both")}, UNTIL)
        finally:
            metrics.close()
    assert fake.asked[0].form["query"].startswith('{__name__=~"took_bucket|took",')
    found = readings[FRAUD]["latency"]
    return list(found.stable), list(found.candidate), found.error


def at(side: list[Series], seconds: float) -> tuple[float | None, ...]:
    """Return the cumulative counts at the highest bound not above."""
    return max((one for one in side if one.le is not None and one.le <= seconds), key=lambda one: one.le or 0.0).values


async def test_counts_at_bounds_in_seconds() -> None:
    stable, candidate, _ = await latency(
        native(STABLE, sample([1.0, 100.0], zero=2), sample([1.0, 100.0, 100.0, 900.0], zero=2)),
        native(CANDIDATE, sample([50.0])),
    )
    assert [one.le for one in stable] == [one.le for one in candidate]
    assert at(stable, 0.0009) == (2.0, 2.0)
    assert at(stable, 0.001) == (3.0, 3.0)
    assert at(stable, 0.128) == (4.0, 5.0)
    assert at(stable, 100.0) == (4.0, 6.0)
    assert stable[-1].le == math.inf
    assert stable[-1].values == (4.0, 6.0)
    assert at(candidate, 0.064) == (1.0, None)


async def test_both_sides_share_the_coarser_grid() -> None:
    stable, candidate, _ = await latency(native(STABLE, sample([10.0], schema=5)), native(CANDIDATE, sample([10.0], 1)))
    assert [one.le for one in stable] == [one.le for one in candidate]
    inner = [one.le for one in stable if one.le is not None and one.le < math.inf]
    assert inner[5] / inner[4] == pytest.approx(2**0.5)


async def test_classic_buckets_where_a_side_has_no_native_ones() -> None:
    classic = of_pod(FRAUD, CANDIDATE, "took_bucket", "1", "2", le="+Inf")
    stable, candidate, error = await latency(
        native(STABLE, sample([10.0])), of_pod(FRAUD, STABLE, "took_bucket", "1", "2", le="+Inf"), classic
    )
    assert error is None
    assert [one.values for one in (*stable, *candidate)] == [(1.0, 2.0), (1.0, 2.0)]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"count": "NaN"}, "'NaN' as the value of a counter"),
        ({"count": "0"}, "buckets contradict each other"),
        ({"buckets": [[0, "1", "2"]]}, "a bucket [0, '1', '2']"),
        ({"buckets": [[0, "1", "1.3", "1"]]}, "custom bounds; scrape its classic buckets too"),
        ({"buckets": [[0, "-Inf", "1", "1"]]}, "custom bounds"),
        ({"buckets": [[0, "2", "1", "1"]]}, "custom bounds"),
        ({"buckets": [[0, "1", "2", "1"], [0, "2", "8", "1"]], "count": "2"}, "contradict"),
        ({"buckets": [[0, "1", "x", "1"]]}, "a bucket with bound 'x'"),
        ({"buckets": [[0, "1", "2", "-1"]]}, "'-1' as the value of a counter"),
        ({"buckets": {}}, "a histogram"),
    ],
)
async def test_garbage_is_said(change: dict[str, Any], fault: str) -> None:
    _, _, error = await latency(native(STABLE, {**sample([10.0]), **change}))
    assert fault in (error or "")


TIMES = st.lists(st.floats(1e-5, 1e4), max_size=30)


@settings(max_examples=60)
@given(TIMES, TIMES, st.integers(-1, 6))
def test_merging_into_the_grid_is_exact(one: list[float], other: list[float], schema: int) -> None:
    decoded = [histograms.histogram(sample(times, schema)) for times in (one, other)]
    grid = histograms.grid([Native("", "", tuple(decoded))], 1.0)
    bounds = histograms.bounds(*grid, 1.0)
    for times, found in zip((one, other), decoded, strict=True):
        counts = histograms.cumulative(found, *grid)
        assert counts == sorted(counts)
        for bound, count in zip(bounds[:-1], counts, strict=False):
            if all(abs(time / bound - 1) > 1e-6 for time in times):
                # An observation lies in the bucket whose upper bound is the first not below it: exact at shared bounds.
                assert count == sum(time <= bound for time in times)
        assert counts[-1] == len(times)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.sampled_from(["NaN", "+Inf", "-1", "1", "2", "0"])
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["count", "buckets", "sum"]), inner),
    max_leaves=12,
)


@settings(max_examples=200)
@given(JUNK)
def test_junk_is_a_histogram_or_a_fault(junk: object) -> None:
    try:
        found = histograms.histogram(junk)
    except Garbage:
        return
    grid = histograms.grid([Native("", "", (found,))], 1e-3)
    counts = histograms.cumulative(found, *grid)
    assert counts == sorted(counts)
    assert all(math.isfinite(count) and count >= 0.0 for count in counts)
