"""The rules that every run is held against do notice when they are broken."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from modelrollout.api.status import Move, Phase, StepStatus, Weights
from modelrollout.core.actions import Action, DeleteRevision, Plan, ScaleRevision, SetRoute
from modelrollout.core.split import Split
from modelrollout.simulate.run import Run
from modelrollout.simulate.stage import prepare
from tests.unit.simulate.rollouts import rollout, scenario


@pytest.fixture
def run() -> Run:
    """Return a run whose candidate has 5 % of the traffic."""
    stage = prepare(rollout(strategy={"minStepDuration": "30m"}), scenario("traffic: {rps: 50}\nhorizon: 5m"))
    run = Run(stage, 0, 0)
    assert run.play().broken == ()
    return run


def plan_of(run: Run, **changes: object) -> Plan:
    last = run.operator.last
    assert last is not None
    return replace(last, status=last.status.model_copy(update=changes))


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda stable, _: SetRoute(Split({stable: 90})), "do not sum to 100"),
        (lambda stable, _: SetRoute(Split({stable: 50, "nobody": 50})), "does not exist"),
        (lambda stable, candidate: SetRoute(Split({stable: 0, candidate: 100})), "traffic before capacity"),
        (lambda stable, _: ScaleRevision(stable, 1), "while traffic flows"),
        (lambda _, candidate: DeleteRevision(candidate), "was deleted"),
    ],
)
def test_actions_that_break_a_rule_are_noticed(run, make: Callable[[str, str], Action], rule):
    run.cluster.scale(run.stage.templates[0][1], 1)
    run.rules.acting(make(run.stage.stable, run.stage.templates[0][1]), plan_of(run))
    assert any(rule in broken for broken in run.rules.broken)


def test_a_rejected_candidate_must_not_come_back(run):
    candidate = run.stage.templates[0][1]
    back = SetRoute(Split({run.stage.stable: 100}))
    rolled_back = replace(plan_of(run, phase=Phase.ROLLED_BACK, target=candidate), actions=(back,))
    run.rules.acting(back, rolled_back)
    assert run.rules.broken == []
    run.rules.acting(SetRoute(Split({run.stage.stable: 95, candidate: 5})), plan_of(run))
    assert "a rejected candidate got traffic again" in run.rules.broken[0]


def test_moves_without_evidence_are_noticed(run):
    before = plan_of(run).status
    waiting = before.model_copy(update={"verdicts": []})
    move = Move(at=before.history[-1].at, move="Promoted", revision="x", message="because")
    made = plan_of(run, history=[*before.history, move], verdicts=[])
    run.rules.planned(waiting, made, {})
    assert "Promoted without evidence" in run.rules.broken[0]
    rolled = plan_of(run, history=[*before.history, move.model_copy(update={"move": "RolledBack"})])
    run.rules.planned(before, rolled, {})
    assert "rolled back without evidence" in run.rules.broken[1]


def test_evidence_before_the_route_is_verified_is_noticed(run):
    step = StepStatus(index=0, name="weight 5", since=plan_of(run).status.history[-1].at)
    run.rules.planned(plan_of(run).status, plan_of(run, step=step, window_end=5), {})
    run.rules.planned(plan_of(run).status, plan_of(run, weights=Weights(stable=90, candidate=20)), {})
    assert "before the route was verified" in run.rules.broken[0]
    assert "do not sum to 100" in run.rules.broken[1]
