"""Every query that a preset can lead to is PromQL, by a parser that is not ours, and finds what it should."""

import re
from pathlib import Path

import promql_parser
import pytest

from modelrollout.adapters.prometheus.patterns import Subject
from modelrollout.adapters.prometheus.presets import KINDS, Presets
from modelrollout.adapters.prometheus.queries import Ask, plan_past, plan_queries
from modelrollout.ports import Key
from tests.unit.adapters.prometheus.asking import PRESETS, UNTIL, WINDOW

CASES = [(name, kind) for name in PRESETS.names for kind in PRESETS[name].measured]
HOSTILE = "a\"b'c\\d\n.*|$(e)"


def asks(count: int = 3) -> list[Ask]:
    return [
        Ask(
            Key("prod", f"model-{n}"),
            UNTIL - WINDOW,
            Subject("prod", f"model-{n}", "bcdfghjklm"),
            Subject("prod", f"model-{n}", "mlkjhgfdcb"),
        )
        for n in range(count)
    ]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_queries_of_presets_are_promql(name: str, kind: str) -> None:
    preset = PRESETS[name]
    source = preset.source_of(kind)
    queries = [*plan_queries(asks(), UNTIL, WINDOW, source.heft), *plan_past(asks(), WINDOW, source.heft)]
    assert {query.step for query in queries} == {WINDOW, 60}
    for query in queries:
        text = query.text(source, preset.shapes, {"segment": HOSTILE})
        parsed = promql_parser.parse(text)
        for selector in selectors(parsed):
            matchers = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
            assert matchers["segment"] == HOSTILE
            assert selector.name in source.names or matchers["__name__"] == "|".join(source.names)


def selectors(parsed: object) -> list[promql_parser.VectorSelector]:
    if isinstance(parsed, promql_parser.BinaryExpr):
        assert str(parsed.op) == "or"
        return [*selectors(parsed.lhs), *selectors(parsed.rhs)]
    assert isinstance(parsed, promql_parser.VectorSelector)
    return [parsed]


@pytest.mark.parametrize("name", PRESETS.names)
def test_every_preset_says_what_it_needs(name: str) -> None:
    preset = PRESETS[name]
    assert preset.about.endswith(".")
    assert preset.needs.endswith(".")
    assert preset.measured
    assert {"errors", "latency"} <= {*preset.measured, *preset.lacks}


def test_there_is_a_preset_for_each_source() -> None:
    assert set(PRESETS.names) == {
        "bentoml",
        "comparer",
        "envoy-gateway",
        "istio",
        "istio-gateway",
        "knative",
        "knative-otel",
        "kserve",
        "linkerd",
        "mlserver",
        "model-server",
        "nginx",
        "ray-serve",
        "seldon",
        "seldon2",
        "torchserve",
        "traefik",
        "traefik-crd",
        "triton",
        "vllm",
    }


DOCS = Path(__file__).parents[4] / "docs" / "signals.md"


def test_the_docs_name_every_preset() -> None:
    named = set(re.findall(r"^\| `([-a-z0-9]+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(PRESETS.names) <= named


def test_the_preset_in_the_docs_can_be_used() -> None:
    (text,) = re.findall(r"```yaml\n(name: mine.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert list(Presets({"x/mine.yaml": text})["mine"].measured) == list(KINDS)
