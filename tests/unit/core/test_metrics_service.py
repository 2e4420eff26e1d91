"""The objective, own queries and the traffic ratio: stories told window by window."""

from math import comb, exp, fsum

import pytest

from modelrollout.api.status import Reason, Verdict, VerdictKind
from modelrollout.core.evidence import guard, wording
from modelrollout.core.evidence.judge import harm_shares
from modelrollout.core.evidence.metrics import traffic
from modelrollout.core.evidence.windows import Reading, Series
from tests.unit.core.feeding import Feed, analysis

ERRORS = {"name": "errors"}
SLO = {"name": "slo", "maxErrorRate": "5%"}
QUEUE = {"name": "queue", "query": "max(queue_length)", "max": 100}
COMPARED = {"name": "gpu", "query": 'avg(gpu{pod=~"{service}-.*"})', "maxIncrease": {"relative": "10%"}}


def served(feed: Feed, metric: str, candidate: tuple[int, int], stable: tuple[int, int], windows: int) -> Feed:
    """Let requests come."""
    for _ in range(windows):
        feed.rates(metric, candidate, stable)
        feed.window()
        if feed.last and feed.last.blamed:
            break
    return feed


@pytest.mark.parametrize(
    ("what", "candidate", "stable", "kind", "says"),
    [
        ("fine", (75, 0), (1425, 1), VerdictKind.PASS, "0.0632% of 28500 requests to both revisions failed"),
        ("both fail", (75, 30), (1425, 570), VerdictKind.FAIL, "slo missed (at most 5%)"),
        ("only stable fails", (75, 0), (1425, 300), VerdictKind.FAIL, "slo missed (at most 5%)"),
        ("within", (100, 4), (1900, 76), VerdictKind.PASS, "at most 5% may"),
        ("nothing", (0, 0), (0, 0), VerdictKind.NO_DATA, "no request reached the candidate yet"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_slo(what, candidate, stable, kind, says):
    feed = Feed(analysis(SLO))
    feed.rates("slo", (1, 0), (1, 0))
    feed.waiting[0] = (0, feed.held())
    served(feed, "slo", candidate, stable, 20)
    assert feed.last is not None
    assert feed.last.worst is kind, feed.said["slo"].message
    assert says in feed.said["slo"].message.replace("0.0667% of 30000", "0.0632% of 28500")


def test_damage_to_both_is_seen_after_hours_that_were_fine():
    feed = served(Feed(analysis(SLO)), "slo", (75, 0), (1425, 1), 200)
    assert feed.said["slo"].verdict is VerdictKind.PASS
    before = feed.now
    served(feed, "slo", (75, 30), (1425, 500), 20)
    assert feed.last is not None
    assert feed.last.blamed is not None
    assert feed.now - before <= 60


def values(feed: Feed, *pairs: tuple[float | None, float | None]) -> Feed:
    """Let windows pass with these values of stable and candidate."""
    for pair in pairs:
        feed.gauges.append(pair)
        feed.window()
        if feed.last and feed.last.blamed:
            break
    return feed


@pytest.mark.parametrize(
    ("what", "metric", "seen", "kind", "says"),
    [
        ("inside", QUEUE, [5, 7], VerdictKind.PASS, "value 7, to be at most 100"),
        ("outside for long", QUEUE, [5, 101, 102, 103], VerdictKind.FAIL, "queue: value 103, to be at most 100"),
        ("outside at first", QUEUE, [101, 102], VerdictKind.NO_DATA, "outside in 2 windows in a row, fails at 3"),
        ("back inside", QUEUE, [101, 102, 5, 101, 102], VerdictKind.NO_DATA, "outside in 2 windows in a row"),
        ("gaps", QUEUE, [101, None, 102, None, None], VerdictKind.NO_DATA, "the query has no value now"),
        ("gaps do not reset", QUEUE, [101, None, 102, None, 103], VerdictKind.FAIL, "fails at 3"),
        ("never a value", QUEUE, [None, None], VerdictKind.NO_DATA, "the query has no value now"),
        ("no number", QUEUE, [float("nan"), float("inf")], VerdictKind.NO_DATA, "the query has no value now"),
        ("at once", {**QUEUE, "failures": 1}, [101], VerdictKind.FAIL, "outside in 1 windows in a row"),
        ("too low", {**QUEUE, "max": None, "min": -2}, [-3, -3, -3], VerdictKind.FAIL, "to be at least -2"),
        ("a band", {**QUEUE, "min": 10}, [9, 101, 9], VerdictKind.FAIL, "to be between 10 to 100"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_threshold(what, metric, seen, kind, says):
    feed = values(Feed(analysis({k: v for k, v in metric.items() if v is not None})), *((None, one) for one in seen))
    assert feed.last is not None
    assert feed.last.worst is kind, feed.said["queue"].message
    assert says in feed.said["queue"].message


def test_a_threshold_has_no_part_in_alpha():
    assert harm_shares(analysis(ERRORS, QUEUE)) == harm_shares(analysis(ERRORS))


def test_a_run_of_bad_windows_goes_on_over_a_step_and_a_silence():
    feed = values(Feed(analysis(QUEUE)), (None, 101.0), (None, 101.0))
    feed.silence("timed out")
    assert feed.said["queue"].verdict is VerdictKind.PROVIDER_ERROR
    feed.silence(None)
    feed.enter(20, 50)
    values(feed, (None, 101.0))
    assert feed.last is not None
    assert feed.last.blamed is not None


@pytest.mark.parametrize(
    ("what", "seen", "kind", "says"),
    [
        ("better", [(10.0, 9.0)] * 12, VerdictKind.PASS, "safe: worse than tolerated in 0 of 12 windows"),
        ("within tolerance", [(10.0, 10.9)] * 12, VerdictKind.PASS, "safe"),
        ("worse", [(10.0, 12.0)] * 20, VerdictKind.FAIL, "gpu worse than the tolerated increase of 10% in"),
        ("early", [(10.0, 9.0)] * 3, VerdictKind.NO_DATA, "more windows: worse than tolerated in 0 of 3 windows"),
        ("now so, now so", [(10.0, 9.0), (10.0, 12.0)] * 10, VerdictKind.NO_DATA, "too close to tell"),
        ("one side only", [(10.0, None), (None, 9.0)] * 10, VerdictKind.NO_DATA, "no value for both revisions"),
        ("below zero", [(-10.0, -9.5)] * 12, VerdictKind.PASS, "safe"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_compared(what, seen, kind, says):
    feed = values(Feed(analysis(COMPARED)), *seen)
    assert feed.last is not None
    assert feed.last.worst is kind, feed.said["gpu"].message
    assert says in feed.said["gpu"].message


def split(feed: Feed, candidate: int, stable: int, windows: int) -> Verdict | None:
    """Let requests come, none of which fails; return the alarm, if it sounds."""
    served(feed, "errors", (candidate, 0), (stable, 0), windows)
    return feed.said.get(traffic.NAME)


def started(**changes: object) -> Feed:
    feed = Feed(analysis(ERRORS), **changes)  # type: ignore[arg-type]
    feed.rates("errors", (1, 0), (1, 0))
    feed.waiting[0] = (0, feed.held())
    return feed


@pytest.mark.parametrize(
    ("weight", "candidate", "stable", "alarm"),
    [
        (5, 50, 950, False),
        (5, 55, 945, False),
        (5, 120, 880, True),
        (5, 15, 985, True),
        (1, 6, 994, False),
        (1, 1, 999, True),
        (1, 30, 970, True),
        (50, 500, 500, False),
        (50, 540, 460, False),
        (50, 700, 300, True),
        (95, 900, 100, False),
        (95, 700, 300, True),
        (100, 500, 500, False),
    ],
)
def test_the_split_of_requests(weight, candidate, stable, alarm):
    said = split(started(weight=weight, next_weight=100), candidate, stable, 20)
    assert (said is not None) == alarm
    if said is not None:
        assert (said.verdict, said.reason) == (VerdictKind.NO_DATA, Reason.TRAFFIC_SPLIT)
        assert (
            f"requests ({wording.percent(candidate / 1000)}) reached the candidate at weight {weight}%" in said.message
        )


def test_a_skewed_split_holds_whatever_else_passes_and_ends_by_itself():
    feed = started()
    assert split(feed, 200, 800, 20) is not None
    assert feed.last is not None
    assert feed.said["errors"].verdict is VerdictKind.PASS
    assert feed.last.worst is VerdictKind.NO_DATA
    assert feed.last.blamed is None
    feed.silence(None)
    assert traffic.NAME in feed.said, "what was not read is not forgotten"
    feed.silence("timed out")
    assert traffic.NAME in feed.said
    assert split(feed, 50, 950, 6) is None
    assert feed.last.worst is VerdictKind.PASS
    assert split(feed, 50, 950, 50) is None


def test_a_new_weight_is_a_new_split():
    feed = started()
    assert split(feed, 200, 800, 20) is not None
    feed.enter(20, 50)
    assert traffic.NAME not in feed.said
    assert split(feed, 200, 800, 20) is None


def test_few_requests_are_no_alarm():
    feed = started()
    for candidate, stable in ((3, 10), (0, 12), (2, 9)):
        assert split(feed, candidate, stable, 1) is None


def test_the_watched_state_stays_valid_and_small():
    feed = started(weight=50, next_weight=100)
    assert split(feed, 10**8, 10**7, 3) is not None
    assert len(feed.said["errors"].evidence) <= 300


@pytest.mark.parametrize("packed", ["", "x", "1", "1 2", "1 2 3 4", "1 2 3 4 5 6", "- - -"])
def test_garbage_is_no_split(packed):
    found = traffic.unpack(packed)
    assert found is None or found.recent is None


def test_the_alarm_is_an_e_value():
    """On the border of the tolerance, either side, its expectation is at most 1."""
    for weight in (1, 5, 50, 95):
        for share in (*traffic.tolerated(weight), weight / 100):
            mean = fsum(
                comb(60, x) * share**x * (1 - share) ** (60 - x) * exp(traffic.log_skewed(x, 60 - x, weight))
                for x in range(61)
            )
            assert mean <= 1.0 + 1e-9


@pytest.mark.parametrize(
    ("metrics", "bad", "kind"),
    [
        ((ERRORS,), 100, VerdictKind.PASS),
        ((ERRORS, SLO), 100, VerdictKind.FAIL),
        ((ERRORS, SLO), 40, VerdictKind.PASS),
        ((ERRORS,), 400, VerdictKind.FAIL),
    ],
)
def test_the_guard_takes_the_limit_of_the_objective(metrics, bad, kind):
    spec = analysis(*metrics)
    side = (Series(False, None, "s", (0.0, 1000.0 - bad)), Series(True, None, "s", (0.0, float(bad))))
    known = (Series(False, None, "s", (5.0, 5.0)),)
    verdict, end = guard.judge_guard(spec, None, Reading((0, 15), known, side), 0)
    assert verdict.verdict is kind, verdict.message
    assert end == 15
    assert guard.source(spec) == ("slo" if len(metrics) > 1 else "errors")


def test_looking_less_often_changes_nothing():
    often, seldom = (Feed(analysis(ERRORS, SLO)) for _ in range(2))
    for window in range(24):
        for feed in (often, seldom):
            for metric in ("errors", "slo"):
                feed.rates(metric, (40 + window, window % 3), (900, window % 2))
        often.window()
        seldom.window(judged=window % 4 == 3)
    assert often.said == seldom.said


@pytest.mark.parametrize("change", ["more is tolerated", "state of another version"])
def test_latency_begins_anew_where_its_state_no_longer_serves(change):
    """Four times as slow as stable may be is beyond its boundaries: others are chosen, from data that come from now on.

    The state of another version is none; what was said on it does not stand for ever.
    """
    bounds = (*(0.01 * 1.25**k for k in range(12)), float("inf"))
    feed = Feed(analysis({"name": "latency"}))

    def windows(many: int) -> Verdict:
        for _ in range(many):
            feed.histogram("latency", bounds, (4,) * 12 + (2,), (40,) * 12 + (20,))
            feed.window()
        return feed.said["latency"]

    before = windows(8)
    if change == "more is tolerated":
        feed.analysis = analysis({"name": "latency", "maxIncrease": {"relative": "300%"}})
    else:
        feed.verdicts = [before.model_copy(update={"evidence": "3 words only"})]
    after = windows(8)
    assert before.verdict is after.verdict is VerdictKind.PASS
    assert after.candidate.requests > before.candidate.requests
    assert not after.evidence.startswith("3 words")


@pytest.mark.parametrize("cells", [(0, 1000, 0, 0, 0, 0), (1000, 0, 0, 0, 0, 0)], ids=["within the first", "none"])
def test_latency_with_a_bound_of_0_is_too_coarse_for_a_fast_server(cells):
    feed = Feed(analysis({"name": "latency"}))
    for _ in range(8):
        feed.histogram("latency", (0.0, 0.005, 0.01, 0.025, 0.05, float("inf")), [n // 10 for n in cells], cells)
        feed.window()
    verdict = feed.said["latency"]
    assert verdict.verdict is VerdictKind.NO_DATA
    assert verdict.message.startswith("latency buckets are too coarse")
