"""Whole runs: what comes of the examples, and what a run must never do."""

from dataclasses import replace

import pytest

from modelrollout.simulate.many import simulate
from modelrollout.simulate.run import Run
from modelrollout.simulate.scenario import InvalidScenario, load
from modelrollout.simulate.stage import prepare
from tests.unit.simulate.rollouts import SCENARIOS, rollout, scenario

SLOWLY = {"minStepDuration": "6m"}


@pytest.mark.parametrize(
    ("name", "outcome", "least"),
    [
        ("good", "promoted", 6),
        ("five-times-the-errors", "rolledBack", 5),
        ("broken", "rolledBack", 6),
        ("slow", "rolledBack", 6),
        ("slow-leak", "rolledBack", 6),
        ("shared-incident", "promoted", 5),
        ("prometheus-down", "promoted", 6),
        ("trouble", "promoted", 6),
        ("fixed-on-the-way", "promoted", 6),
        ("errors-in-batches", "promoted", 4),
        ("no-traffic", "open", 6),
    ],
)
def test_examples_end_as_they_say(name, outcome, least):
    found = load((SCENARIOS / f"{name}.yaml").read_text(encoding="utf-8"), name)
    strategy = SLOWLY if name == "slow-leak" else {}
    stage = prepare(rollout(strategy=strategy), found)
    results = [Run(stage, 11, number).play() for number in range(6)]
    assert [result.broken for result in results] == [()] * 6
    assert sum(result.outcome == outcome for result in results) >= least, [r.reason for r in results]


MODEL = {
    "preset": "model-server",
    "metrics": [
        {"name": "errors"},
        {"name": "predictions"},
        {"name": "inputs"},
        {"name": "agreement", "preset": "recorder"},
        {"name": "slo", "maxErrorRate": "5%"},
    ],
}


@pytest.mark.parametrize(
    ("text", "outcome", "blamed"),
    [
        ((SCENARIOS / "drift.yaml").read_text(encoding="utf-8"), "rolledBack", "predictions drifted"),
        ("traffic: {rps: 100}\nshadow: {disagreement: 10%}", "rolledBack", "agreement"),
        ("traffic: {rps: 100}", "promoted", ""),
    ],
)
def test_model_signals_are_simulated_too(text, outcome, blamed):
    result = Run(prepare(rollout(analysis=MODEL), load(text, "model")), 1, 0).play()
    assert (result.outcome, result.broken) == (outcome, ())
    assert blamed in result.reason


def test_a_metric_without_synthetic_data_is_left_out_and_named():
    queue = {"name": "queue", "query": 'max(queue{namespace="{namespace}"})', "max": 5}
    stage = prepare(
        rollout(analysis={"preset": "traefik", "metrics": [{"name": "errors"}, queue]}), scenario("traffic: {rps: 1}")
    )
    assert stage.left_out == ("queue",)
    with pytest.raises(InvalidScenario, match="queue"):
        prepare(rollout(analysis={"preset": "traefik", "metrics": [queue]}), scenario("traffic: {rps: 1}"))


def test_the_same_seed_gives_the_same_runs_whatever_the_number_of_processes():
    one, two = (
        simulate(rollout(), scenario("traffic: {rps: 50}\ncandidate: {errorRate: 1%}"), 8, 4, jobs=jobs).results
        for jobs in (1, 2)
    )
    assert one == two
    assert len({result.time for result in one}) > 1


def test_a_run_is_told_as_the_operator_tells_it():
    stage = prepare(rollout(), scenario("traffic: {rps: 100}\ncandidate: {errorRate: 20%}"))
    result = Run(stage, 0, 0, record=True).play()
    assert [told.move.move for told in result.moves][:2] == ["Started", "Weight"]
    assert result.moves[-1].move.move == "RolledBack"
    assert "errors worse than the tolerated increase" in result.reason
    assert result.weight == 0
    assert result.time == result.moves[-1].time - (result.first or 0.0)
    assert len(result.points) == result.windows


def test_times_begin_with_the_first_traffic_of_the_last_template():
    text = "traffic: {rps: 100}\nevents: [{kind: newTemplate, at: 3m}]"
    result = Run(prepare(rollout(), scenario(text)), 0, 0).play()
    assert result.outcome == "promoted"
    # The pods of the candidate that is given up make room first.
    assert 200.0 < (result.first or 0.0) < 215.0


def test_a_restarted_operator_goes_on_from_its_status():
    """Nothing is earned twice and nothing is lost: restarts every minute delay promotion by some windows at most."""
    events = ", ".join(f"{{kind: operatorRestart, at: {second}s}}" for second in range(50, 600, 60))
    calm, rough = (
        Run(prepare(rollout(), scenario(f"traffic: {{rps: 100}}\nevents: [{text}]")), 3, 0).play()
        for text in ("", events)
    )
    assert calm.outcome == rough.outcome == "promoted"
    assert rough.broken == ()
    assert (rough.time or 0.0) - (calm.time or 0.0) < 300.0


def test_a_timeout_that_asks_a_person_ends_paused():
    strategy = {"steps": [{"weight": 5, "maxDuration": "5m", "onTimeout": "Pause"}]}
    result = Run(prepare(rollout(strategy=strategy), scenario("traffic: {rps: 0.2}\nhorizon: 20m")), 0, 0).play()
    assert (result.outcome, result.time, result.weight) == ("paused", None, 5)


def test_harm_is_the_failures_beyond_what_stable_would_have_failed():
    stage = prepare(rollout(), scenario("traffic: {rps: 100}\ncandidate: {errorRate: 100%}\nhorizon: 10m"))
    result = Run(stage, 0, 0).play()
    assert result.outcome == "rolledBack"
    assert result.excess == pytest.approx(0.999 * 5.0 * ((result.time or 0.0) + 1.0), rel=0.05)


def text(name):
    return (SCENARIOS / f"{name}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "told",
    [
        *(text(name) for name in ("good", "slow-leak", "trouble", "slow")),
        "horizon: 3h\ntraffic: {rps: 20}",
        "horizon: 2h\ntraffic: {rps: [[0s, 100], [40m, 0.2]]}\ncandidate: {errorRate: [[0s, 0.1%], [50m, 3%]]}",
    ],
)
@pytest.mark.parametrize("sticky", [None, {"header": "x-user-id"}], ids=["requests", "clients"])
def test_looking_at_several_windows_at_once_changes_nothing(told, sticky):
    stage = prepare(rollout(strategy={"minStepDuration": "10m", "sticky": sticky}), scenario(told))
    for number in range(3):
        leaping, stepping = Run(stage, 3, number), Run(stage, 3, number, record=True)
        assert replace(stepping.play(), points=()) == leaping.play()
        assert leaping.random.bit_generator.state == stepping.random.bit_generator.state
