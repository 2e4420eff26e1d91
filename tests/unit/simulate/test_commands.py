"""The commands that need no cluster: output, and exit codes that scripts can rely on."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from modelrollout.backtest.recording import load
from modelrollout.cli.main import app
from tests.unit.adapters.prometheus.serving import Answer, matrix, prometheus
from tests.unit.simulate.rollouts import EXAMPLES, raw, recording, write

CANARY = str(EXAMPLES / "canary.yaml")


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    return write(tmp_path / "quick.yaml", {"traffic": {"rps": 50}, "horizon": "5m", "candidate": {"errorRate": "50%"}})


def test_simulate_prints_json(quick):
    found = run("simulate", "-f", CANARY, "-s", quick, "--runs", 4, "--seed", 3, "--jobs", 1, "--per-run", "-o", "json")
    assert found.exit_code == 0, found.output
    document = json.loads(found.stdout)
    assert document["scenario"] == "quick"
    assert document["outcomes"]["rolledBack"] == 4
    assert len(document["per_run"]) == 4


@pytest.mark.parametrize(("form", "words"), [("text", "RolledBack"), ("html", "<!doctype html>")])
def test_simulate_tells_one_run(quick, form, words):
    found = run("simulate", "-f", CANARY, "-s", quick, "-o", form)
    assert found.exit_code == 0, found.output
    assert words in found.stdout


def test_bad_input_is_refused_with_file_field_and_reason(tmp_path, quick):
    unknown = write(tmp_path / "unknown.yaml", {"traffic": {"rps": 1, "burst": 3}})
    found = run("simulate", "-f", CANARY, "-s", unknown)
    assert found.exit_code == 2
    assert f"{unknown}: traffic.burst: unknown key" in found.stderr
    wrong = write(tmp_path / "wrong.yaml", raw(replicas=-1))
    found = run("simulate", "-f", wrong, "-s", quick)
    assert found.exit_code == 2
    assert f"{wrong}: ModelRollout fraud: spec.replicas" in found.stderr
    assert run("simulate", "-f", tmp_path / "none.yaml", "-s", quick).exit_code == 2
    assert run("simulate", "-f", quick, "-s", quick).exit_code == 2
    assert run("simulate", "-f", CANARY, "-s", quick, "--runs", 0).exit_code == 2


def test_backtest_of_a_file(tmp_path):
    data = tmp_path / "data.json"
    data.write_text(recording("traffic: {rps: 100}\nstable: {pods: 4}\ncandidate: {errorRate: 5%}\nhorizon: 10m"))
    rollout = write(tmp_path / "rollout.yaml", raw(analysis={"preset": "model-server"}))
    copy = tmp_path / "copy.json"
    found = run("backtest", "-f", rollout, "--data", data, "--save", copy, "-o", "json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["outcome"] == "rolledBack"
    again = run("backtest", "-f", rollout, "--data", copy)
    assert "would have been rolled back" in again.stdout
    assert "<!doctype html>" in run("backtest", "-f", rollout, "--data", data, "-o", "html").stdout


def test_backtest_of_a_server_saves_what_it_read(tmp_path):
    text = recording("traffic: {rps: 100}\nstable: {pods: 4}\ncandidate: {errorRate: 5%}\nhorizon: 10m")
    recorded = load(text)

    def respond(form: dict[str, str]) -> Answer:
        name = "errors" if "requests_total" in form["query"] else "latency"
        first, last = float(form["start"]), float(form["end"])
        series = (
            {"metric": one["metric"], "values": [v for v in one["values"] if first <= v[0] <= last]}
            for one in recorded.answers[name]
        )
        return matrix(*(one for one in series if one["values"]))

    rollout = write(tmp_path / "rollout.yaml", raw(analysis={"preset": "model-server"}))
    start, end = recorded.start, recorded.end
    words = ("--stable", recorded.stable, "--candidate", recorded.candidate, "--start", start, "--end", end)
    with prometheus(respond) as server:
        found = run("backtest", "-f", rollout, "--prometheus", server.url, *words, "--save", tmp_path / "copy.json")
    assert found.exit_code == 0, found.output
    assert "would have been rolled back" in found.stdout
    assert run("backtest", "-f", rollout, "--data", tmp_path / "copy.json").stdout == found.stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 2),
        (("--data", "/nonexistent/x.json"), 2),
        (("--prometheus", "http://127.0.0.1:9"), 2),
        (("--prometheus", "http://127.0.0.1:9", "--stable", "a", "--candidate", "b"), 2),
        (("--prometheus", "nowhere", "--stable", "a", "--candidate", "b", "--start", "1", "--end", "900"), 2),
        (
            ("--prometheus", "http://127.0.0.1:9", "--stable", "a", "--candidate", "b", "--start", "1", "--end", "900"),
            3,
        ),
    ],
)
def test_backtest_without_usable_data(words, code):
    found = run("backtest", "-f", CANARY, *words)
    assert found.exit_code == code, found.output
    assert found.stderr.startswith("error: ")


def test_backtest_logs_in_as_the_operator_does():
    words = ("--stable", "a", "--candidate", "b", "--start", "1", "--end", "900", "--prometheus-key-file", "tls.key")
    found = run("backtest", "-f", CANARY, "--prometheus", "https://127.0.0.1:9", *words)
    assert found.exit_code == 2
    assert found.stderr == "error: --prometheus-*: a client key needs its certificate\n"
    found = run("backtest", "-f", CANARY, "--prometheus", "https://127.0.0.1:9", *words, "--prometheus-cert-file", "x")
    assert found.exit_code == 3
    assert "there is no file x" in found.stderr


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("canary*.yaml")), ids=lambda path: path.stem)
def test_the_examples_pass_lint(path):
    found = run("lint", "-f", path, "-o", "json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["ok"] is True


def test_lint_says_where_and_what(tmp_path):
    document = raw(strategy={"steps": [{"weight": 50}, {"weight": 20}]})
    document["spec"]["replica"] = 3
    path = write(tmp_path / "bad.yaml", document)
    found = run("lint", "-f", path)
    assert found.exit_code == 2
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if text.startswith("  replica:"))
    assert f"error: {path}:{line}: ModelRollout fraud: spec.replica: unknown field" in found.stdout
    assert "rising weights" in found.stdout


def test_lint_reads_every_document_and_leaves_other_kinds_alone(tmp_path):
    path = tmp_path / "several.yaml"
    good, odd = raw(), raw()
    odd["apiVersion"] = "modelrollout.dev/v9"
    write(path, good)
    with path.open("a") as file:
        file.write("---\nkind: Service\nmetadata: {name: x}\n---\n")
        file.write(json.dumps(odd))
    found = json.loads(run("lint", "-f", path, "-o", "json").stdout)
    assert found["rollouts"] == ["fraud", "fraud"]
    assert [one["field"] for one in found["errors"]] == ["apiVersion"]


def test_lint_refuses_files_without_rollouts_and_presets_that_are_none(tmp_path):
    assert run("lint", "-f", write(tmp_path / "a.yaml", {"kind": "Service"})).exit_code == 2
    found = run("lint", "-f", write(tmp_path / "b.yaml", raw(analysis={"preset": "abacus"})))
    assert found.exit_code == 2
    assert "unknown preset 'abacus'" in found.stdout


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"replicas": 1}, "spec.replicas"),
        ({"strategy": {"minStepDuration": "20s"}}, "spec.strategy.minStepDuration"),
        ({"strategy": {"guard": {"duration": "0s"}}}, "spec.strategy.guard.duration"),
        ({"strategy": {"steps": [{"weight": 60}]}}, "spec.strategy.steps[0].weight"),
        (
            {"strategy": {"steps": [{"weight": 5, "maxDuration": "5m", "onTimeout": "Promote"}]}},
            "spec.strategy.steps[0].onTimeout",
        ),
        ({"analysis": {"preset": "traefik", "harmBudget": "10%"}}, "spec.analysis.harmBudget"),
        ({"analysis": {"preset": "traefik", "metrics": [{"name": "latency"}]}}, "spec.analysis.metrics"),
        (
            {
                "analysis": {
                    "preset": "traefik",
                    "metrics": [{"name": "errors", "maxIncrease": {"absolute": "0%", "relative": "1%"}}],
                }
            },
            "spec.analysis.metrics[0].maxIncrease",
        ),
        (
            {"template": {"spec": {"containers": [{"name": "m", "image": "m:latest", "readinessProbe": {}}]}}},
            "spec.template.spec.containers[0].image",
        ),
        (
            {"template": {"spec": {"containers": [{"name": "m", "image": "m:1"}]}}},
            "spec.template.spec.containers[0]",
        ),
    ],
)
def test_lint_warns_of_what_is_risky(tmp_path, spec, field):
    found = run("lint", "-f", write(tmp_path / "risky.yaml", raw(**spec)), "-o", "json")
    assert found.exit_code == 0, found.output
    assert [one["field"] for one in json.loads(found.stdout)["warnings"]] == [field]


def test_lint_knows_when_traffic_is_too_little(tmp_path):
    found = json.loads(run("lint", "-f", CANARY, "--rps", "0.01", "-o", "json").stdout)
    assert any("errors needs about" in one["message"] for one in found["warnings"])
    assert run("lint", "-f", CANARY, "--rps", "0").exit_code == 2


def test_plan_says_what_each_step_takes():
    found = run("plan", "-f", CANARY, "--rps", 20, "-o", "json")
    assert found.exit_code == 0, found.output
    document = json.loads(found.stdout)
    assert [step["weight"] for step in document["steps"]] == [5, 10, 25, 50]
    margins = [step["needs"][0]["margin"] for step in document["steps"]]
    assert margins == sorted(margins, reverse=True)
    waits = [step["expected_s"] for step in document["steps"]]
    assert document["until_promotion_s"] == pytest.approx(sum(waits), abs=0.5)
    assert all(wait >= 60.0 for wait in waits)
    slow = json.loads(run("plan", "-f", CANARY, "--rps", 1, "-o", "json").stdout)
    assert slow["until_promotion_s"] > document["until_promotion_s"]
    assert "promoted after about" in run("plan", "-f", CANARY, "--rps", 20).stdout


def test_plan_agrees_with_simulate(tmp_path):
    """What a good version is expected to take, and what the median of runs took."""
    expected = json.loads(run("plan", "-f", CANARY, "--rps", 20, "-o", "json").stdout)["until_promotion_s"]
    scenario = write(tmp_path / "s.yaml", {"traffic": {"rps": 20}, "horizon": "1h"})
    words = ("simulate", "-f", CANARY, "-s", scenario, "--runs", 10, "--jobs", 1, "-o", "json")
    measured = json.loads(run(*words).stdout)["promoted"]["median_s"]
    assert 0.5 < measured / expected < 2.0


def test_plan_without_traffic_or_with_a_person_has_no_end(tmp_path):
    assert json.loads(run("plan", "-f", CANARY, "--rps", 0, "-o", "json").stdout)["until_promotion_s"] is None
    asks = write(tmp_path / "asks.yaml", raw(strategy={"steps": [{"weight": 5}, {"pause": {}}]}))
    assert "a person goes on" in run("plan", "-f", asks, "--rps", 20).stdout
    assert run("plan", "-f", CANARY, "--rps", 20, "--error-rate", "many").exit_code == 2


def test_help_of_every_command_is_there():
    for command in ("simulate", "backtest", "lint", "plan"):
        assert run(command, "--help").exit_code == 0
