"""Specs that are edited in the middle of a rollout, and what is carried out late or not at all."""

from datetime import timedelta
from typing import Any

import pytest

from modelrollout.api.status import Phase
from modelrollout.core.actions import Action, SetRoute
from tests.support.world import Model, Refused, World
from tests.unit.core.stories import at_step, moves, over, pushed

FOUR = [{"weight": 5}, {"weight": 20}, {"weight": 40}, {"weight": 80}]
SHADOW = {"shadow": {"percent": 50}}
GUARDED = "guard"
MATCH = {"match": {"headers": {"x-canary": "yes"}, "minRequests": 0}}


def standing_at_20(**strategy: Any) -> World:
    """Return a world with a candidate at the second of four steps, without evidence for the next."""
    world = pushed(steps=FOUR, **{"minStepDuration": "60s", **strategy})
    world.run(200, until=at_step(1))
    return world.run(3)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([{"weight": 5}], id="shorter than the position in progress"),
        pytest.param([{"weight": 5}, {"switch": {}}], id="a switch at the position"),
        pytest.param([{"weight": 5}, {"weight": 100}], id="all requests at the position"),
        pytest.param([{"weight": 5}, {"weight": 50}], id="another weight at the position"),
        pytest.param([{"weight": 5}, {"pause": {}}], id="a pause at the position"),
    ],
)
def test_steps_without_the_one_in_progress_begin_anew(steps: list[dict[str, Any]]):
    world = standing_at_20()
    verdicts = world.status.verdicts
    world.edit(strategy={"steps": steps})
    world.run(4)
    assert world.status.phase is Phase.PROGRESSING
    assert world.status.step is not None
    assert (world.status.step.index, world.status.step.name) == (0, "weight 5")
    assert world.weights == {"r1": 95, "r2": 5}
    assert moves(world)[-2:] == ["Restarted", "Weight"]
    assert "weight 20 is no step any more; the steps begin anew with weight 5" in world.announced[-2].message
    assert {v.name for v in world.status.verdicts} == {v.name for v in verdicts}
    world.run(20)
    assert world.status.phase is Phase.PROGRESSING, "promoted without evidence"


@pytest.mark.parametrize("first", [SHADOW, MATCH], ids=["shadow", "match"])
def test_no_copies_and_no_matches_beside_weights(first: dict[str, Any]):
    world = standing_at_20()
    world.edit(strategy={"steps": [{"pause": {"duration": "1s"}}, first, {"weight": 50}]})
    world.run(300, over)  # the ordering rules look at every route that is written
    assert world.status.phase is Phase.PROMOTED


@pytest.mark.parametrize(
    ("steps", "index"),
    [
        ([{"weight": 5}, {"weight": 10}, {"weight": 20}, {"weight": 50}], 2),
        ([{"weight": 20}, {"weight": 60}], 0),
        ([{"weight": 5}, {"weight": 20}], 1),
    ],
)
def test_a_step_that_is_still_there_goes_on_where_it_is_now(steps: list[dict[str, Any]], index: int):
    world = standing_at_20()
    since, counted = world.status.step.since, world.status.verdicts[0].candidate.requests
    world.edit(strategy={"steps": steps})
    world.run(4)
    assert (world.status.step.index, world.status.step.since) == (index, since)
    assert world.weights == {"r1": 80, "r2": 20}
    assert "Restarted" not in moves(world)
    assert world.status.verdicts[0].candidate.requests > counted
    world.run(400, over)
    assert world.status.phase is Phase.PROMOTED


def test_to_the_next_step_means_the_next_one_of_the_list_as_it_is_now():
    world = standing_at_20(surge=0)
    world.before_action = lambda _: None
    world.slots = 2
    world.ask("promote")
    world.edit(strategy={"steps": [{"weight": 20}, {"weight": 40}]})
    world.run(60, until=lambda w: w.status.step.name != "weight 20")
    assert (world.status.step.name, world.status.step.index) == ("weight 40", 1)


def test_to_the_next_step_of_a_list_that_is_gone_promotes_nothing():
    world = standing_at_20()
    world.edit(replicas=10)
    world.ask("promote")
    world.run(1)
    assert world.status.skip_to == 2, "waits for more pods"
    world.edit(strategy={"steps": [{"weight": 5}]})
    world.run(10)
    assert (world.status.phase, world.status.step.name) == (Phase.PROGRESSING, "weight 5")


def test_a_gate_under_another_name_is_asked_anew_in_its_place():
    world = pushed(steps=[{"weight": 20}, {"gate": {"approval": {}, "name": "one"}}, {"switch": {}}])
    world.run(200, until=at_step(1))
    world.edit(strategy={"steps": [{"weight": 20}, {"gate": {"approval": {}, "name": "two"}}, {"switch": {}}]})
    world.run(3)
    assert (world.status.step.index, world.status.step.name) == (1, "gate two")
    assert world.status.gate.name == "two"
    world.ask("approve")
    world.run(60, over)
    assert world.status.phase is Phase.PROMOTED


