"""Laws of the simulation: no sequence of events breaks a rule, and processes change nothing."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelrollout.simulate.run import Run
from modelrollout.simulate.scenario import Scenario
from modelrollout.simulate.stage import prepare
from tests.unit.simulate.rollouts import rollout

SHORT = {"minStepDuration": "30s", "guard": {"duration": "1m"}, "steps": [{"weight": 10}, {"weight": 50}]}

moments = st.integers(0, 600).map(lambda second: f"{second}s")
lengths = st.integers(1, 200).map(lambda second: f"{second}s")
sides = st.sampled_from(["stable", "candidate", "both"])
rates = st.sampled_from(["0%", "0.1%", "5%", "100%"])
events = st.lists(
    st.one_of(
        st.fixed_dictionaries({"kind": st.just("incident"), "at": moments, "for": lengths, "on": sides}).flatmap(
            lambda event: rates.map(lambda rate: {**event, "errorRate": rate, "latencyFactor": 3})
        ),
        st.fixed_dictionaries({"kind": st.just("prometheusDown"), "at": moments, "for": lengths}),
        st.fixed_dictionaries({"kind": st.just("scrapeGap"), "at": moments, "for": lengths, "on": sides}),
        st.fixed_dictionaries({"kind": st.just("podRestart"), "at": moments, "on": sides}),
        st.fixed_dictionaries({"kind": st.just("operatorRestart"), "at": moments}),
        st.fixed_dictionaries({"kind": st.just("newTemplate"), "at": moments}).flatmap(
            lambda event: rates.map(lambda rate: {**event, "candidate": {"errorRate": rate}})
        ),
    ),
    max_size=6,
)
scenarios = st.fixed_dictionaries(
    {
        "horizon": st.just("15m"),
        "traffic": st.sampled_from([0, 0.5, 20, [["0s", 50], ["5m", 0]]]).map(lambda rps: {"rps": rps}),
        "candidate": rates.map(lambda rate: {"errorRate": rate}),
        "scrapeInterval": st.sampled_from(["5s", "15s", "60s"]),
        "podStart": st.sampled_from(["0s", "20s"]),
        "clusterSize": st.sampled_from([1, 5]),
        "events": events,
    }
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(raw=scenarios, seed=st.integers(0, 1000))
@pytest.mark.timeout(300)
def test_no_sequence_of_events_breaks_a_rule(raw, seed):
    stage = prepare(rollout(strategy=SHORT), Scenario.model_validate(raw))
    run = Run(stage, seed, 0)
    result = run.play()
    assert result.broken == ()
    assert result.outcome in ("promoted", "rolledBack", "paused", "open")
    for fleet in run.cluster.fleets.values():
        for batch in fleet.batches:
            assert (batch.held >= 0.0).all()
            assert (batch.held[:, :, :2].sum(axis=2) == batch.held[:, :, 1 + len(stage.shape.latency)]).all()


@settings(max_examples=8, deadline=None)
@given(raw=scenarios, seed=st.integers(0, 1000))
@pytest.mark.timeout(300)
def test_a_run_is_a_function_of_its_seed(raw, seed):
    stage = prepare(rollout(strategy=SHORT), Scenario.model_validate(raw))
    assert Run(stage, seed, 3).play() == Run(stage, seed, 3).play()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(raw=scenarios, seed=st.integers(0, 1000))
@pytest.mark.timeout(300)
def test_several_windows_at_one_look_are_as_good_as_a_look_at_each(raw, seed):
    longer = {**SHORT, "minStepDuration": "5m"}
    stage = prepare(rollout(strategy=longer), Scenario.model_validate({**raw, "horizon": "25m"}))
    at_once, one_by_one = Run(stage, seed, 0), Run(stage, seed, 0, record=True)
    assert at_once.play() == replace(one_by_one.play(), points=())
    assert at_once.random.bit_generator.state == one_by_one.random.bit_generator.state
