"""Shadow: copies of requests to a comparer beside the candidate, while users get stable's answers."""

import pytest

from modelrollout.api.spec import Analysis
from modelrollout.api.status import Phase, VerdictKind
from modelrollout.core.actions import DeleteComparer, EnsureComparer, SetRoute
from modelrollout.core.evidence.judge import harm_shares
from modelrollout.core.evidence.stages import COMPARED, COMPARER, Stage
from modelrollout.core.split import Mirror, Split
from tests.support.surroundings import ComparerPod
from tests.support.world import Model, World
from tests.unit.core.stories import GOOD, at_step, moves, over, pushed

SHADOW = [{"shadow": {"percent": 50}}]
ANALYSIS = {"preset": "traefik", "metrics": [{"name": "errors"}, {"name": "latency"}, {"name": "agreement"}]}
WITH_AGREEMENT = {"analysis": ANALYSIS}


def shadowed(model: Model | None = None, steps: list[dict[str, object]] | None = None, **strategy: object) -> World:
    """Return a world in which r2 is shadowed first."""
    kind = "Canary" if steps else "Shadow"
    return pushed(model, spec=WITH_AGREEMENT, **{"type": kind, "steps": steps or SHADOW, **strategy})


def mirroring(world: World) -> bool:
    return world.gateway.serving.mirror is not None


def test_a_shadow_ends_in_a_report_and_no_user_ever_meets_the_candidate():
    world = shadowed()
    world.run(300, until=over)
    assert world.status.phase is Phase.REPORTED, world.status.message
    assert moves(world) == ["Started", "Shadow", "Reported"]
    assert "pairs of answers disagree" in world.announced[-1].message
    assert world.gateway.answered["r2"] == 0
    assert {split.share("r1") for split in world.routes} == {100}
    assert (world.status.stable, world.status.candidate) == ("r1", None)
    world.run(30)
    assert (world.pods["r2"].desired, world.comparer) == (0, None)
    ready = next(c for c in world.status.conditions if c.type == "Ready")
    assert (ready.status, ready.reason) == ("True", "Reported")


@pytest.mark.parametrize(
    ("model", "because"),
    [
        (Model(0.5), "errors worse"),
        (Model(0.0, slow=3.0), "latency worse"),
        (Model(0.0, disagrees=0.3), "disagree"),
    ],
    ids=["errors", "latency", "disagreement"],
)
def test_a_bad_candidate_is_found_in_the_shadow_at_no_cost_to_users(model, because):
    world = shadowed(model)
    world.run(200, until=over)
    assert world.status.phase is Phase.ROLLED_BACK, world.status.message
    assert because in world.announced[-1].message
    assert world.gateway.answered["r2"] == 0
    world.run(30)
    assert (world.comparer, world.split) == (None, Split({"r1": 100}))


def test_the_comparer_is_there_and_ready_before_the_mirror_and_goes_after_it():
    world = shadowed()
    seen: list[str] = []
    rules = world.before_action

    def note(action: object) -> None:
        rules(action)
        if isinstance(action, EnsureComparer | DeleteComparer):
            seen.append(type(action).__name__)
        if isinstance(action, SetRoute):
            seen.append("mirror" if action.split.mirror else "no mirror")

    world.before_action = note
    world.run(300, until=over)
    world.run(30)
    assert seen == ["EnsureComparer", "mirror", "no mirror", "DeleteComparer"]
    assert world.gateway.lost == 0


def test_a_comparer_that_does_not_start_holds_and_its_deadline_ends_the_hold():
    world = shadowed(steps=[{**SHADOW[0], "maxDuration": "30s", "onTimeout": "Rollback"}, {"weight": 20}])
    world.run(30, until=mirroring)
    assert world.comparer is not None
    world.comparer.up = False
    world.run(10)
    assert world.split.mirror is None
    assert world.status.step is not None
    assert world.status.step.verified is None
    assert "the comparer is not ready" in world.status.message
    assert "Corrected" not in moves(world)
    world.run(30)
    assert moves(world)[-1] == "TimedOut"


