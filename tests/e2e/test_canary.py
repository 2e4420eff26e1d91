"""Rollouts side by side, each with clients of its own: what becomes of bad versions, and of one that nobody asks."""

from collections.abc import Callable

import pytest

from tests.e2e.conftest import Begin
from tests.support.cells import BUDGET
from tests.support.lab import eventually
from tests.support.story import WEIGHTS, Story

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

FIRST = WEIGHTS[0]
RATE = 70
QUIET = 30
SHORT = {"steps": [{"weight": QUIET}, {"weight": 60}], "minStepDuration": "2s", "guard": {"duration": "5s"}}
"""First weights that many requests reach: evidence of safety comes soon once there are any."""


@pytest.fixture(scope="module")
def stories(begin: Begin, served: Callable[[Story], None]) -> dict[str, Story]:
    """Start the bad ones, so that they go on while the tests look at one after the other."""
    started = {
        "slow": begin("slow", {"LATENCY_MS": 40}),
        "errors": begin("errors"),
        "crash": begin("crash"),
        "quiet": begin("quiet", strategy=SHORT, analysis={"preset": "traefik", "harmBudget": BUDGET}),
    }
    for story in started.values():
        served(story)
    # First of all, so that what is measured of its past is not how busy this machine is with the others.
    started["slow"].start_load(RATE).wait_for_answers(5 * RATE)
    started["slow"].release(2, LATENCY_MS=120)
    started["slow"].until_weight(FIRST)
    for load in (started["errors"].start_load(RATE), started["crash"].start_load(20)):
        load.wait_for_answers(1)
    started["errors"].release(2, ERROR_RATE=0.05)
    started["crash"].release(2, CRASH_AFTER_S=0)
    started["quiet"].release(2)
    return started


@pytest.fixture
def errors(stories: dict[str, Story]) -> Story:
    return stories["errors"]


@pytest.fixture
def slow(stories: dict[str, Story]) -> Story:
    return stories["slow"]


@pytest.fixture
def crash(stories: dict[str, Story]) -> Story:
    return stories["crash"]


@pytest.fixture
def quiet(stories: dict[str, Story]) -> Story:
    return stories["quiet"]


def test_five_per_cent_of_errors_are_rolled_back_from_the_first_weight(errors: Story) -> None:
    move = errors.until_move("RolledBack", 150)
    assert move["message"].startswith("errors worse than the tolerated increase"), errors.diagnosis()
    assert errors.highest_weight(move["revision"]) == FIRST
    status = errors.until(10, phase="RolledBack")
    assert status["weights"] == {"stable": 100, "candidate": 0}
    tally = errors.stop_load()
    failed = {version: count.failed for version, count in tally.versions.items() if count.failed}
    assert failed.keys() <= {"2"}, "only the candidate's own errors may reach clients"


def test_without_requests_it_holds_and_says_so(quiet: Story) -> None:
    def says_so() -> bool:
        status = quiet.status
        return "no request reached the candidate" in status.get("message", "")

    eventually("the status says that no request came", says_so, 90, quiet.diagnosis)
    status = quiet.status
    assert (status["phase"], status["verdict"]) == ("Progressing", "NoData")
    assert status["weights"]["candidate"] == QUIET
    quiet.start_load(RATE // 2)


def test_three_times_the_latency_is_rolled_back(slow: Story) -> None:
    move = slow.until_move("RolledBack", 120)
    assert move["message"].startswith("latency worse than the tolerated increase"), slow.diagnosis()
    assert slow.until(10, phase="RolledBack")["weights"]["candidate"] == 0
    assert slow.stop_load().failed == 0


def test_a_crashing_candidate_is_rolled_back_unseen(crash: Story) -> None:
    move = crash.until_move("RolledBack", 150)
    assert "crash" in move["message"], crash.diagnosis()
    assert crash.highest_weight(move["revision"]) == 0
    assert crash.stop_load().failed == 0


def test_once_requests_come_it_goes_on(quiet: Story) -> None:
    quiet.until_move("Promoted", 180)
    assert quiet.stop_load().failed == 0
