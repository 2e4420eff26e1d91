"""When a rollout may move: windows of the week, over midnight, and when the clocks change."""

from datetime import UTC, datetime, timedelta

import pytest

from modelrollout.api.status import Phase
from modelrollout.api.strategy import Schedule
from modelrollout.core.schedule import frozen_until
from tests.support.world import Model
from tests.unit.core.stories import at_step, moves, over, pushed

WEEKEND = {"days": ["Fri"], "from": "18:00", "to": "24:00"}, {"days": ["Sat", "Sun"]}
NIGHT = {"days": ["Fri"], "from": "22:00", "to": "06:00"}
BERLIN = {"timeZone": "Europe/Berlin"}
CLOCKS_CHANGE = {**BERLIN, "freeze": [{"days": ["Sat"], "from": "22:00", "to": "06:00"}]}
SKIPPED_HOUR = {**BERLIN, "freeze": [{"days": ["Sun"], "from": "02:30", "to": "04:00"}]}
EARLY_SUNDAY = {**BERLIN, "allow": [{"days": ["Sun"], "from": "04:00", "to": "05:00"}]}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "now", "until"),
    [
        ({}, "2026-01-02T12:00", None),
        ({"freeze": WEEKEND}, "2026-01-02T17:59:59", None),
        ({"freeze": WEEKEND}, "2026-01-02T18:00", "2026-01-05T00:00"),
        ({"freeze": WEEKEND}, "2026-01-04T23:59:59", "2026-01-05T00:00"),
        ({"freeze": WEEKEND}, "2026-01-05T00:00", None),
        # over midnight
        ({"freeze": [NIGHT]}, "2026-01-02T21:59", None),
        ({"freeze": [NIGHT]}, "2026-01-02T23:00", "2026-01-03T06:00"),
        ({"freeze": [NIGHT]}, "2026-01-03T05:59", "2026-01-03T06:00"),
        ({"freeze": [NIGHT]}, "2026-01-03T06:00", None),
        ({"freeze": [NIGHT]}, "2026-01-03T23:00", None),
        # a window that ends as it begins lasts a day
        ({"freeze": [{"days": ["Thu"], "from": "08:00", "to": "08:00"}]}, "2026-01-02T07:00", "2026-01-02T08:00"),
        # windows that touch and overlap
        ({"freeze": [NIGHT, {"days": ["Sat"], "to": "12:00"}]}, "2026-01-02T23:00", "2026-01-03T12:00"),
        # only within working hours
        ({"allow": [{"from": "09:00", "to": "17:00"}]}, "2026-01-02T08:00", "2026-01-02T09:00"),
        ({"allow": [{"from": "09:00", "to": "17:00"}]}, "2026-01-02T09:00", None),
        ({"allow": [{"from": "09:00", "to": "17:00"}]}, "2026-01-02T17:00", "2026-01-03T09:00"),
        ({"allow": [{"days": ["Mon"], "from": "22:00", "to": "02:00"}]}, "2026-01-06T01:00", None),
        ({"allow": [{"days": ["Mon"]}]}, "2026-01-06T00:00", "2026-01-12T00:00"),
        # both: allowed, and not frozen
        (
            {"allow": [{"from": "09:00", "to": "17:00"}], "freeze": [{"days": ["Fri"], "from": "12:00"}]},
            "2026-01-02T13:00",
            "2026-01-03T09:00",
        ),
        ({"allow": [{"from": "09:00"}], "freeze": [{"to": "10:00"}]}, "2026-01-02T07:00", "2026-01-02T10:00"),
        # by the clocks of a place
        ({**BERLIN, "freeze": [{"from": "18:00"}]}, "2026-01-02T16:59", None),
        ({**BERLIN, "freeze": [{"from": "18:00"}]}, "2026-01-02T17:00", "2026-01-02T23:00"),
        ({**BERLIN, "freeze": [{"from": "18:00"}]}, "2026-07-02T16:00", "2026-07-02T22:00"),
        # the night to 29 March is an hour shorter: 02:00 becomes 03:00 at 01:00 UTC
        (CLOCKS_CHANGE, "2026-03-28T21:00", "2026-03-29T04:00"),
        (SKIPPED_HOUR, "2026-03-29T01:45", "2026-03-29T02:00"),
        # the night to 25 October is an hour longer: 03:00 becomes 02:00 at 01:00 UTC
        (CLOCKS_CHANGE, "2026-10-24T20:00", "2026-10-25T05:00"),
        (EARLY_SUNDAY, "2026-10-25T02:30", "2026-10-25T03:00"),
    ],
)
def test_until_when_a_schedule_freezes(schedule, now, until):
    found = frozen_until(Schedule.model_validate(schedule), at(now))
    assert found == (at(until) if until else None)


