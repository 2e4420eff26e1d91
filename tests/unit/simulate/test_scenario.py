"""The scenario file: what it may hold, and what is said where it may not."""

import pytest

from modelrollout.simulate.scenario import InvalidScenario, load
from tests.unit.simulate.rollouts import SCENARIOS

CONTRACT = """
name: five-x
horizon: 2h
scrapeInterval: 15s
traffic: {rps: 100}
stable:    {errorRate: 0.1%, latency: {median: 20ms, sigma: 0.6}, pods: 4}
candidate: {errorRate: [[0s, 0.1%], [10m, 0.1%], [10m1s, 0.5%]], latency: {median: 20ms, sigma: 0.6}}
clusterSize: 1
podStart: 20s
predictions: {stable: {mean: 0, sd: 1}, candidate: {mean: 0, sd: 1}}
shadow: {disagreement: 1%}
events:
  - {kind: incident, at: 10m, for: 2m, on: both, errorRate: 20%, latencyFactor: 3}
  - {kind: prometheusDown, at: 5m, for: 10m}
  - {kind: scrapeGap, at: 5m, for: 1m, on: candidate}
  - {kind: podRestart, at: 7m, on: candidate}
  - {kind: operatorRestart, at: 12m}
  - {kind: newTemplate, at: 20m, candidate: {errorRate: 0.1%}}
"""


def test_every_key_of_the_contract_is_read():
    found = load(CONTRACT, "file")
    assert found.name == "five-x"
    assert found.horizon == 7200.0
    assert found.candidate.error_rate.times == (0.0, 600.0, 601.0)
    assert [event.name for event in found.events] == [
        "incident",
        "prometheusDown",
        "scrapeGap",
        "podRestart",
        "operatorRestart",
        "newTemplate",
    ]
    assert found.events[0].on == "both"  # type: ignore[union-attr]


def test_everything_but_traffic_has_a_default_and_a_new_version_is_like_stable():
    found = load("traffic: {rps: 5}\nstable: {errorRate: 1%, latency: {median: 80ms}}", "quiet")
    assert found.name == "quiet"
    assert found.candidate.error_rate == found.stable.error_rate
    assert found.candidate.latency == found.stable.latency
    assert found.window == 15


def test_a_plain_number_is_a_fraction_or_seconds():
    found = load("traffic: {rps: 5}\nstable: {errorRate: 0.01, latency: {median: 0.08}}", "x")
    assert found.stable.error_rate.values == (0.01,)
    assert found.stable.latency.median.values == (0.08,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stable: {}", "traffic: is required"),
        ("traffic: {rps: 1}\nrps: 3", "rps: unknown key"),
        ("traffic: {rps: 1, x: 2}", "traffic.x: unknown key"),
        ("traffic: 3", "traffic: must be a mapping"),
        ("traffic: {rps: -1}", "traffic.rps: -1 is out of bounds"),
        ("traffic: {rps: .nan}", "traffic.rps"),
        ("traffic: {rps: 1}\ncandidate: {errorRate: 200%}", "candidate.errorRate: 2 is out of bounds"),
        ("traffic: {rps: 1}\ncandidate: {errorRate: [[5s, 1%], [1s, 1%]]}", "candidate.errorRate: the times"),
        ("traffic: {rps: 1}\ncandidate: {errorRate: [[5s]]}", "candidate.errorRate: must be a value or a list"),
        ("traffic: {rps: 1}\nhorizon: soon", "horizon: 'soon' is not a duration"),
        ("traffic: {rps: 1}\nhorizon: 9000h", "horizon"),
        ("traffic: {rps: 1}\nscrapeInterval: 500ms", "scrapeInterval: must be whole seconds"),
        ("traffic: {rps: 1}\nclusterSize: 0.5", "clusterSize: must be 1 or more"),
        ("traffic: {rps: 1}\nevents: [{kind: incident, at: 1m}]", "events[0].for: is required"),
        ("traffic: {rps: 1}\nevents: [{kind: podRestart, at: 1m, for: 2m}]", "events[0].for: unknown key"),
        ("traffic: {rps: 1}\nevents: [{kind: podRestart, at: 1m, on: gateway}]", "events[0].on"),
        ("traffic: {rps: 1}\nevents: [{kind: storm, at: 1m}]", "events[0]"),
        ("[1, 2]", "must be a mapping"),
        ("a: [", "not YAML"),
    ],
)
def test_what_cannot_be_played_is_refused_by_name(text, words):
    with pytest.raises(InvalidScenario) as refusal:
        load(text, "x")
    assert words in str(refusal.value)


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_are_named_after_their_files(path):
    assert load(path.read_text(encoding="utf-8"), "other").name == path.stem
