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
CONTAINER = {"name": "m", "image": "m:1", "ports": [{"containerPort": 8080}]}


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


def test_lint_refuses_a_gateways_errors_for_grpc(tmp_path):
    document = raw(analysis={"preset": "envoy-gateway", "metrics": [{"name": "errors"}, {"name": "latency"}]})
    document["spec"]["traffic"] = {"gatewayAPI": {"kind": "GRPCRoute", "parentRefs": [{"name": "public"}]}}
    found = json.loads(run("lint", "-f", write(tmp_path / "grpc.yaml", document), "-o", "json").stdout)
    assert [one["field"] for one in found["errors"]] == ["spec.analysis.preset"]
    assert "does not tell failed gRPC calls" in found["errors"][0]["message"]


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
            {"template": {"spec": {"containers": [{**CONTAINER, "image": "m:latest", "readinessProbe": {}}]}}},
            "spec.template.spec.containers[0].image",
        ),
        (
            {"template": {"spec": {"containers": [CONTAINER]}}},
            "spec.template.spec.containers[0]",
        ),
    ],
)
def test_lint_warns_of_what_is_risky(tmp_path, spec, field):
    found = run("lint", "-f", write(tmp_path / "risky.yaml", raw(**spec)), "-o", "json")
    assert found.exit_code == 0, found.output
    assert [one["field"] for one in json.loads(found.stdout)["warnings"]] == [field]


SHADOW = {"shadow": {"percent": 10}}
BLIND = {"shadow": {"percent": 10, "comparer": {"enabled": False}}}
AGREEMENT = {"preset": "traefik", "metrics": [{"name": "errors"}, {"name": "agreement"}]}


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        (
            {"strategy": {"steps": [BLIND, {"weight": 10}]}, "analysis": {"preset": "traefik"}},
            "spec.strategy.steps[0].shadow.comparer.enabled",
            "errors, latency give no evidence",
        ),
        (
            {"strategy": {"steps": [{"shadow": {"percent": 100}}, {"weight": 10}]}},
            "spec.strategy.steps[0].shadow.percent",
            "stable answers again",
        ),
        ({"strategy": {"surge": 0}}, "spec.strategy.floor", "stable shrinks to 1 of 2 pods"),
        ({"strategy": {"surge": 0, "floor": "100%"}}, "spec.strategy.surge", "leave no pod for a candidate"),
        ({"strategy": {"automation": {"rollback": "manual"}}}, "spec.strategy.automation.rollback", "runs abort"),
        (
            {"strategy": {"steps": [{"weight": 10, "automation": {"rollback": "manual"}}]}},
            "spec.strategy.steps[0].automation.rollback",
            "runs abort",
        ),
        ({"strategy": {"schedule": {"freeze": [{}]}}}, "spec.strategy.schedule", "the freeze never ends"),
        (
            {"strategy": {"type": "BlueGreen", "sticky": {"header": "x-user-id"}}},
            "spec.strategy.sticky",
            "nothing is split that clients could stay with",
        ),
        (
            {"strategy": {"type": "BlueGreen", "guard": {"duration": "0s"}}},
            "spec.strategy.guard.duration",
            "a switch sends all traffic at once",
        ),
    ],
)
def test_lint_warns_of_what_is_risky_in_every_strategy(tmp_path, spec, field, words):
    found = run("lint", "-f", write(tmp_path / "risky.yaml", raw(**spec)), "-o", "json")
    assert found.exit_code == 0, found.output
    (warning,) = json.loads(found.stdout)["warnings"]
    assert warning["field"] == field
    assert words in warning["message"]


@pytest.mark.parametrize(
    "spec",
    [
        {"strategy": {"steps": [SHADOW, {"weight": 10}]}, "analysis": AGREEMENT},
        {"strategy": {"steps": [BLIND, {"weight": 10}]}, "analysis": {"preset": "model-server"}},
        {"strategy": {"type": "BlueGreen", "schedule": {"freeze": [{"days": ["Fri"], "from": "16:00"}]}}},
        {"strategy": {"type": "Shadow"}},
        {"strategy": {"surge": 0, "floor": 1}},
    ],
)
def test_lint_finds_nothing_where_nothing_is_risky(tmp_path, spec):
    found = run("lint", "-f", write(tmp_path / "fine.yaml", raw(**spec)), "-o", "json")
    assert json.loads(found.stdout)["warnings"] == []


def test_lint_knows_when_too_few_requests_match(tmp_path):
    path = write(tmp_path / "ab.yaml", raw(strategy={"steps": [{"match": {"headers": {"x": "1"}, "share": 1}}]}))
    found = json.loads(run("lint", "-f", path, "--rps", "1", "-o", "json").stdout)
    assert any("1000 requests of each revision at match x=1 are 27h46m" in one["message"] for one in found["warnings"])


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


