"""Queries that users write: values stay values, one series a side, no number made up."""

import re
from typing import Any

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelrollout.adapters.prometheus.custom import Query, QueryTextError
from modelrollout.adapters.prometheus.patterns import Subject
from modelrollout.core.evidence.windows import Reading
from tests.unit.adapters.prometheus.asking import CANDIDATE, FRAUD, SINCE, STABLE, UNTIL, WINDOW, read, watched
from tests.unit.adapters.prometheus.serving import Answer, Form, matrix

COMPARED = {
    "name": "queue",
    "query": 'max(queue{pod=~"{service}-.+", ns="{namespace}"})',
    "maxIncrease": {"relative": "10%"},
}
LIMIT = {"name": "cost", "query": "sum(cost{name='{name}', c='{candidate}', s='{stable}'})", "max": 5}


def one(*values: object, **labels: str) -> dict[str, Any]:
    return {"metric": labels, "values": [[SINCE + WINDOW * k, value] for k, value in enumerate(values)]}


async def ask(metric: dict[str, Any], *answers: Answer) -> tuple[Reading, list[str]]:
    left = list(answers)
    readings, fake = await read(
        lambda _: left.pop(0) if len(left) > 1 else left[0], {FRAUD: watched(FRAUD, metric, preset="traefik")}
    )
    return readings[FRAUD][metric["name"]], [asked.form["query"] for asked in fake.asked]


async def test_a_query_with_service_is_asked_for_both_sides() -> None:
    found, asked = await ask(COMPARED, matrix(one("1.5", "-2")), matrix(one("3", "NaN")))
    assert asked == [
        f'max(queue{{pod=~"fraud-{STABLE}-.+", ns="prod"}})',
        f'max(queue{{pod=~"fraud-{CANDIDATE}-.+", ns="prod"}})',
    ]
    assert found.instants == (SINCE, UNTIL)
    assert [series.values for series in found.stable] == [(1.5, -2.0)]
    assert [series.values for series in found.candidate] == [(3.0, None)]


async def test_a_query_without_is_one_value() -> None:
    found, asked = await ask(LIMIT, matrix(one("1e-3", "+Inf")))
    assert asked == [f"sum(cost{{name='fraud', c='{CANDIDATE}', s='{STABLE}'}})"]
    assert found.stable == ()
    assert [series.values for series in found.candidate] == [(0.001, None)]


@pytest.mark.parametrize("answer", [matrix(), matrix(one("NaN", "NaN"))])
async def test_nothing_is_no_data(answer: Answer) -> None:
    found, _ = await ask(COMPARED, answer)
    assert found == Reading((SINCE, UNTIL))


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (matrix(one("1", pod="a"), one("2", pod="b"), one("2", pod="c")), "returned 3 series; aggregate it to one"),
        (matrix(one("1", "two")), "returned 'two' as a value"),
        (matrix(one(1, 2)), "returned 1 as a value"),
        (matrix({"metric": {}, "histograms": []}), "returned a series without values"),
        (Answer(b'{"status": "error", "error": "1:5: parse error"}', 400), "HTTP 400: 1:5: parse error"),
    ],
)
async def test_what_is_no_single_value_is_said(answer: Answer, fault: str) -> None:
    found, _ = await ask(LIMIT, answer)
    assert found.error is not None
    assert fault in found.error
    assert "'cost'" in found.error


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("up{service}", '{service} stands outside of a string literal; write it as in x="{service}"'),
        ("sum(up) by ({name})", "{name} stands outside"),
        ('up{a="{svc}"}', "unknown placeholder {svc}; known: namespace, name, service"),
        ('up{a="{name}}', "a string literal does not end"),
        ("up{a='x\n{name}'}", "a string literal does not end"),
    ],
)
def test_queries_that_are_not_asked(text: str, fault: str) -> None:
    with pytest.raises(QueryTextError, match=re.escape(fault)) as error:
        Query("cost", text)
    assert str(error.value).startswith("spec.analysis.metrics: the query of 'cost' cannot be asked: ")


async def test_a_query_that_cannot_be_asked_is_an_error_of_its_metric_alone() -> None:
    def respond(form: Form) -> Answer:
        return matrix()

    broken = {**LIMIT, "query": "cost{name} > '{name}'"}
    readings, _ = await read(respond, {FRAUD: watched(FRAUD, broken, "errors")})
    assert "stands outside" in (readings[FRAUD]["cost"].error or "")
    assert readings[FRAUD]["errors"].error is None


def test_comments_and_other_braces_stay_out_of_the_way() -> None:
    text = 'rate(x{a=~"[0-9]{3}", b="{name}"}[5m]) # {name} and "\n + 1'
    filled = Query("q", text).filled(Subject("ns", "m", "rev"), "s", "c")
    assert filled == 'rate(x{a=~"[0-9]{3}", b="m"}[5m]) \n + 1'


VALUE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda text: "\x00" not in text
)


@settings(max_examples=100)
@given(VALUE, VALUE, st.sampled_from(['"', "'"]), st.sampled_from(["=", "!=", "=~", "!~"]))
def test_no_value_breaks_out(namespace: str, name: str, quote: str, operator: str) -> None:
    text = f"sum(x{{a{operator}{quote}{{namespace}}{quote}, b{operator}{quote}{{name}}{quote}}})"
    filled = Query("q", text).filled(Subject(namespace, name, "rev"), "s", "c")
    parsed = promql_parser.parse(filled)
    assert isinstance(parsed, promql_parser.AggregateExpr)
    assert isinstance(parsed.expr, promql_parser.VectorSelector)
    values = [matcher.value for matcher in parsed.expr.matchers.matchers]
    if operator.endswith("~"):
        assert re.fullmatch(values[0], namespace)
        assert re.fullmatch(values[1], name)
    else:
        assert values == [namespace, name]
