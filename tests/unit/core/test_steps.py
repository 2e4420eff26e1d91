"""Steps of every kind, as a table of what they do and as stories of what is special to each."""

from dataclasses import replace
from datetime import timedelta

import pytest

from modelrollout.api.status import GateState, Phase, VerdictKind
from modelrollout.core.actions import CloseGate, OpenGate, SetPreview, SetRoute
from modelrollout.core.plan import plan
from modelrollout.core.split import Matched, Split
from tests.support.world import SPEC, Model, World
from tests.unit.core.stories import at_step, moves, over, paused, pushed

JOB = {"gate": {"name": "holdout", "job": {"template": SPEC["template"]}}}
HOOK = {"gate": {"name": "hook", "webhook": {"url": "https://checks.example.com/model"}}}
APPROVAL = {"gate": {"approval": {"message": "look at the slices"}}}
REQUESTS = {"gate": {"name": "golden", "requests": {"configMap": "golden"}}}
MATCH = {"match": {"headers": {"X-Canary": "yes"}, "cookies": {"beta": "1"}, "minRequests": 40}}
LAST = {"weight": 50}


@pytest.mark.parametrize(
    ("step", "split"),
    [
        ({"weight": 20}, Split({"r1": 80, "r2": 20})),
        (MATCH, Split({"r1": 100}, None, Matched("r2", (("X-Canary", "yes"),), (("beta", "1"),)))),
        ({"pause": {"duration": "10s"}}, Split({"r1": 100})),
        (JOB, Split({"r1": 100})),
        (REQUESTS, Split({"r1": 100})),
        ({"switch": {}}, Split({"r2": 100})),
        ({"weight": 100}, Split({"r2": 100})),
    ],
    ids=["weight", "match", "pause", "job", "requests", "switch", "weight 100"],
)
def test_what_the_route_says_at_a_step(step, split):
    world = pushed(steps=[step] if "switch" in step or step.get("weight") == 100 else [step, LAST])
    world.checks.plan.update(holdout="slow", golden="slow")
    world.run(8)
    assert world.split == split


@pytest.mark.parametrize("kind", ["weight", "match", "pause", "gate", "switch", "shadow"])
def test_every_kind_of_step_passes_with_a_good_candidate(kind):
    steps = {
        "weight": [{"weight": 20}],
        "match": [MATCH],
        "pause": [{"pause": {"duration": "0s"}}, LAST],
        "gate": [JOB, LAST],
        "switch": [{"switch": {}}],
        "shadow": [{"shadow": {"percent": 50}}, LAST],
    }[kind]
    world = pushed(steps=steps)
    world.run(300, until=over)
    assert world.weights == {"r2": 100}, world.status.message
    assert moves(world)[-2:] == ["Promoted", "Completed"]


