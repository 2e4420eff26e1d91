"""What evidence must not depend on: order within a window, how counters are split, restarts, replays."""

import math
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelrollout.api.spec import Analysis
from modelrollout.api.status import Verdict, VerdictKind
from modelrollout.core.evidence import counters, eprocess
from modelrollout.core.evidence.eprocess import Design
from modelrollout.core.evidence.judge import Judgement, Question, judge
from modelrollout.core.evidence.rates import Margin, log_ratio_poisson
from modelrollout.core.evidence.windows import Reading, Series, Window

ERRORS = Analysis.model_validate({"preset": "traefik", "metrics": [{"name": "errors"}]})
DESIGN = Design(Margin(1.25, 0.0002), limit=math.log(100.0), start_mass=0.7, hazard=0.01)
COUNTS = st.tuples(st.integers(0, 60), st.integers(0, 6), st.integers(0, 400), st.integers(0, 6)).map(
    lambda c: (c[0], min(c[:2]), c[2], min(c[2:]))
)
CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
STREAMS = st.lists(COUNTS, min_size=1, max_size=12)
ODD = st.sampled_from([None, math.nan, math.inf, -1.0, -math.inf])


def side(parts: list[list[tuple[int, int]]], prefix: str) -> tuple[Series, ...]:
    """Return counters of all and bad requests of each source, from their increases window by window."""
    series = []
    for index, increases in enumerate(parts):
        for bad in (False, True):
            value, values = 100.0, [100.0]
            for n, x in increases:
                value += x if bad else n - x
                values.append(value)
            series.append(Series(bad, None, f"{prefix}{index}", tuple(values)))
    return tuple(series)


def reading(stream: list[tuple[int, int, int, int]]) -> Reading:
    return Reading(
        tuple(15 * k for k in range(len(stream) + 1)),
        side([[(n_s, x_s) for _, _, n_s, x_s in stream]], "s"),
        side([[(n_c, x_c) for n_c, x_c, _, _ in stream]], "s"),
    )


def ask(asked: Reading, verdicts: list[Verdict] | tuple[Verdict, ...] = ()) -> Judgement:
    return judge(Question(ERRORS, verdicts, {"errors": asked}, since=0, next_weight=20, weight=5))


def evidence(verdict: Verdict) -> tuple[str, str, str]:
    """Return what the tests remember and say; what follows the bar watches the split of traffic, look by look."""
    return verdict.evidence.partition("|")[0], verdict.harm, verdict.safety


def cut(whole: Reading, first: int, last: int) -> Reading:
    def part(series: tuple[Series, ...]) -> tuple[Series, ...]:
        return tuple(replace(one, values=one.values[first : last + 1]) for one in series)

    return Reading(whole.instants[first : last + 1], part(whole.stable), part(whole.candidate))


@settings(CALM)
@given(STREAMS)
def test_a_restart_at_every_window_changes_nothing(stream):
    state = kept = eprocess.begin(DESIGN, 0, 0.001, 3000.0)
    for end, counts in enumerate(stream, start=1):
        state = eprocess.update(state, DESIGN, Margin(1.25, 0.01), Window(15 * end, *counts))
        found = eprocess.unpack(
            eprocess.pack(eprocess.update(kept, DESIGN, Margin(1.25, 0.01), Window(15 * end, *counts)))
        )
        assert found is not None
        kept = found
        assert kept == state
        assert len(eprocess.pack(state)) < 300
        assert math.isfinite(state.log_harm)


@settings(CALM, max_examples=40)
@given(STREAMS)
def test_the_judge_says_the_same_at_once_and_window_by_window(stream):
    whole = reading(stream)
    verdicts: tuple[Verdict, ...] = ()
    for place in range(1, len(stream) + 1):
        found = ask(cut(whole, place - 1, place), verdicts)
        verdicts = tuple(Verdict.model_validate_json(v.model_dump_json()) for v in found.verdicts)
    assert evidence(verdicts[0]) == evidence(ask(whole).verdicts[0])


@settings(CALM, max_examples=40)
@given(STREAMS, st.data())
def test_windows_that_were_counted_change_nothing_when_read_again(stream, data):
    whole, middle = reading(stream), data.draw(st.integers(1, len(stream)))
    first = ask(cut(whole, 0, middle)).verdicts
    assert evidence(ask(cut(whole, 0, middle), first).verdicts[0]) == evidence(first[0])
    start = data.draw(st.integers(0, middle))
    if start < len(stream) and middle < len(stream):
        overlapping, straight = ask(cut(whole, start, len(stream)), first), ask(cut(whole, middle, len(stream)), first)
        assert evidence(overlapping.verdicts[0]) == evidence(straight.verdicts[0])


