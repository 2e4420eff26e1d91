"""Totals and failures become good and bad: every request once, through births, resets and gaps."""

from hypothesis import given, settings
from hypothesis import strategies as st

from modelrollout.adapters.prometheus.totals import partitioned
from modelrollout.core.evidence.counters import bad_and_all
from modelrollout.core.evidence.windows import Reading, Series

WINDOWS = 6
STEP = st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans())
"""Good and failed requests in a window, and whether the process starts anew before it."""


def counters(steps: list[tuple[int, int, bool]], start: tuple[int, int]) -> tuple[list[float], list[float]]:
    total, failed = [float(sum(start))], [float(start[1])]
    for good, bad, restart in steps:
        total.append(good + bad + (0.0 if restart else total[-1]))
        failed.append(bad + (0.0 if restart else failed[-1]))
    return total, failed


def reading(*marked: tuple[Series, bool]) -> Reading:
    stable, candidate = partitioned((), marked)
    return Reading(tuple(range(WINDOWS + 1)), stable, candidate)


@settings(max_examples=200)
@given(
    st.lists(STEP, min_size=WINDOWS, max_size=WINDOWS), st.tuples(st.integers(0, 99), st.integers(0, 99)), st.booleans()
)
def test_every_request_counts_once(steps: list[tuple[int, int, bool]], start: tuple[int, int], unborn: bool) -> None:
    total, failed = counters(steps, start)
    born = [None if unborn and value == 0.0 else value for value in failed]
    windows = bad_and_all(
        reading((Series(False, None, "a", tuple(total)), True), (Series(True, None, "a", tuple(born)), False)), 0
    )
    assert all(every >= bad >= 0 for every, bad, _, _ in windows)
    # A reset shows only where a counter becomes smaller; where one does not, nobody can tell.
    if all(total[k + 1] < total[k] and failed[k + 1] < failed[k] for k, step in enumerate(steps) if step[2]):
        assert windows == [(good + bad, bad, 0, 0) for good, bad, _ in steps]


def test_a_gap_of_the_source_becomes_one_longer_window() -> None:
    total = Series(False, None, "a", (10.0, None, 30.0, 31.0, 31.0, 31.0, 31.0))
    failed = Series(True, None, "a", (1.0, None, 3.0, 3.0, 3.0, 3.0, 3.0))
    found = bad_and_all(reading((total, True), (failed, False)), 0)
    assert found[:3] == [(0, 0, 0, 0), (20, 2, 0, 0), (1, 0, 0, 0)]


def test_a_new_source_only_sets_a_base() -> None:
    total = Series(False, None, "a", (None, None, 30.0, 31.0, 31.0, 31.0, 31.0))
    failed = Series(True, None, "a", (None, None, 3.0, 4.0, 4.0, 4.0, 4.0))
    assert bad_and_all(reading((total, True), (failed, False)), 0)[:3] == [(0, 0, 0, 0), (0, 0, 0, 0), (1, 1, 0, 0)]
