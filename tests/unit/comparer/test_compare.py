"""What agrees and what does not: a table for every way of comparing."""

# ruff: noqa: E501 - a line for each case

import math
from typing import Any

import pytest

from modelrollout.comparer.answers import Answer
from modelrollout.comparer.compare import compare
from modelrollout.comparer.paths import Paths
from modelrollout.comparer.rules import Rules
from tests.unit.comparer.answering import answer, binary, floats, protocol, tensor

DEFAULT = Rules()
WIDE = Rules(tolerance=0.1)
RELATIVE = Rules(tolerance=0.0, relative_tolerance=0.01)
TOP1 = Rules(top1=True)
EXACT = Rules(mode="exact")
JSON = Rules(mode="json")
MANY = [k / 7 for k in range(100)]
HUGE = 10**400
DEEP = b"[" * 100_000 + b"]" * 100_000


def verdict(one: Answer, other: Answer, rules: Rules) -> str:
    """Return `agree`, or kind and place of the difference; the same both ways round."""
    found, back = compare(one, other, rules), compare(other, one, rules)
    assert found.agree == back.agree
    if found.difference is None:
        assert found.agreeing == found.rows
        return "agree"
    assert back.difference is not None
    assert back.difference.kind is found.difference.kind
    return " ".join((found.difference.kind, *map(str, found.difference.location)))


