"""Who makes a move: the operator, the operator that tells of it, or a person; for the rollout and for single steps."""

import pytest

from modelrollout.api.status import Phase
from tests.support.world import Model, World
from tests.unit.core.stories import at_step, moves, over, paused, pushed

STEPS = [{"weight": 20}, {"weight": 60}]


def told(world: World) -> list[str]:
    return [move.move for move in world.told]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("auto", []),
        ("notify", ["Started", "Weight", "Weight", "Promoted", "Completed"]),
    ],
)
def test_what_is_told_of_the_way_forward(mode, expected):
    world = pushed(steps=STEPS, automation={"promotion": mode})
    world.run(200, until=over)
    assert moves(world) == ["Started", "Weight", "Weight", "Promoted", "Completed"]
    assert told(world) == expected


@pytest.mark.parametrize(("mode", "expected"), [("auto", []), ("notify", ["RolledBack"])])
def test_what_is_told_of_the_way_back(mode, expected):
    world = pushed(Model(0.5), steps=STEPS, automation={"rollback": mode})
    world.run(60, until=over)
    assert world.status.phase is Phase.ROLLED_BACK
    assert told(world) == expected


def test_a_step_has_a_word_of_its_own_in_both_directions():
    """The step that is left decides: here the second one."""
    steps = [{"weight": 20}, {"weight": 60, "automation": {"promotion": "notify", "rollback": "notify"}}]
    good = pushed(steps=steps)
    good.run(200, until=over)
    assert told(good) == ["Promoted"]
    bad = pushed(steps=steps)
    bad.run(100, until=at_step(1))
    bad.models["r2"].error_rate = 0.9
    bad.run(20, until=over)
    assert told(bad) == ["RolledBack"]


def test_a_step_may_be_left_alone_where_the_rollout_is_manual():
    steps = [{"weight": 20, "automation": {"promotion": "auto"}}, {"weight": 60}]
    world = pushed(steps=steps, automation={"promotion": "manual"})
    world.run(200, until=paused)
    assert at_step(1)(world)
    assert world.weights == {"r1": 40, "r2": 60}


def test_manual_promotion_waits_after_every_step_and_asks_once():
    world = pushed(steps=STEPS, automation={"promotion": "manual"})
    world.run(200)
    assert paused(world)
    assert world.weights == {"r1": 80, "r2": 20}
    assert moves(world) == ["Started", "Weight", "Awaiting"]
    assert world.announced[-1].message.startswith("weight 20 is over and promotion is manual: run promote to go on")
    assert "Awaiting" in told(world)
    world.ask("promote")
    world.run(200)
    assert world.weights == {"r1": 40, "r2": 60}
    world.ask("resume")
    world.run(60, until=over)
    assert world.weights == {"r2": 100}


@pytest.mark.parametrize(
    "steps",
    [None, [{"pause": {"duration": "5s"}}, {"switch": {}}], [{"gate": {"webhook": {"url": "https://x.example"}}}]],
    ids=["default", "after a timed pause", "after a gate"],
)
def test_manual_promotion_waits_before_the_switch(steps):
    world = pushed(type="BlueGreen", steps=steps, automation={"promotion": "manual"})
    world.run(60)
    assert paused(world)
    assert world.weights == {"r1": 100}
    assert world.pods["r2"].desired == 2
    world.ask("promote")
    world.run(3)
    assert world.weights == {"r2": 100}


def test_whoever_approves_has_moved_on():
    steps = [{"gate": {"approval": {}}}, {"weight": 50}]
    world = pushed(steps=steps, automation={"promotion": "manual"})
    world.run(10)
    world.ask("approve")
    world.run(20)
    assert world.status.weights.candidate == 50
    assert "Awaiting" not in moves(world)[:-1]


@pytest.mark.parametrize("timeout", ["Promote", "Pause"])
def test_no_deadline_takes_the_place_of_a_person(timeout):
    steps = [{"weight": 20, "maxDuration": "10s", "onTimeout": timeout}, {"weight": 60}]
    world = pushed(steps=steps, automation={"promotion": "manual"})
    world.rps = 0.0
    world.run(100)
    assert paused(world)
    assert world.weights == {"r1": 80, "r2": 20}