def test_a_schedule_that_never_allows_a_move_is_looked_at_again():
    now = at("2026-01-02T12:00")
    found = frozen_until(Schedule.model_validate({"freeze": [{}]}), now)
    assert found is not None
    assert found > now + timedelta(days=6)


FREEZE = {"freeze": [{"from": "12:01", "to": "12:03"}]}
"""The world begins at 12:00."""


def test_a_frozen_rollout_says_so_goes_nowhere_and_goes_on_by_itself():
    world = pushed(steps=[{"weight": 20}, {"weight": 60}], schedule=FREEZE, minStepDuration="10s")
    world.run(60)
    assert world.weights == {"r1": 80, "r2": 20}
    assert world.status.message == "ready to move on, but frozen by its schedule until Thu 12:03 UTC"
    assert world.pods["r2"].desired == 2, "it is ready for the next step"
    world.run(120, until=at_step(1))
    assert (world.now.minute, world.now.second) == (3, 0)
    world.run(60, until=over)
    assert world.weights == {"r2": 100}


def test_the_first_step_waits_too():
    world = pushed(steps=[{"weight": 20}], schedule={"freeze": [{"to": "12:02"}]})
    world.run(60)
    assert moves(world) == ["Started"]
    world.run(60, until=at_step(0))
    assert (world.now.minute, world.now.second) == (2, 0)


@pytest.mark.parametrize("way", ["evidence", "abort"])
def test_the_way_back_is_never_frozen(way):
    world = pushed(steps=[{"weight": 20}, {"weight": 60}], schedule=FREEZE, minStepDuration="10s")
    world.run(30, until=lambda w: "frozen" in w.status.message)
    if way == "abort":
        world.ask("abort")
    else:
        world.models["r2"].error_rate = 0.9
    world.run(12, until=over)
    assert world.status.phase is Phase.ROLLED_BACK
    assert world.now.minute < 3


@pytest.mark.parametrize(("full", "weights"), [(False, {"r1": 40, "r2": 60}), (True, {"r2": 100})])
def test_a_person_promotes_in_spite_of_a_freeze(full, weights):
    world = pushed(steps=[{"weight": 20}, {"weight": 60}], schedule=FREEZE, minStepDuration="10s")
    world.run(30, until=lambda w: "frozen" in w.status.message)
    world.ask("promote", full=full)
    world.run(6)
    assert world.weights == weights


def test_a_deadline_that_promotes_waits_for_the_end_of_the_freeze():
    steps = [{"weight": 20, "maxDuration": "25s", "onTimeout": "Promote"}, {"weight": 60}]
    world = pushed(Model(0.0), steps=steps, schedule=FREEZE)
    world.rps = 0.0
    world.run(60)
    assert world.weights == {"r1": 80, "r2": 20}


def test_the_comparer_of_a_frozen_shadow_is_not_started():
    steps = [{"shadow": {"percent": 50}}, {"weight": 60}]
    world = pushed(steps=steps, schedule={"freeze": [{"to": "12:02"}]})
    world.run(40)
    assert world.comparer is None
    world.run(80, until=at_step(0))
    assert world.split.mirror is not None