@pytest.mark.parametrize(
    ("one", "other", "rules", "expected"),
    [
        # statuses
        (answer(1), answer(1, 201), DEFAULT, "status"),
        (answer({"error": "a"}, 400), answer({"error": "b"}, 400), DEFAULT, "agree"),
        (answer({"error": "a"}, 400), answer({"error": "b"}, 400), EXACT, "bytes"),
        (answer({"error": "a"}, 400), answer(1), DEFAULT, "status"),
        # bytes
        (answer(b"cat"), answer(b"cat"), DEFAULT, "agree"),
        (answer(b"cat"), answer(b"dog"), DEFAULT, "bytes"),
        (answer(b"cat"), answer({"a": 1}), DEFAULT, "bytes"),
        (answer(b'{"a": 1}'), answer(b'{"a":1}'), DEFAULT, "agree"),
        (answer(b'{"a": 1}'), answer(b'{"a":1}'), EXACT, "bytes"),
        (answer(b""), answer(b""), DEFAULT, "agree"),
        (answer(b"\xff{"), answer(b"\xff{"), DEFAULT, "agree"),
        (answer(DEEP), answer(DEEP), DEFAULT, "agree"),
        (answer(DEEP), answer(b"[]"), DEFAULT, "bytes"),
        # JSON
        (answer({"a": 1, "b": [True, None, "x"]}), answer({"b": [True, None, "x"], "a": 1.0}), DEFAULT, "agree"),
        (answer({"a": 0.5}), answer({"a": 0.5000005}), DEFAULT, "agree"),
        (answer({"a": 0.5}), answer({"a": 0.50001}), DEFAULT, "value a"),
        (answer({"a": 0.5}), answer({"a": 0.59}), WIDE, "agree"),
        (answer({"a": 1000}), answer({"a": 1009}), RELATIVE, "agree"),
        (answer({"a": 1000}), answer({"a": 1011}), RELATIVE, "value a"),
        (answer({"a": "x"}), answer({"a": "y"}), DEFAULT, "value a"),
        (answer({"a": True}), answer({"a": 1}), DEFAULT, "value a"),
        (answer({"a": None}), answer({"a": 1}), DEFAULT, "value a"),
        (answer({"a": 1}), answer({"a": {}}), DEFAULT, "shape a"),
        (answer({"a": 1}), answer({}), DEFAULT, "missing a"),
        (answer({"a": [1, 2]}), answer({"a": [1]}), DEFAULT, "shape a"),
        (answer({"a": [1, "x"]}), answer({"a": [1, "y"]}), DEFAULT, "value a 1"),
        (answer({"a": [1, 2]}), answer({"a": [1, 3]}), DEFAULT, "value a 1"),
        (answer({"a": 1, "b": 1}), answer({"a": 2}), DEFAULT, "missing b"),
        (answer({"a": MANY}), answer({"a": [*MANY[:-1], 9]}), DEFAULT, "value a 99"),
        (answer({"a": [HUGE]}), answer({"a": [HUGE]}), DEFAULT, "agree"),
        (answer({"a": [HUGE]}), answer({"a": [HUGE + 1]}), RELATIVE, "value a 0"),
        (answer({"a": [HUGE] * 40}), answer({"a": [HUGE] * 39 + [0.5]}), RELATIVE, "value a 39"),
        (answer(b'{"a": NaN}'), answer(b'{"a": NaN}'), DEFAULT, "agree"),
        (answer(b'{"a": NaN}'), answer(b'{"a": 1}'), DEFAULT, "value a"),
        (answer(b'{"a": Infinity}'), answer(b'{"a": Infinity}'), DEFAULT, "agree"),
        (answer(b'{"a": Infinity}'), answer(b'{"a": -Infinity}'), RELATIVE, "value a"),
        # only some of it
        (answer({"id": 1, "a": {"at": 3}}), answer({"id": 2, "a": {"at": 4}}), Rules(ignore=Paths(["id", "at"])), "agree"),
        (answer({"id": 1, "a": {"id": 3}}), answer({"id": 2, "a": {"id": 4}}), Rules(ignore=Paths(["$.id"])), "value a id"),
        (answer({"a": 1}), answer({}), Rules(ignore=Paths(["a"])), "agree"),
        (answer({"a": 1, "b": 2}), answer({"a": 1, "b": 3}), Rules(paths=Paths(["$.a"])), "agree"),
        (answer({"a": 1, "b": 2}), answer({"a": 1, "b": 3}), Rules(paths=Paths(["$.a", "b"])), "value b"),
        (answer({"a": 1}), answer({"b": 1}), Rules(paths=Paths(["$.a"])), "missing a"),
        (answer({"r": [{"s": 1}, {"s": 2}]}), answer({"r": [{"s": 1}, {"s": 3}]}), Rules(paths=Paths(["$.r[*].s"])), "value r 1 s"),
        # the highest class
        (answer({"a": [0.1, 0.9]}), answer({"a": [0.4, 0.6]}), TOP1, "agree"),
        (answer({"a": [0.1, 0.9]}), answer({"a": [0.6, 0.4]}), TOP1, "value a"),
        (answer({"a": [0.5, 0.5]}), answer({"a": [0.5, 0.4999999]}), TOP1, "agree"),
        (answer({"a": [0.1, 0.9]}), answer({"a": [0.1, 0.2, 0.7]}), TOP1, "shape a"),
        (answer({"a": {"cat": 0.9, "dog": 0.1}}), answer({"a": {"cat": 0.6, "dog": 0.4}}), TOP1, "agree"),
        (answer({"a": {"cat": 0.9, "dog": 0.1}}), answer({"a": {"cat": 0.3, "dog": 0.7}}), TOP1, "value a"),
        (
            answer([[{"label": "cat", "score": 0.9}, {"label": "dog", "score": 0.1}]]),
            answer([[{"label": "cat", "score": 0.5}, {"label": "cow", "score": 0.2}]]),
            TOP1,
            "agree",
        ),
        (
            answer([[{"label": "cat", "score": 0.9}, {"label": "dog", "score": 0.1}]]),
            answer([[{"label": "cow", "score": 0.5}, {"label": "cat", "score": 0.2}]]),
            TOP1,
            "value 0",
        ),
        (answer({"predictions": [[0.1, 0.9], [0.8, 0.2]]}), answer({"predictions": [[0.2, 0.8], [0.9, 0.1]]}), TOP1, "agree"),
        (answer({"predictions": [0.1, 0.9]}), answer({"predictions": [0.2, 0.8]}), TOP1, "value predictions 0"),
        (answer(b'{"a": [NaN, 1]}'), answer(b'{"a": [NaN, 2]}'), TOP1, "value a 1"),
        # the Open Inference Protocol
        (
            protocol(tensor([0.5]), id="1", model_version="1", parameters={"t": 1}),
            protocol(tensor([0.5000001]), id="2", model_version="2"),
            DEFAULT,
            "agree",
        ),
        (protocol(tensor([0.5]), id="1"), protocol(tensor([0.5]), id="2"), JSON, "value id"),
        (protocol(tensor([0.5])), protocol(tensor([0.6])), DEFAULT, "value outputs 0 data 0"),
        (protocol(tensor([0.5, 0.6])), protocol(tensor([0.5])), DEFAULT, "shape outputs 0"),
        (protocol(tensor([1, 2], [1, 2])), protocol(tensor([1, 2], [2, 1])), DEFAULT, "shape outputs 0"),
        (protocol(tensor([[1], [2]], [2, 1])), protocol(tensor([1, 2], [2, 1])), DEFAULT, "agree"),
        (protocol(tensor([1]), tensor([1], name="q")), protocol(tensor([1])), DEFAULT, "missing outputs 1"),
        (protocol(tensor([1]), tensor([2], name="q")), protocol(tensor([2], name="q"), tensor([1])), DEFAULT, "agree"),
        (protocol(tensor([1])), answer({"result": 1}), DEFAULT, "missing outputs"),
        (protocol(tensor(["a"], datatype="BYTES")), protocol(tensor(["b"], datatype="BYTES")), DEFAULT, "value outputs 0 data 0"),
        (protocol(tensor(["a"], datatype="BYTES")), protocol(tensor([1])), DEFAULT, "shape outputs 0"),
        (protocol(tensor([2**60], datatype="INT64")), protocol(tensor([2**60 + 1], datatype="INT64")), DEFAULT, "value outputs 0 data 0"),
        (protocol(tensor([2**60] * 50, datatype="INT64")), protocol(tensor([2**60 + 1] * 50, datatype="INT64")), WIDE, "value outputs 0 data 0"),
        (protocol(tensor(MANY)), protocol(tensor([k + 1e-7 for k in MANY])), DEFAULT, "agree"),
        (protocol(tensor(MANY)), protocol(tensor([*MANY[:98], 0, 0])), DEFAULT, "value outputs 0 data 98"),
        (protocol(tensor([None, 1.0])), protocol(tensor([None, 1.0])), DEFAULT, "agree"),
        (protocol(tensor([None, 1.0])), protocol(tensor([2.0, 1.0])), DEFAULT, "value outputs 0 data 0"),
        (protocol(tensor([1, 2], [5])), protocol(tensor([1, 2], [5])), DEFAULT, "agree"),
        (protocol(tensor([1, 2], [5])), protocol(tensor([1, 3], [5])), DEFAULT, "value outputs 0 data 1"),
        (protocol(tensor([])), protocol(tensor([])), DEFAULT, "agree"),
        (protocol(tensor([1]), tensor([1], name="q")), protocol(tensor([1]), tensor([2], name="q")), Rules(ignore=Paths(["q"])), "agree"),
        (protocol(tensor([1]), tensor([1], name="q")), protocol(tensor([1]), tensor([2], name="q")), Rules(ignore=Paths(["$.outputs[1]"])), "agree"),
        (protocol(tensor([1]), tensor([1], name="q")), protocol(tensor([1]), tensor([2], name="q")), Rules(paths=Paths(["$.outputs[0].data"])), "agree"),
        (protocol(tensor([0.1, 0.9], [1, 2])), protocol(tensor([0.3, 0.7], [1, 2])), TOP1, "agree"),
        (protocol(tensor([0.1, 0.9], [1, 2])), protocol(tensor([0.7, 0.3], [1, 2])), TOP1, "value outputs 0 data 0"),
        (protocol(tensor([0.1, 0.9])), protocol(tensor([0.3, 0.7])), TOP1, "value outputs 0 data 0"),
        # binary tensors
        (binary(floats(0.5), [1], "FP32"), binary(floats(0.5), [1], "FP32", "2"), DEFAULT, "agree"),
        (binary(floats(0.5), [1], "FP32"), binary(floats(0.6), [1], "FP32"), DEFAULT, "value outputs 0 data 0"),
        (binary(floats(0.5), [1], "FP32"), protocol(tensor([0.5])), DEFAULT, "agree"),
        (binary(floats(7, form="<i8"), [1], "INT64"), protocol(tensor([8], datatype="INT64")), DEFAULT, "value outputs 0 data 0"),
        (binary(b"\x01\x00", [2], "BOOL"), protocol(tensor([True, False], datatype="BOOL")), DEFAULT, "agree"),
        (binary(b"\x00\x3f", [1], "BF16"), protocol(tensor([0.5])), DEFAULT, "agree"),
        (binary(b"\x03\x00\x00\x00cat", [1], "BYTES"), protocol(tensor(["cat"], datatype="BYTES")), DEFAULT, "agree"),
        (binary(b"\x03\x00\x00\x00cat", [1], "BYTES"), protocol(tensor(["cow"], datatype="BYTES")), DEFAULT, "value outputs 0 data 0"),
        (binary(b"\x09\x00\x00\x00cat", [1], "BYTES"), binary(b"\x09\x00\x00\x00cat", [1], "BYTES"), DEFAULT, "agree"),
        (binary(b"12", [1], "FP32"), binary(b"13", [1], "FP32"), DEFAULT, "bytes"),
        (binary(b"12", [1], "WHAT"), binary(b"12", [1], "WHAT"), DEFAULT, "agree"),
    ],
)  # fmt: skip
def test_two_answers(one: Answer, other: Answer, rules: Rules, expected: str) -> None:
    assert verdict(one, other, rules) == expected