def test_a_pause_that_is_taken_away_with_a_person_waiting_begins_anew():
    world = pushed(steps=[{"weight": 20}, {"pause": {}}, {"weight": 50}])
    world.run(200, until=at_step(1))
    world.edit(strategy={"steps": [{"weight": 20}, {"weight": 50}]})
    world.run(2)
    assert (world.status.phase, world.status.step.name) == (Phase.PROGRESSING, "weight 20")


class Unrouted:
    """Lets no write of the route through while a promotion is guarded; tells how many pods were ready for one."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.refuses = True
        self.ready: list[int] = []

    def __call__(self, action: Action) -> None:
        """Refuse, or count."""
        if isinstance(action, SetRoute) and self.world.last.status.phase is Phase.GUARDING:
            if self.refuses:
                raise Refused
            self.ready.append(self.world.ready("r2"))


def test_a_guard_does_not_end_before_users_reach_what_it_guards():
    world = pushed(steps=[{"weight": 20}])
    world.before_action = stuck = Unrouted(world)
    world.run(200, until=lambda w: w.status.phase is Phase.GUARDING)
    world.run(60)
    assert world.status.phase is Phase.GUARDING
    assert world.weights == {"r1": 80, "r2": 20}
    assert world.last.status.message == "waiting for the gateway to confirm that r2 has all traffic"
    stuck.refuses = False
    world.run(30, until=lambda w: w.status.window_end is not None)
    assert world.status.guard_until == world.now + timedelta(seconds=10), "the guard has its whole time"
    world.run(30, over)
    assert world.status.phase is Phase.PROMOTED
    assert "requests failed since promotion" in world.status.message


def test_a_promotion_that_is_carried_out_late_waits_for_pods_again():
    world = pushed(steps=[{"weight": 20}])
    world.before_action = stuck = Unrouted(world)
    world.run(200, until=lambda w: w.status.phase is Phase.GUARDING)
    world.pods["r2"].scale(0, world.now)
    stuck.refuses = False
    world.run(60, over)
    assert stuck.ready == [2]
    assert (world.status.phase, world.weights) == (Phase.PROMOTED, {"r2": 100})


def test_undo_before_anything_serves_gives_nothing_up():
    world = World(models={"r1": Model(starts=False), "r2": Model()})
    world.run(3)
    world.push("r2")
    world.run(1)
    world.ask("undo")
    world.run(10)
    assert world.status.request.outcome.startswith("nothing to go back from: no revision serves yet")
    assert (world.status.phase, world.status.stable) == (Phase.PROMOTED, "r2")


@pytest.mark.parametrize(("mode", "told"), [("auto", "still rolled back"), ("manual", "still told, not rolled back")])
def test_a_pause_says_what_becomes_of_a_failing_candidate(mode: str, told: str):
    world = standing_at_20(automation={"rollback": mode})
    world.ask("pause")
    world.run(2)
    assert world.status.request.outcome == f"paused; a failing candidate is {told}"


@pytest.mark.parametrize("edit", [{"replicas": 1}, {"replicas": 2}, {"strategy": {"floor": "100%"}}], ids=str)
@pytest.mark.parametrize("where", ["weight", "match", GUARDED])
@pytest.mark.parametrize("surge", [0, 1])
def test_whoever_has_requests_keeps_pods_though_the_spec_grants_fewer(where: str, surge: int, edit: dict[str, Any]):
    """The floor and the room for a candidate are those of the spec as it is now; an autoscaler edits it, too."""
    steps = [MATCH if where == "match" else {"weight": 20}, {"weight": 50}]
    world = pushed(steps=steps, surge=surge, spec={"replicas": 4}, guard={"duration": "30s"}, minStepDuration="20s")
    world.run(200, until=lambda w: w.status.phase is Phase.GUARDING if where == GUARDED else at_step(0)(w))
    world.run(5)
    world.edit(**edit)

    def served(w: World) -> bool:
        return all(w.ready(revision) for revision in w.split.served)

    for _ in range(120):
        assert served(world), "requests reach a revision without pods"
        world.run(1)
    assert world.status.phase in (Phase.PROGRESSING, Phase.GUARDING, Phase.PROMOTED), world.status.message
    if where == GUARDED:
        assert (world.status.phase, world.status.stable) == (Phase.PROMOTED, "r2")


def test_weights_that_follow_from_replicas_go_on_though_an_autoscaler_changes_them():
    world = pushed(spec={"replicas": 4, "traffic": {"service": {}}}, minStepDuration="60s")
    world.before_action = lambda _: None
    world.run(200, until=at_step(1))
    name = world.status.step.name
    world.edit(replicas=5)
    world.run(20)
    assert world.status.step.name != name
    assert world.status.weights.candidate > 0
    world.run(600, over)
    assert world.status.phase is Phase.PROMOTED
    assert "Restarted" not in moves(world)