def test_a_comparer_that_comes_back_goes_on():
    world = shadowed()
    world.run(30, until=mirroring)
    assert world.comparer is not None
    world.comparer.up = False
    world.run(10)
    world.comparer.up = True
    world.run(300, until=over)
    assert world.status.phase is Phase.REPORTED
    assert moves(world) == ["Started", "Shadow", "Reported"]


def test_a_comparer_that_somebody_deleted_is_made_again():
    world = shadowed()
    world.run(30, until=mirroring)
    world.comparer = None
    world.run(300, until=over)
    assert world.status.phase is Phase.REPORTED


def test_other_settings_of_the_comparer_take_the_mirror_away_while_it_restarts():
    world = shadowed()
    world.run(30, until=mirroring)
    before = world.comparer
    world.edit(strategy={"steps": [{"shadow": {"percent": 50, "comparer": {"top1": True}}}]})
    world.run(300, until=over)
    assert world.status.phase is Phase.REPORTED
    assert isinstance(before, ComparerPod)
    assert [split.mirror is not None for split in world.routes] == [True, False, True, False]
    assert "Corrected" not in moves(world)


def test_a_new_candidate_gets_a_comparer_of_its_own():
    world = shadowed()
    world.run(30, until=mirroring)
    world.push("r3", GOOD)
    world.run(2)
    assert world.split == Split({"r1": 100})
    world.run(60, until=mirroring)
    assert world.comparer is not None
    assert world.comparer.candidate == "r3"


def test_a_share_of_another_size_is_written_and_nobody_is_blamed_for_it():
    world = shadowed()
    world.run(30, until=mirroring)
    world.run(3)
    world.edit(strategy={"steps": [{"shadow": {"percent": 80}}]})
    world.run(5)
    assert world.split.mirror == Mirror(80, "comparer")
    assert "Corrected" not in moves(world)


def test_a_mirror_that_somebody_else_removed_is_put_back_and_reported_once():
    world = shadowed(GOOD, minStepDuration="30s")
    world.run(30, until=mirroring)
    world.run(3)
    world.split, world.route_changed = Split({"r1": 100}), world.now
    world.run(8)
    assert world.split.mirror == Mirror(50, "comparer")
    assert moves(world).count("Corrected") == 1


def test_without_comparer_copies_go_straight_to_the_candidate():
    steps = [{"shadow": {"percent": 100, "comparer": {"enabled": False}}, "maxDuration": "20s"}, {"weight": 50}]
    world = pushed(steps=steps)
    world.run(20)
    assert world.routes[0] == Split({"r1": 100}, Mirror(100, "r2"))
    assert world.comparer is None
    assert world.last is not None
    assert world.last.watch is not None
    assert world.last.watch.presets == {}


def test_a_shadow_flows_into_a_canary():
    world = shadowed(steps=[*SHADOW, {"weight": 20}, {"weight": 60}])
    world.run(400, until=over)
    assert world.weights == {"r2": 100}
    assert moves(world) == ["Started", "Shadow", "Weight", "Weight", "Promoted", "Completed"]
    weight = next(move for move in world.announced if move.move == "Weight")
    assert "shadow errors" in weight.message
    later = next(move for move in world.announced if move.move == "Promoted")
    assert "shadow" not in later.message


def test_in_the_shadow_the_comparer_is_read_and_afterwards_the_gateway():
    world = shadowed(steps=[*SHADOW, {"weight": 20}])
    world.run(60, until=lambda w: w.last is not None and w.last.watch is not None)
    assert world.last is not None
    assert world.last.watch is not None
    assert world.last.watch.presets == dict.fromkeys(COMPARED, COMPARER)
    assert set(world.last.watch.metrics) == {"errors", "latency", "agreement"}
    world.run(200, until=lambda w: at_step(1)(w) and w.last.watch is not None)
    assert world.last.watch.presets == {}
    assert set(world.last.watch.metrics) == {"errors", "latency"}


