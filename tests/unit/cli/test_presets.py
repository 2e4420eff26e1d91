"""`presets`: what is known, and what a scripted Prometheus has of it."""

import json
import re
from collections.abc import Mapping
from typing import Any

import promql_parser
import pytest
from typer.testing import CliRunner, Result

from modelrollout.adapters.prometheus.presets import Presets
from modelrollout.cli.main import app
from tests.unit.adapters.prometheus.serving import Answer, Form, prometheus

Labels = Mapping[str, str]
POD = {"namespace": "prod", "pod": "fraud-bcdfghjklm-7d9f8b6c5-x2x41"}
FINE = ["0.001", "0.00125", "0.0016", "0.002", "0.0025", "0.003", "0.004", "0.005", "+Inf"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["presets", *arguments], env={"COLUMNS": "300"})


class Store:
    """Series that answer `count by` and `sum by` over one or more selectors, read by a real parser."""

    def __init__(self, *series: tuple[Labels, float]) -> None:
        self.series = series
        self.asked: list[str] = []

    def __call__(self, form: Form) -> Answer:
        self.asked.append(form["query"])
        parsed = promql_parser.parse(form["query"])
        assert isinstance(parsed, promql_parser.AggregateExpr)
        assert parsed.modifier is not None
        groups: dict[tuple[tuple[str, str], ...], list[float]] = {}
        for labels, value in self.series:
            if any(matches(selector, labels) for selector in selectors(parsed.expr)):
                key = tuple((name, labels[name]) for name in parsed.modifier.labels if labels.get(name))
                groups.setdefault(key, []).append(value)
        count = str(parsed.op) == "count"
        result = [
            {"metric": dict(key), "value": [1, str(len(values) if count else sum(values))]}
            for key, values in groups.items()
        ]
        return Answer(json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode())


def selectors(parsed: Any) -> list[promql_parser.VectorSelector]:
    return (
        [*selectors(parsed.lhs), *selectors(parsed.rhs)] if isinstance(parsed, promql_parser.BinaryExpr) else [parsed]
    )


def matches(selector: promql_parser.VectorSelector, labels: Labels) -> bool:
    return all(re.fullmatch(one.value, labels.get(one.name, "")) for one in selector.matchers.matchers)


def requests(**labels: str) -> tuple[Labels, float]:
    return {"__name__": "model_server_requests_total", "code": "200", **POD, **labels}, 5.0


def buckets(bounds: list[str], counts: list[float], **labels: str) -> list[tuple[Labels, float]]:
    name = "model_server_request_duration_seconds_bucket"
    return [({"__name__": name, "le": le, **POD, **labels}, n) for le, n in zip(bounds, counts, strict=True)]