# manual rollback


def failing(**strategy: object) -> World:
    """Return a world whose candidate fails at its first weight, with rollback manual."""
    world = pushed(Model(0.5), steps=STEPS, automation={"rollback": "manual"}, **strategy)
    world.run(60, until=paused)
    return world


def test_a_failing_candidate_holds_and_is_told_once():
    world = failing()
    world.run(60)
    assert world.weights == {"r1": 80, "r2": 20}
    assert moves(world) == ["Started", "Weight", "Failing"]
    assert told(world) == ["Failing"]
    assert "failing, and rollback is manual" in world.status.message
    assert "run abort to go back" in world.status.message
    world.die()
    world.run(10)
    assert moves(world).count("Failing") == 1
    world.ask("abort")
    world.run(2)
    assert world.weights == {"r1": 100}


def test_a_failure_is_told_though_the_rollout_was_paused_before():
    world = pushed(steps=STEPS, automation={"rollback": "manual"})
    world.run(60, until=at_step(0))
    world.ask("pause")
    world.run(2)
    world.models["r2"].error_rate = 0.9
    world.run(20)
    assert "Failing" in told(world)


def test_a_person_may_promote_what_fails_and_is_asked_again_at_the_next_step():
    world = failing()
    world.ask("promote")
    world.run(30, until=at_step(1))
    assert world.weights == {"r1": 40, "r2": 60}
    world.run(30)
    assert moves(world) == ["Started", "Weight", "Failing", "Skipped", "Weight", "Failing"]
    world.ask("promote", full=True)
    world.run(4)
    assert world.weights == {"r2": 100}
    assert world.status.paused is None


def test_the_guard_asks_too_and_a_person_ends_it_either_way():
    world = pushed(type="BlueGreen", automation={"rollback": "manual"}, guard={"duration": "30s"})
    world.run(60, until=lambda w: w.status.phase is Phase.GUARDING)
    world.run(5)
    world.models["r2"].error_rate = 0.9
    world.run(90)
    assert world.status.phase is Phase.GUARDING
    assert moves(world)[-1] == "Failing"
    world.ask("promote")
    world.run(3)
    assert world.status.phase is Phase.PROMOTED
    assert world.announced[-1].by == "alice"


def test_a_person_ends_the_guard_though_prometheus_is_silent():
    world = pushed(type="BlueGreen", guard={"duration": "10m"})
    world.run(60, until=lambda w: w.status.phase is Phase.GUARDING)
    world.run(4)
    world.prometheus = False
    world.run(6)
    world.ask("promote")
    world.run(3)
    assert world.status.phase is Phase.PROMOTED


@pytest.mark.parametrize("what", ["crash", "gate", "deadline"])
def test_every_way_back_is_a_persons_where_rollback_is_manual(what):
    steps = {
        "crash": STEPS,
        "gate": [{"gate": {"name": "g", "webhook": {"url": "https://x.example"}}}, *STEPS],
        "deadline": [{"weight": 20, "maxDuration": "10s", "onTimeout": "Rollback"}],
    }[what]
    world = pushed(Model(starts=what != "crash"), steps=steps, automation={"rollback": "manual"})
    world.checks.plan["g"] = "fail"
    world.rps = 0.0 if what == "deadline" else world.rps
    world.run(90)
    assert paused(world)
    assert moves(world)[-1] == "Failing"
    assert "RolledBack" not in moves(world)


def test_pause_after_promote_holds_until_resume():
    """Whoever speaks last is heard, and what was asked before is not forgotten."""
    world = pushed(steps=STEPS, minStepDuration="5m")
    world.run(60, until=at_step(0))
    world.pod_start = 1000.0
    world.ask("promote", full=True)
    world.edit(replicas=4)
    world.run(2)
    world.ask("pause")
    world.pod_start = 1.0
    world.run(20)
    assert world.weights == {"r1": 80, "r2": 20}
    world.ask("resume")
    world.run(5)
    assert world.weights == {"r2": 100}
