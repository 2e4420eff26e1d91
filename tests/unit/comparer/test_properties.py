"""What holds for every pair of answers."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelrollout.comparer.answers import Answer, End
from modelrollout.comparer.compare import compare
from modelrollout.comparer.paths import Paths
from modelrollout.comparer.rules import Rules
from tests.unit.comparer.answering import answer, binary, floats, protocol, tensor

numbers = st.floats(width=32) | st.integers(-(2**70), 2**70) | st.sampled_from([0.0, 10**400])
scalars = st.none() | st.booleans() | numbers | st.text(max_size=5)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=60,
)
rules = st.builds(
    Rules,
    mode=st.sampled_from(["auto", "exact", "json", "protocol"]),
    tolerance=st.floats(0.0, 10.0),
    relative_tolerance=st.floats(0.0, 1.0),
    top1=st.booleans(),
    paths=st.sampled_from([Paths(), Paths(["a", "$.b[*]"])]),
    ignore=st.sampled_from([Paths(), Paths(["c"])]),
)
outputs = st.lists(numbers | st.none(), max_size=40).map(lambda data: {"outputs": [tensor(data)]})
answers = st.one_of(
    documents.map(answer),
    outputs.map(answer),
    st.fixed_dictionaries({"predictions": st.lists(documents, max_size=5)}).map(answer),
    st.lists(st.floats(width=32), min_size=1, max_size=40).map(lambda v: binary(floats(*v), [len(v)], "FP32")),
    st.binary(max_size=30).map(answer),
    st.builds(lambda body, size: Answer(End.ANSWERED, 0.1, 200, body, "", size), st.binary(), st.integers(0, 40)),
)


@given(answers, rules)
@settings(max_examples=200, deadline=None)
def test_an_answer_agrees_with_itself(one: Answer, how: Rules) -> None:
    found = compare(one, one, how)
    assert found.agree
    assert found.rows == found.agreeing >= 1
    assert found.largest in (None, 0.0)


@given(answers, answers, rules)
@settings(max_examples=200, deadline=None)
def test_neither_side_is_favoured(one: Answer, other: Answer, how: Rules) -> None:
    found, back = compare(one, other, how), compare(other, one, how)
    assert found.agree == back.agree
    assert found.agree == (found.agreeing == found.rows)
    assert found.largest == back.largest
    if found.difference and back.difference:
        assert found.difference.kind is back.difference.kind


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-2.0, 2.0)), min_size=1, max_size=50), st.floats(0.01, 1.0))
@settings(max_examples=200, deadline=None)
def test_numbers_agree_within_the_tolerance_and_not_beyond(pairs: list[tuple[float, float]], tolerance: float) -> None:
    first = [value for value, _ in pairs]
    second = [value + by for value, by in pairs]
    largest = max(abs(a - b) for a, b in zip(first, second, strict=True))
    how = Rules(tolerance=tolerance)
    for one, other in (
        (protocol(tensor(first)), protocol(tensor(second))),
        (answer(first), answer(second)),
        (answer({"a": first}), answer({"a": second})),
    ):
        found = compare(one, other, how)
        assert found.agree == (largest <= tolerance)
        assert found.largest == largest


@given(documents, st.sampled_from(["a", "$.a", "$.a[*].b", "d"]))
@settings(max_examples=200, deadline=None)
def test_nothing_redacted_is_left(document: Any, path: str) -> None:
    paths = Paths([path])
    shown = paths.redacted(document)
    assert all(value == "[redacted]" for value in paths.found(shown).values())
    assert json.dumps(shown) == json.dumps(document) or paths.found(document)


@pytest.mark.parametrize("size", [31, 32, 33, 1000])
def test_few_and_many_numbers_are_compared_alike(size: int) -> None:
    first, second = [1.0] * size, [1.0] * (size - 1) + [1.5]
    found = compare(answer({"a": first}), answer({"a": second}), Rules())
    assert found.difference is not None
    assert found.difference.location == ("a", size - 1)
    assert found.largest == 0.5
