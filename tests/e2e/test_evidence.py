"""What the decision engine makes of harder evidence: late leaks, shared incidents, drift, a long silence."""

import time
from collections.abc import Callable
from datetime import datetime

import pytest

from tests.e2e.conftest import Begin
from tests.support.lab import eventually
from tests.support.story import Story

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

RATE = 45
SLOW = {"steps": [{"weight": 20}, {"weight": 50}], "minStepDuration": "30s", "guard": {"duration": "5s"}}
"""Steps that last long enough for something to happen in them."""
AHEAD = 45
"""Seconds from a release to the moment: with pods that start quickly it falls into the second step."""
INCIDENT = 12
"""Seconds that the shared incident lasts."""


@pytest.fixture(scope="module")
def moment() -> int:
    """Return when the faults of these stories begin: Unix seconds."""
    return int(time.time()) + 120


@pytest.fixture(scope="module")
def stories(begin: Begin, served: Callable[[Story], None], moment: int) -> dict[str, Story]:
    """Start all of them, each with clients of its own."""
    incident = {"ERROR_RATE": 0.4, "FAULTS_FROM": moment, "FAULTS_UNTIL": moment + INCIDENT}
    drift = [{"name": "errors"}, {"name": "latency"}, {"name": "predictions", "maxDistance": 0.1}]
    started = {
        "leak": begin("leak", strategy=SLOW),
        "incident": begin("incident", incident, strategy=SLOW),
        "drift": begin("drift", strategy=SLOW, analysis={"preset": "traefik", "metrics": drift}),
    }
    for story in started.values():
        served(story)
        story.start_load(RATE)
    for story in started.values():
        assert story.load is not None
        story.load.wait_for_answers(RATE)
    started["drift"].release(2, DEFECT="label-shift")
    eventually("the moment comes near", lambda: time.time() >= moment - AHEAD, 120)
    started["leak"].release(2, ERROR_RATE=0.06, FAULTS_FROM=moment)
    started["incident"].release(2, **incident)
    return started


def test_drift_of_predictions_alone_is_rolled_back(stories: dict[str, Story]) -> None:
    drift = stories["drift"]
    move = drift.until_move("RolledBack", 120)
    assert move["message"].startswith("predictions"), drift.diagnosis()
    by_name = {verdict["name"]: verdict for verdict in drift.until(10, phase="RolledBack")["verdicts"]}
    assert by_name["errors"]["candidate"].get("bad", 0) == 0
    assert "Fail" not in (by_name["errors"]["verdict"], by_name["latency"]["verdict"])
    assert drift.stop_load().failed == 0


def test_a_leak_of_errors_late_in_the_rollout_is_rolled_back(stories: dict[str, Story], moment: int) -> None:
    leak = stories["leak"]
    move = leak.until_move("RolledBack", 150)
    assert move["message"].startswith("errors worse than the tolerated increase"), leak.diagnosis()
    assert datetime.fromisoformat(move["at"]).timestamp() >= moment, "it was good until then"
    failed = {version for version, count in leak.stop_load().versions.items() if count.failed}
    assert failed <= {"2"}


def test_an_incident_of_both_versions_is_not_blamed_on_the_candidate(stories: dict[str, Story], moment: int) -> None:
    story = stories["incident"]
    story.until_move("Promoted", 200)
    assert story.moves("RolledBack") == []
    tally = story.stop_load()
    # Clients of both saw it, so it fell into the rollout.
    assert {version for version, count in tally.versions.items() if count.failed} == {"1", "2"}, tally