def test_evidence_of_the_shadow_is_kept_apart_from_that_of_live_requests():
    world = shadowed(steps=[*SHADOW, {"weight": 20}])
    world.run(200, until=at_step(1))
    kept = {verdict.name: verdict for verdict in world.status.verdicts}
    assert set(kept) == {"shadow errors", "shadow latency", "agreement"}
    assert all(verdict.verdict is VerdictKind.PASS for verdict in kept.values())
    world.run(8)
    now = {verdict.name: verdict for verdict in world.status.verdicts}
    live = now["errors"].candidate.requests
    assert 0 < live < kept["shadow errors"].candidate.requests
    for name, verdict in kept.items():
        assert (now[name].harm, now[name].candidate) == (verdict.harm, verdict.candidate)


def test_what_the_shadow_left_open_holds_no_later_step():
    """A person goes on before the shadow has shown enough."""
    world = shadowed(steps=[*SHADOW, {"weight": 20}])
    world.run(30, until=mirroring)
    world.run(4)
    world.ask("promote")
    world.run(6)
    assert world.status.weights.candidate == 20
    assert "pairs" not in world.status.message
    world.run(300, until=over)
    assert world.weights == {"r2": 100}


def test_all_tests_of_shadow_and_canary_share_one_alpha():
    shares = harm_shares(Analysis.model_validate(ANALYSIS), Stage.LIVE)
    assert set(shares) == {"shadow errors", "shadow latency", "errors", "latency", "agreement"}
    assert sum(shares.values()) == pytest.approx(0.9)
    assert shares == harm_shares(Analysis.model_validate(ANALYSIS), Stage.SHADOW)


@pytest.mark.parametrize(
    ("asked", "full", "phase"),
    [("promote", False, Phase.REPORTED), ("promote", True, Phase.GUARDING), ("abort", False, Phase.ROLLED_BACK)],
    ids=["promote", "promote --full", "abort"],
)
def test_what_a_person_may_ask_of_a_shadow(asked, full, phase):
    """The next step after the last is the report; only `--full` gives a candidate that was shadowed to users."""
    world = shadowed(minStepDuration="10m")
    world.run(30, until=mirroring)
    world.ask(asked, full=full)
    world.run(8)
    assert world.status.phase is phase, world.status.message


def test_resume_after_a_pause_at_the_end_of_a_shadow_reports_and_promotes_nothing():
    world = pushed(spec=WITH_AGREEMENT, type="Shadow", steps=[*SHADOW, {"pause": {}}])
    world.run(300, until=at_step(1))
    world.run(5)
    world.ask("resume")
    world.run(20)
    assert world.status.phase is Phase.REPORTED
    assert world.gateway.answered["r2"] == 0


def test_a_report_waits_for_nobody():
    world = shadowed(automation={"promotion": "manual"})
    world.run(300, until=over)
    assert world.status.phase is Phase.REPORTED


def test_retry_after_a_report_shadows_anew():
    world = shadowed()
    world.run(300, until=over)
    world.run(20)
    world.ask("retry")
    world.run(300, until=lambda w: w.status.attempt == 2 and over(w))
    assert moves(world) == ["Started", "Shadow", "Reported"] * 2


@pytest.mark.parametrize("every", [5, 11, 23])
def test_an_operator_that_dies_again_and_again_still_ends_with_the_report(every):
    world = shadowed()
    for _ in range(300 // every):
        world.run(every)
        world.die()
    assert world.status.phase is Phase.REPORTED
    assert moves(world).count("Shadow") == 1
    assert world.gateway.lost == 0


def test_a_good_shadow_and_canary_takes_few_writes():
    world = shadowed(steps=[*SHADOW, {"weight": 20}, {"weight": 60}])
    world.run(400, until=over)
    world.run(30)
    assert world.writes <= 25, "\n".join(world.log)
