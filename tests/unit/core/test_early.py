"""What comes between the write of a route and the moment at which the gateway surely follows it."""

import math

import pytest

from modelrollout.api.status import Reason, Verdict, VerdictKind
from tests.unit.core.feeding import WINDOW, Feed, analysis

STEP = ((50, 0), (950, 0))
"""A window at weight 5: all and bad requests of the candidate and of stable."""
BROKEN = ((50, 50), (950, 0))
BOUNDS = (0.01, 0.02, 0.05, 0.1, 0.2, math.inf)


def harm(said: Verdict) -> float:
    return float(said.harm)


def test_a_candidate_that_fails_at_once_is_rolled_back_a_window_after_the_route_has_settled() -> None:
    feed = Feed(analysis({"name": "errors"}), settled=2 * WINDOW)
    for _ in range(2):
        feed.rates("errors", *BROKEN)
        feed.window()
    early = feed.said["errors"]
    assert feed.last is not None
    assert feed.last.blamed is None
    assert (early.candidate.requests, early.candidate.bad) == (100, 100)
    feed.rates("errors", *BROKEN)
    feed.window()
    assert feed.last.blamed is not None


def test_failures_of_a_gateway_that_does_not_know_all_pods_yet_never_decide() -> None:
    feed = Feed(analysis({"name": "errors"}), settled=WINDOW)
    feed.rates("errors", *BROKEN)
    worst = harm(feed.window()["errors"])
    assert 0.0 < worst <= 0.5 * (math.log(100.0 / 0.9)) + 0.01
    for _ in range(40):
        feed.rates("errors", *STEP)
        feed.window()
        assert feed.last is not None
        assert feed.last.blamed is None
    assert harm(feed.said["errors"]) < worst


def test_many_windows_before_the_route_settles_weigh_no_more_than_one() -> None:
    one, many = (Feed(analysis({"name": "errors"}), settled=windows * WINDOW) for windows in (1, 8))
    one.rates("errors", *BROKEN)
    one.window()
    for _ in range(8):
        many.rates("errors", *BROKEN)
        many.window()
    assert harm(many.said["errors"]) <= harm(one.said["errors"]) + 0.01


def test_nothing_is_safe_before_the_route_has_settled() -> None:
    feed = Feed(analysis({"name": "errors"}), settled=100 * WINDOW)
    for _ in range(100):
        feed.rates("errors", *STEP)
        said = feed.window()["errors"]
    assert (said.verdict, said.safety) == (VerdictKind.NO_DATA, "0.00")
    for _ in range(200):
        feed.rates("errors", *STEP)
        said = feed.window()["errors"]
    assert said.verdict is VerdictKind.PASS


def test_latency_counts_nothing_before_the_route_has_settled() -> None:
    feed = Feed(analysis({"name": "latency"}), settled=4 * WINDOW)
    for _ in range(4):
        feed.histogram("latency", BOUNDS, (0, 0, 0, 0, 0, 50), (300, 350, 200, 90, 10, 0))
        feed.window()
    for _ in range(4):
        feed.histogram("latency", BOUNDS, (16, 18, 11, 4, 1, 0), (300, 350, 200, 90, 10, 0))
        said = feed.window()["latency"]
    assert 0 < said.candidate.requests <= 200
    assert feed.last is not None
    assert feed.last.blamed is None


@pytest.mark.parametrize("settles", [0, 4])
def test_the_split_of_requests_is_watched_from_when_the_route_has_settled(settles: int) -> None:
    feed = Feed(analysis({"name": "errors"}))
    feed.enter(50, 80, settles * WINDOW)
    for _ in range(4):
        feed.rates("errors", (50, 0), (950, 0))
        feed.window()
    alarmed = feed.said.get("traffic")
    assert (alarmed is not None and alarmed.reason is Reason.TRAFFIC_SPLIT) == (settles == 0)
    for _ in range(4):
        feed.rates("errors", (500, 0), (500, 0))
        feed.window()
    assert settles == 0 or "traffic" not in feed.said


def test_a_later_step_counts_its_first_moments_too() -> None:
    feed = Feed(analysis({"name": "errors"}))
    for _ in range(20):
        feed.rates("errors", *STEP)
        feed.window()
    before = harm(feed.said["errors"])
    feed.enter(20, 40, WINDOW)
    feed.rates("errors", (200, 4), (800, 0))
    assert harm(feed.window()["errors"]) > before