STEPS = [
    {"gate": {"name": "golden", "requests": {"configMap": "golden"}}},
    {"shadow": {"percent": 10}},
    {"match": {"headers": {"x-canary": "1"}}},
    {"gate": {"approval": {}}},
    {"weight": 20},
    {"pause": {"duration": "10m"}},
    {"switch": {}},
]


def test_plan_draws_every_kind_of_step(tmp_path):
    path = write(tmp_path / "all.yaml", raw(strategy={"steps": STEPS}))
    shown = run("plan", "-f", path)
    assert shown.exit_code == 0, shown.output
    for words in (
        "gate golden: sends golden requests ╌╌> candidate  2 pods",
        "comparer ╌┬╌> candidate  2 pods",
        "x-canary: 1 ─> candidate  2 pods  (about 10%)",
        "gate approval: asks a person: approve goes on",
        "└─── 20% ────> candidate  2 pods",
        "(waits 10m)",
        "users ─> gateway ───── 100% ───> promoted   2 pods",
        "whether gatewayAPI can do it is known in the cluster alone",
    ):
        assert words in shown.stdout
    assert "takes about" not in shown.stdout
    timed = run("plan", "-f", path, "--rps", 100)
    assert "a person goes on" in timed.stdout
    assert "not estimated: gate golden may take longer" in timed.stdout


def test_plan_for_programs_tells_the_traffic_of_every_step(tmp_path):
    path = write(tmp_path / "all.yaml", raw(strategy={"steps": STEPS}))
    found = json.loads(run("plan", "-f", path, "-o", "json").stdout)
    assert [step["kind"] for step in found["steps"]] == [next(iter(step)) for step in STEPS]
    golden, shadow, match, approval, weight, pause, switch = (step["traffic"] for step in found["steps"])
    assert golden["gate"] == {"kind": "requests", "name": "golden"}
    assert shadow["mirror"] == {"percent": 10, "to": "comparer"}
    assert match["match"] == {"requests": "x-canary: 1", "expected_percent": 10}
    assert approval["weights"] == {"stable": 100, "candidate": 0}
    assert weight["weights"] == pause["weights"] == {"stable": 80, "candidate": 20}
    assert switch["weights"] == {"previous": 0, "promoted": 100}
    assert switch["pods"] == {"previous": 2, "promoted": 2}
    assert found["steps"][3]["asks_a_person"] is True
    assert (found["rps"], found["until_promotion_s"], found["ends"]) == (None, None, "promotion")


def test_plan_of_a_shadow_ends_in_a_report(tmp_path):
    path = write(tmp_path / "shadow.yaml", raw(strategy={"type": "Shadow"}))
    assert "reported after about" in run("plan", "-f", path, "--rps", 50).stdout
    found = json.loads(run("plan", "-f", path, "--rps", 50, "-o", "json").stdout)
    assert (found["ends"], found["until_promotion_s"]) == ("report", None)
    assert found["until_end_s"] > 0.0


def test_plan_agrees_with_simulate_in_a_shadow_too(tmp_path):
    strategy = {"steps": [{"shadow": {"percent": 10}}, {"weight": 25}]}
    path = write(tmp_path / "shadow.yaml", raw(strategy=strategy))
    expected = json.loads(run("plan", "-f", path, "--rps", 50, "-o", "json").stdout)["until_promotion_s"]
    scenario = write(tmp_path / "s.yaml", {"traffic": {"rps": 50}, "horizon": "1h"})
    words = ("simulate", "-f", path, "-s", scenario, "--runs", 6, "--jobs", 1, "-o", "json")
    measured = json.loads(run(*words).stdout)["promoted"]["median_s"]
    assert 0.5 < measured / expected < 2.0


def test_a_weight_of_100_is_the_promotion(tmp_path):
    path = write(tmp_path / "whole.yaml", raw(strategy={"steps": [{"weight": 20}, {"weight": 100}]}))
    assert "nothing; this is the promotion" in run("plan", "-f", path, "--rps", 50).stdout
    last = json.loads(run("plan", "-f", path, "-o", "json").stdout)["steps"][1]
    assert (last["expected_s"], last["traffic"]["weights"]) == (0.0, {"previous": 0, "promoted": 100})


def test_plan_says_what_a_plain_service_cannot(tmp_path):
    path = write(tmp_path / "service.yaml", raw(traffic={"service": {}}, strategy={"steps": [{"weight": 5}]}))
    shown = run("plan", "-f", path).stdout
    assert "users ─> Service" in shown
    assert "not 5%, and so it is refused" in shown


def test_help_of_every_command_is_there():
    for command in ("simulate", "backtest", "lint", "plan"):
        assert run(command, "--help").exit_code == 0