def check(store: Store, *options: str, preset: str | None = "model-server") -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code and the findings by metric."""
    chosen = ["--preset", preset] if preset else []
    with prometheus(store) as fake:
        result = run("check", "--prometheus", fake.url, "--namespace", "prod", "-o", "json", *chosen, *options)
    assert result.exit_code in (0, 1), result.output
    (found,) = (one for one in json.loads(result.stdout)["presets"] if one["name"] == (preset or "model-server"))
    return result.exit_code, {metric["metric"]: metric for metric in found["metrics"]}


SIGNALS: list[tuple[Labels, float]] = [
    ({"__name__": "model_server_prediction_bucket", "le": "0.5", **POD}, 1),
    ({"__name__": "model_server_feature_bin_total", "feature": "age", "bin": "3", **POD}, 1),
    ({"__name__": "model_server_labels_total", "cohort": "1", "outcome": "right", **POD}, 1),
]


def test_everything_is_there() -> None:
    store = Store(requests(), requests(code="503"), *buckets(FINE, [float(k) for k in range(9)]), *SIGNALS)
    code, found = check(store, "--name", "fraud")
    assert code == 0
    assert {metric["state"] for metric in found.values()} == {"found"}
    assert found["errors"]["series"] == 2
    assert found["errors"]["labels"] == {"code": ["200", "503"]}
    assert found["latency"]["bounds"][:2] == [0.001, 0.00125]
    assert found["inputs"]["labels"] == {"feature": ["age"], "bin": ["3"]}


def test_what_is_missing_says_what_to_switch_on() -> None:
    code, found = check(Store(requests()))
    assert code == 1
    assert found["errors"]["state"] == "found"
    assert found["quality"]["state"] == "missing"
    assert "no series named model_server_labels_total. Send the truth back" in found["quality"]["advice"]


def test_series_of_somebody_else_are_shown() -> None:
    code, found = check(Store(requests(pod="churn-bcdfghjklm-7d9f8b6c5-x2x41")), "--name", "fraud")
    assert code == 1
    assert found["errors"]["state"] == "unmatched"
    assert found["errors"]["labels"] == {"pod": ["churn-bcdfghjklm-7d9f8b6c5-x2x41"]}


@pytest.mark.parametrize("label", ["pod", "code"])
def test_labels_that_relabelling_dropped(label: str) -> None:
    labels, value = requests()
    _, found = check(Store(({name: text for name, text in labels.items() if name != label}, value)))
    assert found["errors"]["state"] == "unlabelled"
    assert f"series without the label {label}" in found["errors"]["advice"]


@pytest.mark.parametrize(
    ("bounds", "counts", "state"),
    [
        (["0.1", "0.3", "1.2", "5", "+Inf"], [1, 1, 1, 1, 1], "coarse"),
        (["0.1", "0.3", "1.2", "5", "+Inf"], [990, 999, 1000, 1000, 1000], "coarse"),
        (FINE, [1, 2, 3, 4, 5, 6, 7, 8, 9], "found"),
        (FINE, [100, 300, 600, 800, 900, 950, 990, 1000, 1000], "found"),
        (FINE, [995, 999, 1000, 1000, 1000, 1000, 1000, 1000, 1000], "coarse"),
        (["+Inf"], [1], "found"),
    ],
)
def test_buckets_that_are_too_coarse(bounds: list[str], counts: list[float], state: str) -> None:
    _, found = check(Store(requests(), *buckets(bounds, counts)))
    assert found["latency"]["state"] == state
    assert ("too coarse" in found["latency"]["advice"]) == (state == "coarse")


def test_without_a_preset_one_complete_preset_is_enough() -> None:
    service = "httproute-prod-fraud-gw-g-svc-prod-fraud-bcdfghjklm-0@kubernetesgateway"
    histogram = [
        ({"__name__": "traefik_service_request_duration_seconds_bucket", "service": service, "le": le}, 1.0)
        for le in FINE
    ]
    store = Store(({"__name__": "traefik_service_requests_total", "service": service, "code": "200"}, 1.0), *histogram)
    with prometheus(store) as fake:
        result = run("check", "--prometheus", fake.url, "-n", "prod")
    assert result.exit_code == 0
    assert re.search(r"traefik +errors +found +1 +code: 200", result.output)
    assert "Nothing of: bentoml, " in result.output


def test_nobody_listens() -> None:
    result = run("check", "--prometheus", "http://reader:hunter2@127.0.0.1:1", "--namespace", "prod")
    assert result.exit_code == 3
    assert result.output == "error: Prometheus at 127.0.0.1:1: cannot connect (connection refused)\n"


def test_garbage_is_no_answer() -> None:
    body = b'{"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "NaN"]}]}}'
    with prometheus(lambda _: Answer(body)) as fake:
        result = run("check", "--prometheus", fake.url, "--namespace", "prod")
    assert result.exit_code == 3
    assert "'NaN' as the value of a counter" in result.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["check", "--prometheus", "http://x"], "Missing option '--namespace'"),
        (["check", "--namespace", "prod"], "Missing option '--prometheus'"),
        (["check", "--prometheus", "x", "--namespace", "prod"], "must look like http://prometheus:9090"),
        (["check", "--prometheus", "http://x", "--namespace", "P"], "is not a name"),
        (["check", "--prometheus", "http://x", "--namespace", "p", "--preset", "istoi"], "unknown preset 'istoi'"),
        (
            ["check", "--prometheus", "http://x", "--namespace", "p", "--prometheus-header", "Authorization=x"],
            "--prometheus-*: the header 'Authorization' cannot be set",
        ),
        (["show", "istoi"], "error: unknown preset 'istoi'; known: bentoml, "),
    ],
)
def test_wrong_arguments(arguments: list[str], text: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert text in result.output
    assert "spec." not in result.output


def test_list_and_show() -> None:
    names = Presets.installed().names
    listed = run("list")
    assert [line.split()[0] for line in listed.output.splitlines()[1:]] == names
    assert [one["name"] for one in json.loads(run("list", "-o", "json").output)] == names
    for name in ("nginx", "ray-serve", "model-server"):
        assert run("show", name).output.startswith(f"{name}: ")
        assert json.loads(run("show", name, "-o", "json").output)["name"] == name
    assert "latency: not measured; TorchServe exports only the mean" in run("show", "torchserve").output
