"""The decision, told as stories in a small world and as tables of single decisions."""

from dataclasses import replace

import pytest

from modelrollout.api.status import Phase, VerdictKind
from modelrollout.core.actions import EnsureRevision, SaveStatus, SetRoute
from modelrollout.core.plan import plan
from modelrollout.core.split import Split
from tests.support.world import SPEC, Died, Model, World, settled


def over(world: World) -> bool:
    """Say whether the rollout is over, its guard included."""
    return world.status.phase in (Phase.PROMOTED, Phase.ROLLED_BACK)


def moves(world: World) -> list[tuple[str, int]]:
    return [(move.move, move.weight) for move in world.announced]


def pushed(model: Model | None = None, seed: int = 1, **changes: object) -> World:
    """Return a world with a new revision r2 just applied."""
    world = settled(seed, **changes)
    world.push("r2", model)
    world.reconcile()
    return world


def test_a_good_version_is_promoted_step_by_step():
    world = pushed()
    world.run(400, until=over)
    assert world.weights == {"r2": 100}
    assert moves(world) == [
        ("Started", 0),
        ("Weight", 5),
        ("Weight", 20),
        ("Weight", 40),
        ("Weight", 60),
        ("Weight", 80),
        ("Promoted", 0),
        ("Completed", 0),
    ]


def test_a_whole_good_canary_costs_at_most_25_writes():
    world = pushed()
    world.run(400, until=over)
    world.run(30)
    assert world.writes <= 25, "\n".join(world.log)


def test_promotion_restarts_nothing_and_keeps_the_previous_revision_through_the_guard():
    world = pushed()
    world.run(300, until=lambda w: w.status.phase is Phase.GUARDING)
    born = world.pods["r2"].since
    assert (world.status.stable, world.status.previous) == ("r2", "r1")
    world.run(30)
    assert world.pods["r1"].desired == 2
    world.run(100)
    assert world.pods["r1"].desired == 0
    assert world.pods["r2"].since == born


@pytest.mark.parametrize(
    ("model", "within", "because"),
    [
        (Model(0.5), 12, "errors worse than the tolerated increase"),
        (Model(1.0), 12, "errors worse than the tolerated increase"),
        (Model(0.05), 60, "errors worse than the tolerated increase"),
        (Model(slow=3.0), 20, "latency worse than the tolerated increase"),
        (Model(starts=False), 60, "crash again and again"),
    ],
    ids=["half fail", "all fail", "5% fail", "3x latency", "crash loop"],
)
def test_a_bad_version_goes_back_from_the_first_weight(model, within, because):
    world = pushed(model)
    world.run(within, until=over)
    assert world.status.phase is Phase.ROLLED_BACK, world.status.message
    assert world.weights == {"r1": 100}
    assert max(move.weight for move in world.announced) <= 5
    assert because in world.announced[-1].message
    world.run(20)
    assert world.pods["r2"].desired == 0
    assert world.status.stable == "r1"


def test_evidence_reaches_back_to_the_write_of_the_route_unless_it_had_to_be_written_again():
    world = pushed()
    world.run(30, until=lambda w: w.status.window_end is not None)
    step = world.status.step
    assert step is not None
    assert step.verified is not None
    assert world.status.window_end == world.settings.grid_before(step.since.timestamp())
    world.split = Split({"r1": 50, "r2": 50})
    world.run(30, until=lambda w: w.announced[-1].move == "Corrected" and w.status.window_end is not None)
    assert world.status.step is not None
    assert world.status.step.verified is not None
    again = world.status.step.verified + world.settings.settle
    assert world.status.window_end == world.settings.grid(again.timestamp())


def test_a_rollback_writes_the_route_first_and_the_status_second():
    world = pushed(Model(1.0))
    world.run(12, until=over)
    assert world.last is not None
    assert isinstance(world.last.actions[0], SetRoute)
    assert isinstance(world.last.actions[1], SaveStatus)


