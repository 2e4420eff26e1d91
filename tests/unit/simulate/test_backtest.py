"""Recorded data through the judge: decisions, and what is said of data that cannot be used."""

import json

import pytest

from modelrollout.adapters.prometheus.presets import Presets
from modelrollout.backtest.recording import InvalidRecording, load
from modelrollout.backtest.replay import Decision, NoTrial, replay
from modelrollout.backtest.source import Trial, readings, record, texts
from tests.unit.simulate.rollouts import recording, rollout

PRESETS = Presets.installed()
SERVER = {"preset": "model-server"}
BAD = "traffic: {rps: 100}\nstable: {pods: 4}\ncandidate: {errorRate: 5%}\nhorizon: 20m"
GOOD = "traffic: {rps: 100}\nstable: {pods: 4}\nhorizon: 20m"


def decided(text: str, **changes: str) -> Decision:
    found = load(text)
    assert found.stable is not None
    trial = Trial(rollout(analysis=SERVER), found.stable, changes.get("candidate", found.candidate or ""), "default")
    return replay(trial, readings(trial, PRESETS, found), found.since)


def test_a_bad_version_would_have_been_rolled_back():
    decision = decided(recording(BAD))
    assert decision.outcome == "rolledBack"
    assert "errors worse" in decision.reason
    assert 0 < (decision.time or 0) - decision.first < 300


def test_a_good_version_would_have_been_promoted_weight_by_weight():
    decision = decided(recording(GOOD))
    assert decision.outcome == "promoted"
    assert [held.weight for held in decision.held] == [5, 10, 25, 50]
    assert all(held.safe is not None for held in decision.held)


def test_a_recording_reads_back_as_it_was_written():
    text = recording(BAD)
    found = load(text)
    again = load(found.as_json())
    assert again.answers == found.answers
    assert (again.start, again.end, again.step) == (found.start, found.end, found.step)
    assert found.step == 15


def test_bare_answers_at_the_top_will_do():
    raw = json.loads(recording(BAD))
    found = load(json.dumps({name: answer["data"]["result"] for name, answer in raw["metrics"].items()}))
    assert set(found.answers) == {"errors", "latency"}


def test_a_server_is_asked_in_pieces_that_join():
    recorded = load(recording(BAD))
    asked = []

    class Server:
        def query_range(self, query: str, start: int, end: int, step: int) -> list[object]:
            asked.append((start, end))
            name = "errors" if "requests_total" in query else "latency"
            assert step == recorded.step
            return [
                {"metric": one["metric"], "values": [v for v in one["values"] if start <= v[0] <= end]}
                for one in recorded.answers[name]
                if any(start <= v[0] <= end for v in one["values"])
            ]

    trial = Trial(rollout(analysis=SERVER), str(recorded.stable), str(recorded.candidate), "default")
    span = (recorded.start, recorded.start + 9000, 15)
    found = record(trial, PRESETS, Server(), span)
    assert len(asked) == 4
    assert found.answers["errors"] == recorded.answers["errors"]
    assert replay(trial, readings(trial, PRESETS, found), found.since).outcome == "rolledBack"


def test_revisions_that_take_no_traffic_are_no_trial():
    with pytest.raises(NoTrial, match="--candidate"):
        decided(recording(GOOD), candidate="nobody")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ("{}", "metrics: must hold an answer"),
        ('{"errors": {"status": "error"}}', "metrics.errors.status: is 'error'"),
        ('{"errors": {"data": {"resultType": "vector"}}}', "metrics.errors.data.resultType"),
        ('{"errors": 3}', "metrics.errors: must be a list of series"),
        ('{"errors": []}', "no answer has a sample"),
        ('{"errors": [{"metric": {}, "values": [[0, "1"], [15, "2"]]}], "step": "x"}', "step: is 'x'"),
    ],
)
def test_files_that_are_none_are_refused(text, words):
    with pytest.raises(InvalidRecording) as refusal:
        load(text)
    assert words in str(refusal.value)


def test_garbage_and_missing_metrics_are_named():
    raw = json.loads(recording(BAD))
    raw["metrics"]["errors"]["data"]["result"][0]["values"][3][1] = "many"
    with pytest.raises(InvalidRecording, match=r"metrics\.errors"):
        decided(json.dumps(raw))
    del raw["metrics"]["errors"]
    with pytest.raises(InvalidRecording, match=r"metrics\.errors: is missing"):
        decided(json.dumps(raw))


def test_own_queries_are_asked_once_or_for_each_side():
    metrics = [
        {"name": "errors"},
        {"name": "queue", "query": 'max(queue{namespace="{namespace}"})', "max": 5},
        {"name": "cost", "query": 'sum(cost{pod=~"{service}-.*"})'},
    ]
    trial = Trial(rollout(analysis={**SERVER, "metrics": metrics}), "one", "two", "ns")
    found = dict(texts(trial, PRESETS))
    assert set(found) == {"errors", "queue", "cost/stable", "cost/candidate"}
    assert found["queue"] == 'max(queue{namespace="ns"})'
    assert "fraud-two" in found["cost/candidate"]


AGREEING = {**SERVER, "metrics": [{"name": "errors"}, {"name": "latency"}, {"name": "agreement"}]}


@pytest.mark.parametrize(
    ("strategy", "words", "weights"),
    [
        (
            {"steps": [{"shadow": {}}, {"weight": 5}, {"weight": 10}, {"weight": 25}, {"weight": 50}]},
            ["shadow 10% is skipped: a recording of users' requests holds no copies of them"],
            [5, 10, 25, 50],
        ),
        (
            {"steps": [{"match": {"headers": {"x": "1"}}}, {"gate": {"approval": {}}}, {"weight": 50}]},
            [
                "match x=1 is skipped: its requests count as those of the nearest weight",
                "gate approval is skipped: nobody is asked",
            ],
            [50],
        ),
        ({"type": "BlueGreen"}, ["no step has a weight: safety is asked for all traffic at whatever"], None),
    ],
)
def test_steps_that_no_recording_tells_of_are_skipped_with_words(strategy, words, weights):
    found = load(recording(GOOD))
    spec = rollout(analysis=AGREEING if "shadow" in str(strategy) else SERVER, strategy=strategy)
    trial = Trial(spec, str(found.stable), str(found.candidate), "default")
    decision = replay(trial, readings(trial, PRESETS, found), found.since)
    assert [one[: len(word)] for one, word in zip(decision.skipped, words, strict=True)] == words
    assert decision.outcome == "promoted", decision.reason
    if weights is not None:
        assert [held.weight for held in decision.held] == weights
    assert not any(verdict.name.startswith(("shadow", "agreement")) for verdict in decision.verdicts)