@settings(CALM)
@given(STREAMS, st.randoms(use_true_random=False))
def test_order_and_split_of_counters_do_not_matter(stream, random):
    """The requests of a window may come from any source, in any order of series."""
    whole = reading(stream)
    parts: list[list[tuple[int, int]]] = [[], [], []]
    for n_c, x_c, _, _ in stream:
        places = [random.randrange(3) for _ in range(n_c)]
        for place, part in enumerate(parts):
            part.append((places.count(place), places[:x_c].count(place)))
    shuffled = list(side(parts, "s"))
    random.shuffle(shuffled)
    other = replace(whole, candidate=tuple(shuffled))
    assert counters.bad_and_all(other, 0) == counters.bad_and_all(whole, 0)


@settings(CALM)
@given(STREAMS)
def test_merging_windows_counts_the_same_requests(stream):
    """A gap makes one longer window of several: the sums are the same, nothing is lost and nothing twice."""
    whole = reading(stream)
    ends = Reading(
        (whole.instants[0], whole.instants[-1]),
        *(
            tuple(replace(one, values=(one.values[0], one.values[-1])) for one in part)
            for part in (whole.stable, whole.candidate)
        ),
    )
    (merged,) = counters.bad_and_all(ends, 0)
    assert merged == tuple(sum(column) for column in zip(*stream, strict=True))


@settings(CALM)
@given(COUNTS.filter(lambda c: c[0] > 0 and c[2] > 0), st.integers(2, 50), st.floats(1.1, 30.0))
def test_evidence_scales_with_the_counts(counts, factor, ratio):
    """Ten times the requests of everything, at the same rates, are ten times the nats."""
    n_c, x_c, n_s, x_s = counts
    theta = min(0.9, ratio * 0.0125)
    once = log_ratio_poisson(Window(0, n_c, x_c, n_s, x_s), theta, 0.01, Margin(1.0, 0.0))
    many = log_ratio_poisson(
        Window(0, factor * n_c, factor * x_c, factor * n_s, factor * x_s), theta, 0.01, Margin(1.0, 0.0)
    )
    assert math.isclose(many, factor * once, rel_tol=1e-9, abs_tol=1e-9)


@settings(CALM)
@given(STREAMS)
def test_more_failures_of_the_candidate_are_never_less_evidence(stream):
    state = eprocess.begin(DESIGN, 0, 0.001, 3000.0)
    for end, (n_c, x_c, n_s, x_s) in enumerate(stream, start=1):
        if x_c < n_c and n_s:
            # The same number of bad requests in all, one more of them the candidate's.
            fewer = eprocess.update(state, DESIGN, None, Window(end, n_c, x_c, n_s, x_s))
            if x_s:
                more = eprocess.update(state, DESIGN, None, Window(end, n_c, x_c + 1, n_s, x_s - 1))
                assert more.log_harm >= fewer.log_harm - 1e-9
        state = eprocess.update(state, DESIGN, None, Window(end, n_c, x_c, n_s, x_s))


@settings(CALM, max_examples=60)
@given(STREAMS, st.data())
def test_garbage_in_a_counter_is_neither_failure_nor_success(stream, data):
    """All of one window's values spoilt: the evidence before it stands, and nothing fails or passes by it."""
    whole = reading(stream)
    first = ask(whole)
    garbage = data.draw(ODD)
    instants = (whole.instants[-1], whole.instants[-1] + 15)
    spoilt = Reading(
        instants,
        tuple(replace(one, values=(garbage, garbage)) for one in whole.stable),
        tuple(replace(one, values=(garbage, garbage)) for one in whole.candidate),
    )
    after = ask(spoilt, first.verdicts)
    assert [(v.harm, v.safety) for v in after.verdicts if v.name == "errors"] == [
        (v.harm, v.safety) for v in first.verdicts if v.name == "errors"
    ]
    if first.blamed is None:
        assert after.worst is not VerdictKind.FAIL


@settings(CALM)
@given(
    st.lists(st.one_of(st.none(), ODD, st.floats(0, 1e9), st.integers(0, 10**7).map(float)), min_size=2, max_size=15)
)
def test_no_stream_of_values_gives_a_negative_or_a_fraction(values):
    series = Series(False, None, "a", tuple(values))
    known = counters.sources_known([series], len(values))["a"]
    grown = counters.increments(series, known, 0)
    assert len(grown) == len(values) - 1
    assert all(isinstance(one, int) and one >= 0 for one in grown)
