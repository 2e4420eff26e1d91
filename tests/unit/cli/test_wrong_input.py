"""What people type wrongly: each fault names object, field and remedy; no traceback, and the documented exit code."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from modelrollout import __version__
from modelrollout.cli.main import app
from tests.unit.cli.rollouts import rollout

STEPS = ("strategy", "steps")


def lint(folder: Path, *changes: tuple[tuple[str | int, ...], Any], options: tuple[str, ...] = ()) -> Result:
    """Lint the usual rollout, with fields of its spec given other values."""
    whole = rollout()
    container = whole["spec"]["template"]["spec"]["containers"][0]
    container["ports"] = [{"name": "http", "containerPort": 8080}]
    for place, value in changes:
        inner = whole["spec"]
        for part in place[:-1]:
            inner = inner.setdefault(part, {}) if isinstance(inner, dict) else inner[part]
        inner[place[-1]] = value
    file = folder / "rollout.yaml"
    file.write_text(yaml.safe_dump(whole), encoding="utf-8")
    return CliRunner().invoke(app, ["lint", "-f", str(file), *options])


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (
            ("replica",),
            3,
            "spec.replica: unknown field; did you mean replicas? see `kubectl explain modelrollout.spec`",
        ),
        (STEPS, [{"wieght": 5}], "spec.strategy.steps[0].wieght: unknown field; did you mean weight?"),
        (("traffic", "nginx"), {}, "spec.traffic.nginx: unknown field; take it out, or see"),
        (STEPS, [{"weight": 0}], "spec.strategy.steps[0].weight: must be at least 1, not 0"),
        (STEPS, [{"weight": 101}], "spec.strategy.steps[0].weight: must be at most 100, not 101"),
        (STEPS, [{"weight": "20%"}], "weight: must be a whole number, without quotes or a unit"),
        (STEPS, [{"weight": 5, "minDuration": 60}], "minDuration: must be a text: a number needs its unit, or quotes"),
        (STEPS, {"weight": 5}, "spec.strategy.steps: must be a list"),
        (("analysis",), [], "spec.analysis: must be an object"),
        (("strategy",), {"type": "canary"}, "spec.strategy.type: must be 'Canary', 'Shadow' or 'BlueGreen', not"),
        (("trackConfig",), "sometimes", "spec.trackConfig: must be true or false"),
        (("template", "spec", "containers", 0, "ports"), [], "containers[0].ports: no port to send requests to"),
        (("traffic", "port"), "web", "spec.traffic.port: no container of the template has a port named 'web'"),
        (
            ("analysis", "metrics"),
            [{"name": "errors"}, {"name": "queue", "query": "max(queue{pod={name}})", "max": 1}],
            "spec.analysis.metrics[1].query: the query of 'queue' cannot be asked: {name} stands outside of a string",
        ),
    ],
)
def test_a_fault_names_field_and_remedy(tmp_path: Path, place: tuple[str | int, ...], value: Any, said: str) -> None:
    result = lint(tmp_path, (place, value))
    assert result.exit_code == 2, result.output
    assert "ModelRollout fraud: " in result.output
    assert said in result.output
    found = json.loads(lint(tmp_path, (place, value), options=("-o", "json")).stdout)
    assert found["ok"] is False
    assert found["errors"]


@pytest.mark.parametrize(
    ("traffic", "strategy", "said"),
    [
        ({"service": {}}, {"steps": [{"weight": 7}]}, "(weight 7): router service cannot make up 7% of whole pods"),
        ({"service": {}}, {"type": "Shadow"}, "(shadow 10%): router service cannot mirror requests; remove the step"),
        ({"traefik": {}}, {"sticky": {"header": "x-user"}}, "spec.strategy.sticky: router traefik cannot match"),
        (
            {"gatewayAPI": {"parentRefs": [{"name": "public"}]}},
            {"sticky": {"issued": "revision"}},
            "spec.strategy.sticky.issued: router gatewayAPI issues no cookies",
        ),
    ],
)
def test_what_a_router_refuses_is_said_before_anything_is_applied(
    tmp_path: Path, traffic: Any, strategy: Any, said: str
) -> None:
    result = lint(tmp_path, (("traffic",), traffic), (("strategy",), strategy))
    assert result.exit_code == 2, result.output
    assert said in result.output


def test_a_file_that_cannot_be_read_is_a_finding_beside_those_of_other_files(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("kind: [", encoding="utf-8")
    others = ("-f", str(broken), "-f", str(tmp_path / "missing.yaml"))
    found = json.loads(lint(tmp_path, options=(*others, "-o", "json")).stdout)
    assert found["rollouts"] == ["fraud"]
    assert [Path(one["file"]).name for one in found["errors"]] == ["broken.yaml", "missing.yaml"]
    assert 'in "broken.yaml", line 1' in found["errors"][0]["message"]


@pytest.mark.parametrize("text", ["kind: [", "[]", "just words", "clusters: 5", "contexts: [{}]", "\x00"])
def test_a_kubeconfig_that_is_none_is_told_in_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(app, ["list", "--kubeconfig", str(file)])
    assert result.exit_code == 3, result.output
    assert result.stderr.startswith(f"error: kubeconfig {file}: ")
    assert result.stderr.count("\n") == 1


def test_the_version_is_an_option_too() -> None:
    for asked in ("--version", "version"):
        result = CliRunner().invoke(app, [asked])
        assert (result.exit_code, result.stdout) == (0, f"modelrollout {__version__}\n")