def test_a_rollback_cut_short_after_its_first_write_stays_a_rollback():
    """The operator dies with the route written and the status not; its successor sees no evidence at all."""
    world = pushed(Model(1.0))

    def die_after_route(action: object) -> None:
        if isinstance(action, SaveStatus) and world.latch:
            raise Died

    world.before_action = die_after_route
    with pytest.raises(Died):
        world.run(30)
    assert world.saved.phase is Phase.PROGRESSING
    world.before_action = lambda _: None
    world.prometheus = False
    world.run(30)
    assert world.weights == {"r1": 100}
    assert world.status.phase is Phase.ROLLED_BACK
    assert "errors worse than the tolerated increase" in world.status.message


def test_prometheus_down_holds_and_then_goes_on():
    world = pushed()
    world.run(300, until=lambda w: w.status.weights.candidate == 20)
    world.prometheus = False
    world.run(60)
    assert world.weights == {"r1": 80, "r2": 20}
    assert world.status.verdict is VerdictKind.PROVIDER_ERROR
    assert "did not answer" in world.saved.message
    world.prometheus = True
    world.run(300, until=over)
    assert world.weights == {"r2": 100}


def test_no_traffic_holds_and_says_so():
    world = settled(1)
    world.rps = 0.0
    world.push("r2")
    world.run(120)
    assert world.weights == {"r1": 95, "r2": 5}
    assert world.status.verdict is VerdictKind.NO_DATA
    assert "no request reached the candidate at 5% yet" in world.saved.message


def test_an_operator_that_dies_every_few_seconds_still_promotes():
    world = pushed()
    for _ in range(60):
        world.run(7)
        world.die()
    world.run(200, until=over)
    assert world.weights == {"r2": 100}


def test_a_new_template_replaces_the_candidate_and_never_stable():
    world = pushed()
    world.run(60, until=lambda w: w.status.weights.candidate == 20)
    world.push("r3")
    world.run(2)
    assert world.weights == {"r1": 100}
    assert (world.status.stable, world.status.candidate) == ("r1", "r3")
    world.run(400, until=over)
    assert world.weights == {"r3": 100}
    assert world.pods["r2"].desired == 0


def test_a_template_put_back_to_stable_ends_the_rollout():
    world = pushed()
    world.run(60, until=lambda w: w.status.weights.candidate == 5)
    world.desired, world.generation = "r1", world.generation + 1
    world.run(15)
    assert world.weights == {"r1": 100}
    assert world.status.phase is Phase.PROMOTED
    assert world.pods["r2"].desired == 0


def test_a_revision_that_fails_in_the_guard_goes_back_in_one_write():
    world = pushed()
    world.run(300, until=lambda w: w.status.phase is Phase.GUARDING)
    world.run(5)
    world.models["r2"].error_rate = 0.9
    world.run(20, until=over)
    assert world.weights == {"r1": 100}
    assert world.status.phase is Phase.ROLLED_BACK
    assert world.status.stable == "r1"


def test_what_was_asked_for_is_carried_out_once_and_recorded():
    world = pushed()
    world.run(60, until=lambda w: w.status.weights.candidate == 5)
    world.ask("promote", ident="a")
    world.run(3)
    assert world.weights == {"r1": 80, "r2": 20}
    world.die()
    world.run(5)
    assert world.status.weights.candidate == 20
    assert [(m.move, m.by) for m in world.announced if m.by] == [("Skipped", "alice")]
    assert world.status.request is not None
    assert world.status.request.outcome == "goes to the next step as soon as pods are ready for it"


def test_promote_full_skips_the_rest():
    world = pushed()
    world.run(60, until=lambda w: w.status.weights.candidate == 5)
    world.ask("promote", full=True)
    world.run(3)
    assert world.weights == {"r2": 100}


def test_pause_holds_and_resume_goes_on_but_a_failure_still_goes_back():
    world = pushed()
    world.run(60, until=lambda w: w.status.weights.candidate == 5)
    world.ask("pause")
    world.run(120)
    assert world.weights == {"r1": 95, "r2": 5}
    assert world.status.phase is Phase.PAUSED
    world.ask("resume")
    world.run(30)
    assert world.status.weights.candidate >= 20
    world.ask("pause")
    world.models["r2"].error_rate = 0.9
    world.run(20, until=over)
    assert world.status.phase is Phase.ROLLED_BACK


def test_retry_tries_the_same_revision_again_with_a_new_budget():
    world = pushed(Model(1.0))
    world.run(30, until=over)
    world.models["r2"].error_rate = 0.0
    world.ask("retry")
    world.run(400, until=over)
    assert world.weights == {"r2": 100}
    assert world.status.attempt == 2