@pytest.mark.parametrize(
    ("one", "other", "rules", "rows"),
    [
        (protocol(tensor([1, 2, 3])), protocol(tensor([1, 2, 4])), DEFAULT, (3, 2)),
        (protocol(tensor([1, 2, 3, 4], [2, 2])), protocol(tensor([9, 9, 3, 4], [2, 2])), DEFAULT, (2, 1)),
        (protocol(tensor([0.1, 0.9, 0.1, 0.9], [2, 2])), protocol(tensor([0.9, 0.1, 0.2, 0.8], [2, 2])), TOP1, (2, 1)),
        (protocol(tensor([1, 2]), tensor([5, 6], name="q")), protocol(tensor([0, 2]), tensor([5, 0], name="q")), DEFAULT, (2, 0)),
        (protocol(tensor([1, 2])), protocol(tensor([1])), DEFAULT, (2, 0)),
        (protocol(tensor(MANY)), protocol(tensor([0, 0, *MANY[2:]])), DEFAULT, (100, 99)),
        (answer([1, 2, 3]), answer([1, 2, 4]), DEFAULT, (3, 2)),
        (answer([{"a": 1}, {"a": 2}]), answer([{"a": 1}, {"a": 3}]), DEFAULT, (2, 1)),
        (answer({"predictions": [[1], [2]]}), answer({"predictions": [[1], [3]]}), DEFAULT, (2, 1)),
        (answer({"predictions": [1, 2], "v": 1}), answer({"predictions": [1, 2], "v": 2}), DEFAULT, (2, 0)),
        (answer({"predictions": [1, 2]}), answer({"predictions": [1, 2, 3]}), DEFAULT, (2, 0)),
        (answer({"a": [1, 2]}), answer({"a": [1, 3]}), DEFAULT, (1, 0)),
        (answer(b"x"), answer(b"y"), DEFAULT, (1, 0)),
        (answer([]), answer([]), DEFAULT, (1, 1)),
    ],
)  # fmt: skip
def test_rows_are_counted(one: Answer, other: Answer, rules: Rules, rows: tuple[int, int]) -> None:
    found = compare(one, other, rules)
    assert (found.rows, found.agreeing) == rows
    assert found.agree == (found.rows == found.agreeing)


@pytest.mark.parametrize(
    ("one", "other", "largest"),
    [
        (answer({"a": 1, "b": [1, 5]}), answer({"a": 1.5, "b": [1, 3]}), 2.0),
        (answer({"a": 1}), answer({"a": 1}), 0.0),
        (answer({"a": "x"}), answer({"a": "y"}), None),
        (answer(b"x"), answer(b"y"), None),
        (answer(b'{"a": NaN}'), answer({"a": 1}), math.inf),
        (protocol(tensor(MANY)), protocol(tensor([k + 1e-3 for k in MANY])), 1e-3),
        (binary(floats(1, 2), [2], "FP32"), binary(floats(1, 4), [2], "FP32"), 2.0),
    ],
)
def test_the_largest_difference_is_told(one: Answer, other: Answer, largest: float | None) -> None:
    found: Any = compare(one, other, Rules(tolerance=1.0)).largest
    assert found == (largest if largest is None else pytest.approx(largest))