@pytest.mark.parametrize("kind", ["weight", "match", "pause", "shadow"])
@pytest.mark.parametrize("every", [3, 7])
def test_an_operator_that_dies_at_any_moment_of_any_step_goes_on(kind, every):
    steps = {
        "weight": [{"weight": 20}, {"weight": 60}],
        "match": [MATCH, LAST],
        "pause": [{"weight": 20}, {"pause": {"duration": "5s"}}, {"weight": 60}],
        "shadow": [{"shadow": {"percent": 50}}, JOB, LAST],
    }[kind]
    world = pushed(steps=steps)
    for _ in range(400 // every):
        world.run(every)
        world.die()
    assert world.status.phase is Phase.PROMOTED, world.status.message
    assert world.weights == {"r2": 100}
    assert len(world.checks.opened) == (kind == "shadow")


# match


def test_only_what_matches_reaches_the_candidate():
    world = pushed(Model(0.0), steps=[MATCH, LAST])
    world.run(60, until=lambda w: w.gateway.serving.matched is not None)
    before = world.gateway.answered.copy()
    world.run(10)
    answered = world.gateway.answered - before
    assert answered["r2"] == pytest.approx(80 * 10 * world.gateway.matching, abs=10)
    assert world.weights == {"r1": 100}


def test_a_match_lasts_until_both_sides_had_enough_requests():
    world = pushed(steps=[{"match": {**MATCH["match"], "minRequests": 1000}}, LAST])
    world.run(90)
    assert at_step(0)(world)
    assert "requests matched" in world.saved.message
    assert "of at least 1000 each" in world.saved.message
    world.run(120, until=at_step(1))
    seen = next(v for v in world.status.verdicts if v.name == "errors")
    assert min(seen.candidate.requests, seen.stable.requests) >= 1000


def test_a_match_waits_for_requests_whatever_the_metrics_are():
    """Where neither errors nor latency is asked for, another metric counts the requests."""
    metrics = [{"name": "slo", "maxErrorRate": "5%"}]
    world = pushed(spec={"analysis": {"preset": "traefik", "metrics": metrics}}, steps=[MATCH, LAST])
    world.run(120, until=at_step(1))
    assert at_step(1)(world), world.status.message


def test_a_bad_candidate_goes_back_from_a_match():
    world = pushed(Model(0.5), steps=[MATCH, LAST])
    world.run(60, until=over)
    assert world.status.phase is Phase.ROLLED_BACK
    assert world.split == Split({"r1": 100})


def test_a_match_ends_with_its_step():
    world = pushed(steps=[MATCH, {"pause": {}}, LAST])
    world.run(120, until=at_step(1))
    world.run(3)
    assert world.split == Split({"r1": 100})
    assert world.last is not None
    assert world.last.watch is None


# pause


def test_a_failure_in_a_pause_goes_back():
    world = pushed(steps=[{"weight": 20}, {"pause": {}}, {"weight": 60}])
    world.run(100, until=at_step(1))
    world.models["r2"].error_rate = 0.9
    world.run(20, until=over)
    assert world.status.phase is Phase.ROLLED_BACK


def test_a_pause_entered_before_the_route_was_confirmed_still_gathers_evidence():
    """A person goes on at once, so that the weight was never verified when the pause begins."""
    world = pushed(Model(0.9), steps=[{"weight": 20}, {"pause": {}}, {"weight": 60}])
    world.run(20, until=at_step(0))
    world.ask("promote")
    world.run(1)
    assert at_step(1)(world)
    assert world.status.step is not None
    world.run(20, until=over)
    assert world.status.phase is Phase.ROLLED_BACK, world.status.message


# switch and preview


def blue_green(**strategy: object) -> World:
    """Return a world in which r2 is about to be switched to."""
    return pushed(spec={"replicas": 4}, type="BlueGreen", **strategy)


def test_a_switch_is_one_write_to_the_route_and_so_is_the_way_back():
    world = blue_green()
    world.run(60, until=lambda w: w.status.phase is Phase.GUARDING)
    assert world.routes == [Split({"r2": 100})]
    assert (world.pods["r1"].desired, world.pods["r2"].desired) == (4, 4)
    world.models["r2"].error_rate = 0.9
    world.run(20, until=over)
    assert world.status.phase is Phase.ROLLED_BACK
    assert world.routes == [Split({"r2": 100}), Split({"r1": 100})]


def test_a_switch_waits_for_a_candidate_of_full_size():
    world = blue_green()
    world.run(2)
    assert world.pods["r2"].desired == 4
    assert world.routes == []
    assert "waiting for pods of the candidate before 100%: 0/4 ready" in world.status.message


def test_the_preview_leads_to_the_candidate_and_then_to_what_serves():
    world = blue_green(steps=[JOB, {"switch": {}}])
    world.checks.plan["holdout"] = "slow"
    world.run(5)
    assert (world.preview, world.weights) == ("r2", {"r1": 100})
    world.checks.plan["holdout"] = "fail"
    world.run(5)
    assert world.status.phase is Phase.ROLLED_BACK
    assert world.preview == "r1"


def test_no_check_is_opened_while_the_preview_leads_elsewhere():
    """As it does where a Service of that name is somebody else's."""
    world = blue_green(steps=[JOB, {"switch": {}}])
    world.checks.plan["holdout"] = "slow"
    world.run(5)
    world.checks.known = None
    world.preview = "r1"
    made = plan(world.rollout(), world.observe(), world.now, world.settings)
    assert not [action for action in made.actions if isinstance(action, OpenGate)]
    assert [action for action in made.actions if isinstance(action, SetPreview)]


def test_a_candidate_takes_no_step_while_the_preview_leads_elsewhere():
    world = blue_green()
    made = world.observe
    world.observe = lambda: replace(made(), preview=None)
    world.run(30)
    assert (world.status.phase, world.status.step, world.routes) == (Phase.PROGRESSING, None, [])
    assert world.status.message == "waiting for the Service of the preview to lead to the candidate"
    world.ask("promote", full=True)
    world.run(2)
    assert world.routes == [Split({"r2": 100})], "a person may do without"


def test_a_preview_that_nobody_asks_for_any_more_goes():
    world = pushed(spec={"traffic": {**SPEC["traffic"], "preview": {}}}, steps=[{"weight": 50}])
    world.run(5)
    assert world.preview == "r2"
    world.edit(traffic=SPEC["traffic"])
    world.run(2)
    assert world.preview is None


def test_a_preview_is_pointed_at_a_revision_only_when_it_changes():
    world = blue_green(guard={"duration": "5s"})
    pointed = []
    rules = world.before_action

    def note(action: object) -> None:
        rules(action)
        if isinstance(action, SetPreview | SetRoute):
            pointed.append(action.revision if isinstance(action, SetPreview) else "switch")

    world.before_action = note
    world.run(60, until=over)
    assert pointed == ["r2", "switch"]


def test_a_weight_of_100_is_promotion_for_nothing_is_left_to_compare_with():
    world = pushed(steps=[{"weight": 50}, {"weight": 100}], guard={"duration": "1m"})
    world.run(120, until=lambda w: w.weights == {"r2": 100})
    assert world.status.phase is Phase.GUARDING
    world.models["r2"].error_rate = 0.9
    world.run(20, until=over)
    assert world.weights == {"r1": 100}


def test_the_candidate_is_at_full_size_before_the_switch_and_the_guard_keeps_stable_so():
    world = blue_green(guard={"duration": "20s"})
    world.run(60, until=lambda w: w.weights == {"r2": 100})
    assert world.ready("r2") == 4
    world.run(15)
    assert world.ready("r1") == 4
    world.run(20)
    assert world.pods["r1"].desired == 0


# gates


@pytest.mark.parametrize(
    ("outcome", "phase", "words"),
    [
        ("pass", Phase.PROMOTED, "gate holdout passed: no worse on the holdout set; accuracy 0.92"),
        ("flaky", Phase.PROMOTED, "gate holdout passed"),
        ("fail", Phase.ROLLED_BACK, "gate holdout failed: accuracy fell from 0.91 to 0.80"),
        ("error", Phase.PROGRESSING, "gate holdout could not be asked, and is asked again: connection refused"),
        ("slow", Phase.PROGRESSING, "gate holdout is running: 20 of 100 rows"),
    ],
)
def test_what_comes_of_a_gate(outcome, phase, words):
    world = pushed(steps=[JOB, LAST])
    world.checks.plan["holdout"] = outcome
    world.run(120, until=over)
    assert world.status.phase is phase
    told = [move.message for move in world.announced] + [world.status.message]
    assert any(words in text for text in told), told
    if phase is not Phase.PROMOTED:
        assert world.gateway.answered["r2"] == 0


@pytest.mark.parametrize(
    ("outcome", "timeout", "phase"),
    [
        ("slow", "Rollback", Phase.ROLLED_BACK),
        ("error", "Rollback", Phase.ROLLED_BACK),
        ("slow", "Pause", Phase.PAUSED),
        ("error", "Promote", Phase.GUARDING),
    ],
)
def test_a_gate_that_takes_too_long(outcome, timeout, phase):
    world = pushed(steps=[{**HOOK, "maxDuration": "20s", "onTimeout": timeout}, LAST], guard={"duration": "5m"})
    world.checks.plan["hook"] = outcome
    world.run(80)
    assert world.status.phase is phase, world.status.message


def test_a_gate_is_opened_once_and_closed_when_nobody_waits_for_it():
    world = pushed(steps=[JOB, LAST])
    seen = []
    rules = world.before_action

    def note(action: object) -> None:
        rules(action)
        if isinstance(action, OpenGate | CloseGate):
            seen.append((type(action).__name__, action.id))

    world.before_action = note
    world.run(60, until=at_step(1))
    world.run(2)
    ident = world.checks.opened[0].id
    assert ident.startswith("r2-1-0")
    assert seen == [("OpenGate", ident), ("CloseGate", ident)]
    assert (world.checks.opened[0].step, world.checks.opened[0].attempt) == (0, 1)


def test_a_gate_is_looked_after_by_the_next_operator():
    world = pushed(steps=[JOB, LAST])
    world.checks.plan["holdout"] = "slow"
    world.run(10)
    world.die()
    world.run(3)
    assert world.checks.known is not None
    assert len(world.checks.opened) == 1
    world.checks.plan["holdout"] = "pass"
    world.run(60, until=over)
    assert world.status.phase is Phase.PROMOTED


@pytest.mark.parametrize(
    ("outcome", "strategy", "state"),
    [
        ("pass", {"automation": {"promotion": "manual"}}, GateState.PASSED),
        ("pass", {"schedule": {"freeze": [{"from": "12:01", "to": "12:00"}]}}, GateState.PASSED),
        ("fail", {"automation": {"rollback": "manual"}}, GateState.FAILED),
    ],
    ids=["a person is waited for", "frozen", "failed, and a person decides"],
)
def test_a_verdict_is_never_asked_for_again(outcome, strategy, state):
    """A rollout may stand at a gate for longer than a Job that is over is kept."""
    world = pushed(steps=[JOB, LAST], **strategy)
    world.checks.plan["holdout"] = "slow"
    world.run(30)
    world.checks.plan["holdout"] = outcome
    world.run(20)
    assert at_step(0)(world)
    assert (world.saved.gate.state, len(world.checks.opened)) == (state, 1)
    for _ in range(3):
        world.die()
        world.now += timedelta(hours=2)
        world.run(5)
    assert at_step(0)(world)
    assert (world.saved.gate.state, len(world.checks.opened)) == (state, 1)


@pytest.mark.parametrize("event", ["abort", "push", "revert"])
def test_a_gate_that_is_left_is_closed(event):
    world = pushed(steps=[JOB, LAST])
    world.checks.plan["holdout"] = "slow"
    world.run(10)
    if event == "abort":
        world.ask("abort")
    elif event == "push":
        world.push("r3", Model(starts=False))
    else:
        world.push("r1")
    world.run(4)
    assert world.checks.known is None


def test_a_retry_asks_the_gate_anew():
    world = pushed(steps=[JOB, LAST])
    world.checks.plan["holdout"] = "fail"
    world.run(60, until=over)
    world.checks.plan["holdout"] = "pass"
    world.ask("retry")
    world.run(120, until=lambda w: w.status.attempt == 2 and over(w))
    assert [gate.id[:6] for gate in world.checks.opened] == ["r2-1-0", "r2-2-0"]
    assert world.status.phase is Phase.PROMOTED


def test_a_failure_while_a_gate_is_waited_for_goes_back():
    world = pushed(steps=[{"weight": 20}, HOOK, {"weight": 60}])
    world.checks.plan["hook"] = "slow"
    world.run(60, until=at_step(1))
    world.run(3)
    world.models["r2"].error_rate = 0.9
    world.run(20, until=over)
    assert world.status.phase is Phase.ROLLED_BACK
    assert "errors worse" in world.announced[-1].message


def test_a_person_who_approves_is_remembered_with_the_moment():
    world = pushed(steps=[APPROVAL, LAST])
    world.run(20)
    assert "gate approval waits for a person: look at the slices; run approve to go on" in world.status.message
    assert world.checks.opened == []
    world.ask("approve")
    world.run(2)
    assert world.status.gate is not None
    assert (world.status.gate.state, world.status.gate.by) == (GateState.PASSED, "alice")
    approved = next(move for move in world.announced if move.move == "Approved")
    assert approved.by == "alice"
    world.run(60, until=over)
    assert world.status.phase is Phase.PROMOTED


@pytest.mark.parametrize(
    ("step", "at", "outcome"),
    [
        (APPROVAL, 0, "gate approval is approved"),
        (HOOK, 0, "nothing to approve"),
        ({"weight": 20}, 0, "nothing to approve"),
    ],
    ids=["approval", "webhook", "weight"],
)
def test_what_approve_is_for(step, at, outcome):
    world = pushed(steps=[step, LAST])
    world.checks.plan["hook"] = "slow"
    world.run(20, until=at_step(at))
    world.ask("approve")
    world.run(1)
    assert world.status.request is not None
    assert outcome in world.status.request.outcome


def test_abort_instead_of_approval_goes_back():
    world = pushed(steps=[APPROVAL, LAST])
    world.run(20)
    world.ask("abort")
    world.run(2)
    assert world.status.phase is Phase.ROLLED_BACK


def test_numbers_of_a_gate_are_bounded_and_finite():
    """A status with a number that is none is refused by the API server, again and again."""
    world = pushed(steps=[JOB, LAST])
    world.run(8, until=lambda w: w.checks.known is not None)
    numbers = {f"slice {index} {'x' * 100}": float(index) for index in range(500)} | {"worst": float("nan")}
    found = world.checks.result(world.now)
    assert found is not None
    object.__setattr__(found, "numbers", {"nan": float("nan"), "inf": float("inf"), **numbers})
    world.checks.result = lambda now: found  # type: ignore[method-assign] # noqa: ARG005
    world.run(2)
    assert world.status.gate is not None
    assert len(world.status.gate.numbers) == 32
    assert all(len(name) <= 63 for name in world.status.gate.numbers)
    assert "nan" not in world.status.gate.numbers


# deadlines


def test_a_step_that_the_gateway_never_confirms_is_ended_by_its_deadline():
    world = pushed(steps=[{"weight": 20, "maxDuration": "20s", "onTimeout": "Rollback"}])
    world.run(20, until=at_step(0))
    for _ in range(30):
        world.route_changed = world.now
        world.run(1)
    assert "TimedOut" in moves(world)
    assert world.status.phase is Phase.ROLLED_BACK


def test_resume_after_a_deadline_waits_as_long_again():
    world = pushed(steps=[{"weight": 20, "maxDuration": "15s"}])
    world.rps = 0.0
    world.run(30, until=paused)
    assert "no verdict within 15s" in (world.status.paused or "")
    world.ask("resume")
    world.run(10)
    assert world.status.paused is None
    world.run(10)
    assert moves(world).count("Paused") == 2


# no pods


@pytest.mark.parametrize(
    ("strategy", "phase"),
    [
        ({"steps": [LAST]}, Phase.PROMOTED),
        ({"steps": [JOB, LAST]}, Phase.PROGRESSING),
        ({"steps": [LAST], "automation": {"promotion": "manual"}}, Phase.PROGRESSING),
        ({"type": "Shadow"}, Phase.PROGRESSING),
        ({"steps": [{"pause": {}}, LAST]}, Phase.PROMOTED),
    ],
    ids=["canary", "gate", "manual", "shadow", "pause"],
)
def test_a_rollout_without_pods_is_over_at_once_unless_somebody_is_to_be_asked(strategy, phase):
    world = pushed(spec={"replicas": 0}, **strategy)
    world.checks.plan["holdout"] = "slow"
    world.rps = 0.0
    world.run(40)
    assert world.status.phase is phase, world.status.message


def test_a_rollout_that_loses_its_pods_in_the_middle_is_not_promoted_for_it():
    world = pushed(steps=[{"weight": 20}, LAST], minStepDuration="30s")
    world.run(20, until=at_step(0))
    world.edit(replicas=0)
    world.rps = 0.0
    world.run(60)
    assert world.status.phase is Phase.PROGRESSING
    assert world.status.stable == "r1"


def test_what_passed_before_a_takeover_counts_once_new_evidence_was_read():
    world = pushed(steps=[{"weight": 20}, {"weight": 50}], minStepDuration="60s")
    world.run(60, until=lambda w: at_step(0)(w) and w.status.verdict is VerdictKind.PASS)
    assert world.status.step.index == 0
    observed = world.observe()
    later = world.now + timedelta(seconds=60)

    behind = replace(observed, readings={}, caught_up=False)
    held = plan(world.rollout(), behind, later, world.settings)
    assert held.status.step.index == 0
    assert "evidence since the operator took over is yet to be read" in held.status.message

    went_on = plan(world.rollout(), replace(observed, readings={}), later, world.settings)
    assert went_on.status.step.index == 1


def test_a_guard_does_not_end_on_what_another_operator_read():
    world = pushed(steps=[{"weight": 50}], minStepDuration="1s")
    world.run(200, until=lambda w: w.status.window_end is not None and w.status.phase is Phase.GUARDING)
    world.run(6)
    later = world.now + timedelta(seconds=60)
    behind = replace(world.observe(), readings={}, caught_up=False)
    assert plan(world.rollout(), behind, later, world.settings).status.phase is Phase.GUARDING
    ended = plan(world.rollout(), replace(behind, caught_up=True), later, world.settings)
    assert ended.status.phase is Phase.PROMOTED