def test_undo_goes_back_to_an_earlier_revision_until_the_template_changes():
    world = pushed()
    world.run(400, until=over)
    world.run(30)
    world.ask("undo")
    world.run(120)
    assert world.weights == {"r1": 100}
    assert world.status.phase is Phase.PROMOTED
    assert world.status.pin is not None
    world.push("r3")
    world.run(400, until=lambda w: w.weights == {"r3": 100})
    assert world.status.pin is None


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        ("promote", "nothing to promote"),
        ("abort", "nothing to abort"),
        ("pause", "nothing to pause"),
        ("resume", "nothing to resume"),
        ("retry", "nothing to retry"),
        ("undo", "no earlier revision is kept"),
    ],
)
def test_a_request_with_nothing_to_act_on_says_so_and_moves_nothing(action, outcome):
    world = settled(1)
    world.ask(action)
    world.run(5)
    assert world.status.request is not None
    assert outcome in world.status.request.outcome
    assert world.status.request.refused
    assert world.announced == []


def test_a_request_that_is_carried_out_is_not_refused():
    world = pushed()
    world.ask("pause")
    world.run(5)
    assert world.status.request is not None
    assert not world.status.request.refused


def test_a_pause_step_waits_for_a_person():
    spec = {**SPEC, "strategy": {**SPEC["strategy"], "steps": [{"weight": 20}, {"pause": {}}, {"weight": 60}]}}
    world = pushed(spec=spec)
    world.run(200)
    assert world.status.phase is Phase.PAUSED
    assert world.weights == {"r1": 80, "r2": 20}
    world.ask("resume")
    world.run(300, until=over)
    assert world.weights == {"r2": 100}


@pytest.mark.parametrize(
    ("outcome", "phase"), [("Rollback", Phase.ROLLED_BACK), ("Pause", Phase.PAUSED), ("Promote", Phase.GUARDING)]
)
def test_a_deadline_ends_the_hold_with_the_outcome_asked_for(outcome, phase):
    steps = [{"weight": 20, "maxDuration": "30s", "onTimeout": outcome}]
    world = settled(1, spec={**SPEC, "strategy": {**SPEC["strategy"], "steps": steps}})
    world.rps = 0.0
    world.push("r2")
    world.run(45)
    assert world.status.phase is phase, world.status.message


def test_a_route_that_somebody_else_changed_is_put_right_and_reported_once():
    world = pushed()
    world.run(60, until=lambda w: w.status.weights.candidate == 5)
    world.run(5)
    world.split = Split({"r1": 0, "r2": 100})
    world.run(10)
    assert world.weights == {"r1": 95, "r2": 5}
    assert [move.move for move in world.announced].count("Corrected") == 1


def test_an_idle_rollout_asks_for_nothing():
    world = settled(1)
    world.run(70)
    world.writes = 0
    world.run(60)
    assert world.writes == 0
    assert world.last is not None
    assert (world.last.watch, world.last.requeue_after, world.last.actions) == (None, None, ())


def test_a_refused_template_stalls_and_leaves_stable_alone():
    world = settled(1)
    world.push("r2")
    seen = replace(world.observe(), terminal="Deployment m-r2: unknown field")
    made = plan(world.rollout(), seen, world.now, world.settings)
    assert not any(isinstance(action, EnsureRevision | SetRoute) for action in made.actions)
    stalled = next(c for c in made.status.conditions if c.type == "Stalled")
    assert (stalled.status, stalled.reason) == ("True", "Refused")
    assert "unknown field" in stalled.message
    assert made.status.stable == "r1"


@pytest.mark.parametrize("replicas", [1, 2, 3, 7, 50])
def test_any_number_of_replicas_promotes(replicas):
    world = settled(1, spec={**SPEC, "replicas": replicas})
    world.push("r2")
    world.run(400, until=lambda w: w.weights == {"r2": 100})
    assert world.weights == {"r2": 100}


def test_no_replicas_means_nothing_to_try():
    world = settled(1, spec={**SPEC, "replicas": 0}, rps=0.0)
    world.push("r2")
    world.run(10)
    assert world.status.stable == "r2"
