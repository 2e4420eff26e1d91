"""Whole runs of every kind of step: the operator's own plans, gates and people as the scenario says."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelrollout.simulate import report_html, report_json, report_text
from modelrollout.simulate.many import simulate
from modelrollout.simulate.result import Result
from modelrollout.simulate.run import Run
from modelrollout.simulate.scenario import InvalidScenario, Scenario
from modelrollout.simulate.stage import prepare
from tests.unit.simulate.rollouts import rollout, scenario

TRAFFIC = "traffic: {rps: 100}\nstable: {pods: 4}\n"
COMPARED = {"preset": "traefik", "metrics": [{"name": "errors"}, {"name": "latency"}, {"name": "agreement"}]}
SERVED = {"preset": "traefik", "metrics": [{"name": "errors"}, {"name": "latency"}]}
MODEL = {"preset": "model-server", "metrics": [{"name": "errors"}, {"name": "predictions"}]}
JOB = {"template": {"spec": {"containers": [{"name": "e", "image": "e:1"}]}}}
EVALUATION = {"gate": {"name": "evaluation", "job": JOB}}
APPROVAL = {"gate": {"approval": {}}}
MATCH = {"match": {"headers": {"x-canary": "1"}, "minRequests": 100}}
SHADOW = {"shadow": {"percent": 20}}


def play(told: str, **spec: Any) -> Result:
    result = Run(prepare(rollout(**spec), scenario(TRAFFIC + told)), 0, 0).play()
    assert result.broken == ()
    return result


def moves(result: Result) -> list[str]:
    return [told.move.move for told in result.moves]


@pytest.mark.parametrize(
    ("told", "strategy", "analysis", "outcome", "told_moves"),
    [
        ("", {"type": "Shadow"}, COMPARED, "reported", ["Started", "Shadow", "Reported"]),
        (
            "shadow: {disagreement: 10%}",
            {"type": "Shadow"},
            COMPARED,
            "rolledBack",
            ["Started", "Shadow", "RolledBack"],
        ),
        (
            "candidate: {errorRate: 10%}",
            {"steps": [SHADOW, {"weight": 10}]},
            COMPARED,
            "rolledBack",
            ["Started", "Shadow", "RolledBack"],
        ),
        (
            "candidate: {latency: {median: 100ms}}",
            {"steps": [SHADOW, {"weight": 10}]},
            COMPARED,
            "rolledBack",
            ["Started", "Shadow", "RolledBack"],
        ),
        (
            "predictions: {candidate: {mean: 2}}",
            {"steps": [SHADOW, {"weight": 10}]},
            MODEL,
            "rolledBack",
            ["Started", "Shadow", "RolledBack"],
        ),
        (
            "",
            {"steps": [SHADOW, {"weight": 10}, {"weight": 50}]},
            COMPARED,
            "promoted",
            ["Started", "Shadow", "Weight", "Weight", "Promoted", "Completed"],
        ),
        ("", {"type": "BlueGreen"}, SERVED, "promoted", ["Started", "Promoted", "Completed"]),
        (
            "candidate: {errorRate: 60%}",
            {"type": "BlueGreen"},
            SERVED,
            "rolledBack",
            ["Started", "Promoted", "RolledBack"],
        ),
        (
            "gates: {evaluation: {result: fail, after: 3m}}",
            {"steps": [EVALUATION, {"weight": 10}]},
            SERVED,
            "rolledBack",
            ["Started", "Gate", "RolledBack"],
        ),
        ("gates: {evaluation: never}", {"steps": [EVALUATION, {"weight": 10}]}, SERVED, "open", ["Started", "Gate"]),
        ("gates: {evaluation: error}", {"steps": [EVALUATION, {"weight": 10}]}, SERVED, "open", ["Started", "Gate"]),
        (
            "gates: {approval: fail}",
            {"steps": [APPROVAL, {"weight": 10}]},
            SERVED,
            "rolledBack",
            ["Started", "Gate", "Aborted"],
        ),
    ],
)
def test_what_comes_of_every_strategy(told, strategy, analysis, outcome, told_moves):
    result = play(f"{told}\nhorizon: 1h", strategy=strategy, analysis=analysis)
    assert (result.outcome, moves(result)) == (outcome, told_moves), result.reason


ERRORS = {"preset": "traefik", "metrics": [{"name": "errors"}]}


def test_gates_pass_at_once_unless_the_scenario_says_more():
    strategy = {"steps": [EVALUATION, APPROVAL, {"weight": 50}]}
    at_once = play("", strategy=strategy, analysis=ERRORS)
    later = play("gates: {evaluation: {after: 5m}, approval: {after: 10m}}", strategy=strategy, analysis=ERRORS)
    assert moves(at_once) == moves(later)
    assert (later.first or 0.0) - (at_once.first or 0.0) == pytest.approx(900.0, abs=3.0)
    approved = next(told.move for told in later.moves if told.move.move == "Approved")
    assert approved.by == "the scenario"


def test_shadows_harm_nobody():
    result = play("candidate: {errorRate: 50%}", strategy={"steps": [SHADOW, {"weight": 10}]}, analysis=COMPARED)
    assert (result.outcome, result.excess) == ("rolledBack", 0.0)
    assert result.first is not None
    assert result.path == ()


def test_a_match_takes_the_share_that_the_scenario_says():
    strategy = {"steps": [MATCH, {"weight": 50}], "automation": {"promotion": "manual"}}
    few = play("matched: 3%\nhorizon: 20m", strategy=strategy, analysis=ERRORS)
    expected = play("horizon: 20m", strategy=strategy, analysis=ERRORS)
    assert [share for _, share in few.path] == [3.0]
    assert [share for _, share in expected.path] == [10.0]
    assert (few.outcome, moves(few)[-1]) == ("paused", "Awaiting")


@pytest.mark.parametrize(("rate", "outcome"), [("0.1%", "promoted"), ("5%", "rolledBack")])
def test_clients_are_weighed_as_requests_are(rate, outcome):
    sticky = {"steps": [{"weight": 10}, {"weight": 50}], "sticky": {"cookie": "uid", "endings": "Decimal"}}
    stage = prepare(rollout(strategy=sticky), scenario(f"{TRAFFIC}candidate: {{errorRate: {rate}}}"))
    (assumed,) = stage.assumed
    assert "every client sends cookie uid with an evenly spread ending" in assumed
    result = Run(stage, 0, 0).play()
    assert (result.outcome, result.broken) == (outcome, ())
    weights = [weight for _, weight in result.path]
    assert weights == ([10.0, 50.0, 100.0] if outcome == "promoted" else [10.0])


def test_a_match_without_matching_requests_waits():
    result = play("matched: 0%\nhorizon: 20m", strategy={"steps": [MATCH, {"weight": 50}]}, analysis=ERRORS)
    assert result.outcome == "open"
    assert "no request reached the candidate" in result.reason


def test_copies_that_nobody_counts_give_no_evidence():
    blind = {"shadow": {"percent": 50, "comparer": {"enabled": False}}}
    stage = prepare(rollout(strategy={"steps": [blind, {"weight": 50}]}), scenario(f"{TRAFFIC}horizon: 20m"))
    result = Run(stage, 0, 0).play()
    assert result.outcome == "open"
    assert "counted by nobody" in stage.assumed[0]


@pytest.mark.parametrize("surge", [0, 1, "50%", "100%"])
@pytest.mark.parametrize("kind", ["canary", "switch", "shadow"])
def test_small_surge_takes_pods_from_stable_and_breaks_no_rule(surge, kind):
    steps = {
        "canary": [{"weight": 25}, {"weight": 75}],
        "switch": [MATCH, {"switch": {}}],
        "shadow": [SHADOW, {"weight": 50}],
    }[kind]
    result = play("", strategy={"steps": steps, "surge": surge, "floor": 1}, analysis=ERRORS)
    assert result.outcome == "promoted", result.reason


def test_without_a_gateway_pods_make_the_shares():
    steps = {"steps": [{"weight": 20}, {"weight": 50}]}
    result = play("", strategy=steps, traffic={"service": {}}, analysis=ERRORS)
    assert result.outcome == "promoted", result.reason
    assert {share for _, share in result.path} >= {20.0, 50.0, 100.0}


def test_a_queued_template_begins_when_the_rollout_before_it_is_over():
    strategy = {"steps": [{"weight": 50}], "onNewTemplate": "Queue", "guard": {"duration": "1m"}}
    result = play("events: [{kind: newTemplate, at: 1m}]", strategy=strategy, analysis=ERRORS)
    assert moves(result) == [
        *("Started", "Weight", "Queued", "Promoted", "Completed"),
        *("Started", "Weight", "Promoted", "Completed"),
    ]
    assert result.outcome == "promoted"


def test_a_new_template_gets_a_comparer_of_its_own():
    strategy = {"steps": [SHADOW, {"weight": 50}], "minStepDuration": "2m"}
    told = "events: [{kind: newTemplate, at: 90s, candidate: {errorRate: 20%}}]"
    result = play(told, strategy=strategy, analysis=COMPARED)
    assert (result.outcome, moves(result)) == ("rolledBack", ["Started", "Shadow", "Started", "Shadow", "RolledBack"])


def test_an_operator_that_restarts_in_the_middle_of_a_shadow_or_gate_goes_on():
    events = ", ".join(f"{{kind: operatorRestart, at: {second}s}}" for second in range(10, 400, 30))
    strategy = {"steps": [EVALUATION, SHADOW, APPROVAL, {"weight": 50}]}
    gates = "gates: {evaluation: {after: 1m}, approval: {after: 1m}}"
    calm = play(gates, strategy=strategy, analysis=COMPARED)
    rough = play(f"{gates}\nevents: [{events}]", strategy=strategy, analysis=COMPARED)
    assert moves(calm) == moves(rough)


def test_a_schedule_holds_moves():
    freeze = {"freeze": [{"from": "11:00", "to": "14:00"}]}
    stage = prepare(
        rollout(strategy={"steps": [{"weight": 50}], "schedule": freeze}, analysis=ERRORS),
        scenario(f"{TRAFFIC}horizon: 4h"),
    )
    result = Run(stage, 0, 0).play()
    assert result.outcome == "promoted"
    assert 7100.0 < (result.first or 0.0) < 7300.0
    assert stage.assumed == ("the new template is applied at about Monday, 12:00 UTC",)


def test_a_gate_that_the_rollout_does_not_have_is_refused():
    with pytest.raises(InvalidScenario, match=r"gates\.audit: the rollout has no gate of that name \(evaluation\)"):
        prepare(rollout(strategy={"steps": [EVALUATION, {"weight": 10}]}), scenario(f"{TRAFFIC}gates: {{audit: fail}}"))


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("gates: {evaluation: perhaps}", "gates.evaluation.result: Input should be"),
        ("gates: {evaluation: {afterwards: 1m}}", "gates.evaluation.afterwards: unknown key"),
        ("matched: 300%", "matched: 3 is out of bounds"),
    ],
)
def test_wrong_gates_and_matches_are_refused_by_name(told, words):
    with pytest.raises(InvalidScenario) as refusal:
        scenario(TRAFFIC + told)
    assert words in str(refusal.value)


def test_reports_tell_of_shadows_and_of_what_is_assumed():
    one = simulate(rollout(strategy={"type": "Shadow"}, analysis=COMPARED), scenario(TRAFFIC), 4, 0, jobs=1)
    document = report_json.as_json(one, per_run=False)
    assert document["outcomes"] == {"promoted": 0, "rolledBack": 0, "paused": 0, "open": 0, "reported": 4}
    assert document["reported"]["median_s"] > 0.0
    assert document["bound_s"] is None
    assert "reported          4" in report_text.text(one)
    assert "reported" in report_html.page(one)
    gated = simulate(rollout(strategy={"steps": [EVALUATION, {"weight": 50}]}), scenario(TRAFFIC), 1, 0)
    assumed = "gates that the scenario says nothing of pass at once: evaluation"
    assert report_json.as_json(gated, per_run=False)["assumed"] == [assumed]
    assert f"assumed: {assumed}" in report_text.text(gated)
    assert assumed in report_html.page(gated)


STEPS = st.lists(
    st.sampled_from(
        [
            SHADOW,
            {"shadow": {"percent": 100, "comparer": {"enabled": False}}},
            MATCH,
            EVALUATION,
            APPROVAL,
            {"pause": {"duration": "30s"}},
        ]
    ),
    max_size=3,
)
WEIGHTS = st.lists(st.sampled_from([5, 20, 50, 80]), max_size=2, unique=True).map(sorted)
CHECKS = st.fixed_dictionaries(
    {"result": st.sampled_from(["pass", "pass", "fail", "error", "never"]), "after": st.sampled_from(["0s", "40s"])}
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    first=STEPS,
    weights=WEIGHTS,
    surge=st.sampled_from([0, 1, "100%"]),
    queue=st.sampled_from(["Replace", "Queue"]),
    rps=st.sampled_from([0, 20]),
    rate=st.sampled_from(["0.1%", "100%"]),
    check=CHECKS,
    events=st.lists(
        st.tuples(st.sampled_from(["operatorRestart", "newTemplate", "podRestart"]), st.integers(0, 500)), max_size=3
    ),
)
@pytest.mark.timeout(300)
def test_no_strategy_breaks_a_rule(first, weights, surge, queue, rps, rate, check, events):
    steps = [*first, *({"weight": weight} for weight in weights), {"switch": {}}]
    strategy = {"steps": steps, "surge": surge, "floor": 1, "onNewTemplate": queue, "minStepDuration": "30s"}
    gates = {"evaluation": EVALUATION, "approval": APPROVAL}
    told = {
        "horizon": "12m",
        "traffic": {"rps": rps},
        "candidate": {"errorRate": rate},
        "gates": {name: check for name, gate in gates.items() if gate in first},
        "events": [{"kind": kind, "at": f"{at}s"} for kind, at in events],
    }
    analysis = COMPARED if SHADOW in first else SERVED
    stage = prepare(rollout(strategy=strategy, analysis=analysis), Scenario.model_validate(told))
    result = Run(stage, 0, 0).play()
    assert result.broken == ()
    assert result.outcome in ("promoted", "rolledBack", "paused", "open")
