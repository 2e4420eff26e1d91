"""Rollouts whose weights are shares of clients: who has the candidate, and what is said of it."""

from dataclasses import replace
from typing import Any

import pytest

from modelrollout.api.status import Phase, Reason, Status, VerdictKind
from modelrollout.api.strategy import Sticky
from modelrollout.core.split import Matched, Split
from modelrollout.core.sticky import patterns
from tests.support.clients import taken
from tests.support.surroundings import CLIENTS, KEYLESS
from tests.support.world import Model, World
from tests.unit.core.stories import moves, over, pushed

KEY: dict[str, Any] = {"header": "x-user-id"}
STEPS = [{"weight": 10}, {"weight": 50}]


def sticky(model: Model | None = None, steps: Any = STEPS, **strategy: Any) -> World:
    """Return a world in which r2 was just applied, for a share of clients at each weight."""
    return pushed(model, **{"steps": steps, "sticky": KEY, **strategy})


def by_key(weight: int, revision: str = "r2", key: dict[str, Any] | None = None) -> Split:
    """Return what the route says at a weight."""
    asked = patterns(Sticky.model_validate(key or KEY), weight, revision)
    return Split({"r1": 100}, matched=Matched(revision, patterns=asked))


def having(split: Split) -> frozenset[int]:
    """Return the clients that get the candidate."""
    return taken(split.matched, CLIENTS) if split.matched else frozenset()


@pytest.mark.parametrize("key", [KEY, {"cookie": "uid", "endings": "Decimal"}], ids=["header", "cookie"])
def test_a_good_candidate_gets_more_and_more_clients_and_then_everybody(key):
    world = sticky(sticky=key)
    world.run(400, until=over)
    assert world.routes == [by_key(10, key=key), by_key(50, key=key), Split({"r2": 100})]
    few, half = map(having, world.routes[:2])
    assert few < half
    assert not half & KEYLESS
    assert 0.05 * len(CLIENTS) < len(few) < 0.16 * len(CLIENTS)
    assert 0.4 * len(CLIENTS) < len(half) < 0.6 * len(CLIENTS)
    assert moves(world)[-2:] == ["Promoted", "Completed"]
    where = "header x-user-id" if "header" in key else "cookie uid"
    assert any(f"0% -> 10% of clients by {where}" in move.message for move in world.announced)


def test_the_status_has_the_weight_and_pods_follow_it():
    world = sticky(spec={"replicas": 8})
    world.run(100, until=lambda w: w.status.weights.candidate == 50)
    world.run(3)
    assert world.weights == {"r1": 100}
    assert (world.status.weights.stable, world.status.weights.candidate) == (50, 50)
    assert world.ready("r2") == 4


def test_a_bad_candidate_loses_all_clients_with_the_next_write():
    world = sticky(Model(0.5))
    world.run(200, until=over)
    assert world.status.phase is Phase.ROLLED_BACK
    assert world.routes == [by_key(10), Split({"r1": 100})]


def test_what_somebody_changed_is_put_right_and_reported_once():
    world = sticky(steps=[{"weight": 10, "minDuration": "1h"}])
    world.run(20)
    edits = (
        Split({"r1": 100}),
        Split({"r1": 0, "r2": 100}, matched=by_key(10).matched),
        by_key(60),
        replace(by_key(10), matched=Matched("r2")),
    )
    for number, edit in enumerate(edits, 1):
        world.split = edit
        world.run(10)
        assert world.split == by_key(10)
        assert moves(world).count("Corrected") == number


@pytest.mark.parametrize("step", [{"pause": {"duration": "20s"}}, {"gate": {"approval": {}}}], ids=["pause", "gate"])
def test_clients_keep_the_candidate_through_a_pause(step):
    world = sticky(steps=[{"weight": 10}, step, {"weight": 50}])
    world.run(100, until=lambda w: w.status.step is not None and w.status.step.index == 1)
    world.run(10)
    assert world.routes == [by_key(10)]


def test_clients_keep_the_candidate_when_its_pods_are_not_enough_for_more():
    world = sticky(spec={"replicas": 8})
    world.run(60, until=lambda w: w.split == by_key(10))
    world.run(60, until=lambda w: w.status.weights.candidate == 50)
    # The status says 50, and before the route says so most pods are gone.
    world.split, world.pods["r2"].placed = by_key(10), [*world.pods["r2"].placed[:1], None, None, None]
    world.slots = sum(pods.running() for pods in world.pods.values())
    world.run(10)
    assert world.split == by_key(10)
    world.slots = 10_000
    world.run(10)
    assert world.split == by_key(50)


def test_a_new_template_takes_the_clients_from_the_candidate_and_begins_with_others():
    world = sticky()
    world.run(100, until=lambda w: w.status.weights.candidate == 50)
    world.push("r3")
    world.run(400, until=over)
    assert world.routes[-4:] == [Split({"r1": 100}), by_key(10, "r3"), by_key(50, "r3"), Split({"r3": 100})]
    assert having(by_key(10)) != having(by_key(10, "r3"))


def test_the_same_revision_tried_again_begins_with_the_same_clients():
    world = sticky(Model(0.5))
    world.run(200, until=over)
    world.models["r2"] = Model(0.0)
    world.ask("retry")
    world.run(60, until=lambda w: w.status.weights.candidate == 10)
    world.run(2)
    assert world.split == by_key(10)


def test_requests_without_a_key_raise_no_alarm_about_the_split():
    world = sticky()
    world.gateway.keyed = 0.4
    world.run(100, until=lambda w: w.status.weights.candidate == 50)
    assert oddities(world.status) == set()
    world.run(400, until=over)
    assert world.status.phase is Phase.PROMOTED, world.status.message


def oddities(status: Status) -> set[str]:
    """Return the verdicts that say that the route is not what decides who answers."""
    return {verdict.name for verdict in status.verdicts if verdict.reason is Reason.TRAFFIC_SPLIT}


def test_when_nobody_sends_the_key_it_holds_and_says_so():
    world = sticky()
    world.gateway.keyed = 0.0
    world.run(150)
    assert world.status.weights.candidate == 10
    assert world.status.verdict is VerdictKind.NO_DATA
    assert "no request reached the candidate yet" in world.status.message
    assert world.gateway.answered["r2"] == 0


def test_stickiness_that_is_taken_away_in_mid_rollout_leaves_weights_of_requests():
    world = sticky()
    world.run(100, until=lambda w: w.status.weights.candidate == 10)
    world.run(3)
    world.edit(strategy={"sticky": None})
    world.run(3)
    assert world.split == Split({"r1": 90, "r2": 10})
    assert "Corrected" not in moves(world)


@pytest.mark.parametrize("every", [3, 7])
def test_an_operator_that_dies_again_and_again_goes_on(every):
    world = sticky()
    for _ in range(400 // every):
        world.run(every)
        world.die()
    assert world.weights == {"r2": 100}


def test_a_cookie_that_the_gateway_issues_stands_beside_weights():
    world = pushed(steps=[{"weight": 20}], sticky={"issued": "gateway"})
    world.run(8)
    assert world.split == Split({"r1": 80, "r2": 20}, sticky="gateway")
