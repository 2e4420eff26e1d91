"""A template that comes in the middle of a rollout: it replaces the candidate, or waits; at every kind of step."""

import pytest

from modelrollout.api.status import Phase
from tests.support.world import Model
from tests.unit.core.stories import GOOD, at_step, moves, over, pushed

STEPS = [{"weight": 20}, {"weight": 60}]
EVERY = [
    {"shadow": {"percent": 50}},
    {"match": {"headers": {"X-Canary": "yes"}, "minRequests": 20}},
    {"gate": {"name": "hook", "webhook": {"url": "https://x.example"}}},
    {"weight": 20},
    {"pause": {"duration": "10s"}},
    {"weight": 60},
    {"switch": {}},
]


def everything(**strategy: object):
    world = pushed(steps=EVERY, **strategy)
    world.checks.plan["hook"] = "slow"
    return world


@pytest.mark.parametrize("index", range(len(EVERY)))
def test_a_new_template_replaces_the_candidate_at_any_step(index):
    """The last round is the guard."""
    world = everything()
    for _ in range(400):
        world.run(1)
        if at_step(2)(world) and index > 2:
            world.checks.plan["hook"] = "pass"
        if at_step(index)(world) or (index == 6 and world.status.phase is Phase.GUARDING):
            break
    stable = world.status.stable
    world.push("r3", GOOD)
    world.run(2)
    assert (world.status.stable, world.status.candidate) == (stable, "r3")
    assert world.weights == {stable: 100}
    assert (world.split.mirror, world.split.matched, world.checks.known) == (None, None, None)
    world.checks.plan["hook"] = "pass"
    world.run(500, until=lambda w: w.status.stable == "r3" and over(w))
    assert world.weights == {"r3": 100}
    assert world.gateway.lost == 0


def test_a_queued_template_waits_and_the_newest_wins():
    world = pushed(steps=STEPS, onNewTemplate="Queue")
    world.run(30, until=at_step(0))
    for revision in ("r3", "r4", "r5"):
        world.push(revision, GOOD)
        world.run(2)
    assert (world.status.candidate, world.status.queued) == ("r2", "r5")
    queued = [move.message for move in world.announced if move.move == "Queued"]
    assert queued[0] == "new revision r3 waits until the rollout of r2 is over"
    assert "r3, which waited before it, is skipped" in queued[1]
    assert "r4, which waited before it, is skipped" in queued[2]
    world.run(400, until=lambda w: w.status.stable == "r5" and over(w))
    assert world.weights == {"r5": 100}
    started = [move.revision for move in world.announced if move.move == "Started"]
    assert started == ["r2", "r5"]
    assert world.status.queued is None


@pytest.mark.parametrize("end", ["promoted", "rolled back", "aborted"])
def test_a_queued_template_begins_at_once_when_the_rollout_is_over(end):
    world = pushed(Model(0.5 if end == "rolled back" else 0.0), steps=STEPS, onNewTemplate="Queue")
    world.run(30, until=at_step(0))
    world.push("r3", GOOD)
    world.run(2)
    if end == "aborted":
        world.ask("abort")
    world.run(200, until=lambda w: w.status.candidate == "r3")
    kinds = moves(world)
    ended = {"promoted": "Completed", "rolled back": "RolledBack", "aborted": "Aborted"}[end]
    assert kinds[-2:] == [ended, "Started"]
    over_at, started_at = (move.at for move in world.announced[-2:])
    assert (started_at - over_at).total_seconds() <= 1


def test_a_template_that_goes_back_to_the_candidate_leaves_the_queue():
    world = pushed(steps=STEPS, onNewTemplate="Queue")
    world.run(30, until=at_step(0))
    world.push("r3", GOOD)
    world.run(2)
    world.push("r2")
    world.run(2)
    assert (world.status.candidate, world.status.queued) == ("r2", None)
    world.run(300, until=over)
    assert world.weights == {"r2": 100}


def test_a_template_that_goes_back_to_stable_is_not_queued():
    world = pushed(steps=STEPS, onNewTemplate="Queue")
    world.run(30, until=at_step(0))
    world.push("r1")
    world.run(2)
    assert world.weights == {"r1": 100}
    assert world.status.phase is Phase.PROMOTED


def test_nothing_queues_behind_a_candidate_that_can_never_come_up():
    """Its template is gone, and somebody deleted its Deployment."""
    world = pushed(steps=STEPS, onNewTemplate="Queue")
    world.run(30, until=at_step(0))
    world.push("r3", GOOD)
    world.run(2)
    del world.pods["r2"]
    world.run(300, until=lambda w: w.status.stable == "r3" and over(w))
    assert world.weights == {"r3": 100}


@pytest.mark.parametrize("queue", ["Queue", "Replace"])
def test_the_queue_survives_the_operator(queue):
    world = pushed(steps=STEPS, onNewTemplate=queue)
    world.run(30, until=at_step(0))
    world.push("r3", GOOD)
    for _ in range(120):
        world.run(5)
        world.die()
    assert world.weights == {"r3": 100}


def test_the_status_of_the_longest_rollout_stays_small():
    """Twenty steps, eight metrics with slices, a full history, a gate with all its numbers and long names."""
    steps = [EVERY[0], EVERY[1], EVERY[2], *({"weight": 5 * k} for k in range(1, 17)), {"switch": {}}]
    slices = {"label": "segment", "values": [f"{'s' * 40}{k}" for k in range(4)]}
    metrics = [
        {"name": "errors", "slices": slices},
        {"name": "latency", "slices": slices},
        {"name": "agreement"},
        {"name": "slo", "maxErrorRate": "5%"},
    ]
    world = pushed(steps=steps, spec={"analysis": {"preset": "traefik", "metrics": metrics}})
    for number in range(40):
        world.run(8)
        world.ask("promote", ident=f"{number}-{'i' * 50}")
    status = world.status
    assert len(status.history) == 30
    assert len(status.verdicts) <= 32
    world.run(5)
    assert len(world.saved.model_dump_json(by_alias=True)) < 20_000
