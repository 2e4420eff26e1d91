"""From raw counters to increments, as a table of what happens to series, and as laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrollout.core.evidence import counters
from modelrollout.core.evidence.windows import Reading, Series

NAN = float("nan")


def series(*values: float | None, bad: bool = False, source: str = "g") -> Series:
    return Series(bad=bad, le=None, source=source, values=values)


def counted(*candidate: Series, stable: tuple[Series, ...] = ()) -> list[tuple[int, int]]:
    """Return n and x of the candidate in each window."""
    instants = tuple(range(len(candidate[0].values)))
    reading = Reading(instants=instants, stable=stable, candidate=candidate)
    return [(n, x) for n, x, _, _ in counters.bad_and_all(reading, 0)]


@pytest.mark.parametrize(
    ("what", "candidate", "expected"),
    [
        ("growth", [series(10, 12, 15)], [(2, 0), (3, 0)]),
        ("no traffic", [series(10, 10, 10)], [(0, 0), (0, 0)]),
        ("a reset counts the whole later value", [series(10, 3, 5)], [(3, 0), (2, 0)]),
        ("the first error of a known source counts", [series(10, 12), series(None, 1, bad=True)], [(3, 1)]),
        ("a whole family born at a new source does not", [series(None, 500, 510)], [(0, 0), (10, 0)]),
        ("a scrape gap is made up for afterwards", [series(10, None, 16)], [(0, 0), (6, 0)]),
        ("a series dropped and born again starts from 0", [series(10, None, 4), series(1, 1, 1)], [(0, 0), (4, 0)]),
        ("NaN is no value", [series(10, NAN, 16)], [(0, 0), (6, 0)]),
        ("nor is a negative one", [series(10, -5, 16)], [(0, 0), (6, 0)]),
        ("nor infinity", [series(10, float("inf"), 16)], [(0, 0), (6, 0)]),
        ("bad and good add up", [series(0, 8), series(0, 2, bad=True)], [(10, 2)]),
        (
            "sources are told apart",
            [series(10, 20, source="a"), series(None, 900, source="b")],
            [(10, 0)],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_increments(what, candidate, expected):
    assert counted(*candidate) == expected


def test_a_candidate_is_born_where_stable_is_counted_already():
    assert counted(series(None, 7), stable=(series(100, 120),)) == [(7, 0)]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30), st.data())
def test_windows_may_be_merged_without_losing_or_doubling_anything(steps, data):
    """Every counter that only grows gives the same total over any choice of instants that keeps both ends."""
    values = [5]
    for step in steps:
        values.append(values[-1] + step)
    inner = range(1, len(values) - 1)
    kept = [0, *(i for i in inner if data.draw(st.booleans())), len(values) - 1]
    whole = sum(n for n, _ in counted(series(*values)))
    assert sum(n for n, _ in counted(series(*(values[i] for i in kept)))) == whole == sum(steps)


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)), min_size=2, max_size=20))
def test_no_stream_gives_a_negative_count_or_an_error(values):
    assert all(n >= 0 for n, _ in counted(series(*values)))


def bucket(le: float, *values: float | None, source: str = "g") -> Series:
    return Series(bad=False, le=le, source=source, values=values)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.1, 0.5, float("inf")]),
            st.sampled_from(["a", "b"]),
            st.lists(
                st.one_of(st.none(), st.integers(0, 50).map(float), st.floats(allow_nan=True, allow_infinity=True)),
                min_size=4,
                max_size=4,
            ),
        ),
        max_size=6,
    ),
    st.integers(0, 2),
)
def test_histograms_are_counted_alike_by_the_short_way_and_the_long(rows, start):
    side = tuple(bucket(le, *values, source=source) for le, source, values in rows)
    bounds = counters.layout(side)
    for last in (4, start + 2):
        cut = tuple(bucket(one.le or 0.0, *one.values[:last], source=one.source) for one in side)
        reading = Reading(instants=tuple(range(last)), stable=cut)
        known = counters.sources_known(cut, last)
        expected = [[0] * len(bounds) for _ in range(last - start - 1)]
        for one in cut:
            for window, grown in zip(expected, counters.increments(one, known[one.source], start), strict=True):
                window[bounds.index(one.le or 0.0)] += grown
        assert counters.buckets(reading, cut, bounds, start) == expected
