"""What is compiled gives what its slower twin in Python gives, or says that it does not know."""

import json
import math
from array import array
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model_server import native
from model_server.codec import LARGE, Reader
from model_server.evaluators import forest
from model_server.metadata import Feature, Metadata, ModelError
from model_server.protocol import BadRequestError
from model_server.signals.drift import Drift
from tests.unit.model_server import models
from tests.unit.model_server.test_forms import shop

pytestmark = pytest.mark.skipif(native.library() is None, reason="no compiler when model-server was installed")


def scan(text: str, kinds: list[int], rows: int = 1, typecode: str = "d") -> list[float] | None:
    """Return the numbers of a text, or None when the compiled part does not know them."""
    values, columns = array(typecode, [0.0] * (rows * len(kinds))), array("i", kinds)
    done = native.function("scan", typecode)(
        text.encode(), rows, len(kinds), columns.buffer_info()[0], values.buffer_info()[0]
    )
    return list(values) if done else None


@settings(max_examples=200)
@given(st.floats(allow_nan=False, allow_infinity=False))
@example(5e-324)
@example(9007199254740993.0)
@example(-0.0)
def test_a_number_is_read_to_the_last_bit_or_not_at_all(value: float) -> None:
    for text in (repr(value), f"{value:.17g}", f"{value:.3f}", f"{value:.12e}"):
        found = scan(f"[{text}]", [0])
        assert found is None or found[0].hex() == float(text).hex()


@settings(max_examples=200)
@given(st.floats(0.001, 1e6))
def test_usual_numbers_are_known(value: float) -> None:
    for text in (repr(value), f"{value:.17g}", f"{value:.3f}", f"{-value!r}"):
        assert scan(f"[ {text}\n]", [0]) == [float(text)]
        assert scan(f"[{text}]", [0], typecode="f") == [float(np.float32(float(text)))]


@settings(max_examples=300)
@given(st.integers(0, 10**19 - 1), st.integers(0, 19))
def test_quotients_are_rounded_as_exact_ones_would_be(number: int, digits: int) -> None:
    text = f"{number:0{digits + 1}d}"
    text = f"{text[: len(text) - digits]}.{text[len(text) - digits :]}" if digits else text
    assert scan(f"[{text}]", [0]) == [float(text)]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "[",
            "[1",
            "[1]x",
            "[1,]",
            "[,1]",
            "[01]",
            "[+1]",
            "[1.]",
            "[.5]",
            "[1e]",
            "[1e+]",
            "[-]",
            "[--1]",
            "[0x1]",
        ),
        *(
            "[1 2]",
            "[1]]",
            "[[1]",
            "1",
            "[]",
            "[1,2]",
            "[[1],[2]]",
            "[NaN]",
            "[null]",
            "[nul]",
            "[true]",
            '["1"]',
            "[1e400]",
        ),
    ],
)
def test_what_is_no_list_of_one_number_is_left_to_others(text: str) -> None:
    assert scan(text, [0]) is None


def test_rows_flat_and_nested_with_gaps_and_categories() -> None:
    kinds = [0, 1, 2 * 3, 2 * 3 + 1]
    flat = "[1, null, 2, null,\n 2.5,3 ,0, 1]"
    for text in (flat, "[[1, null, 2, null], [2.5,3 ,0, 1] ]"):
        found = scan(text, kinds, 2)
        assert found
        np.testing.assert_array_equal(found, [1, math.nan, 2, math.nan, 2.5, 3, 0, 1])
    for wrong in ("[null,1,1,1]", "[1,1,3,1]", "[1,1,0.5,1]", "[1,1,-1,1]", "[1,1,null,1]", "[[1,1],[1,1]]"):
        assert scan(wrong, kinds) is None
    assert scan("[[1,2,0,1,2,2,0,1]]", kinds, 2) is None


def plain(reader: Reader) -> Reader:
    """Return the reader without its compiled part."""
    reader._scan = None
    return reader


VALUES = st.sampled_from([0, 1, 2, -1, 0.5, 1e-7, 1 / 3, 2**53 + 1, 1e22, 1e300, None, "de", True, "x"])


@settings(max_examples=200, deadline=None)
@given(st.lists(VALUES | st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=6), st.booleans())
def test_requests_are_read_alike_with_and_without_it(odd: list[Any], nested: bool) -> None:
    rows = [[0, 1.5, 2.25, 1] for _ in range(60)]
    for at, value in enumerate(odd):
        rows[at * 7][at % 4] = value
    data: Any = rows if nested else [value for row in rows for value in row]
    content = json.dumps(
        {"inputs": [{"name": "features", "shape": [60, 4], "datatype": "FP64", "data": data}]}
    ).encode()
    assert len(content) >= LARGE

    def outcome(reader: Reader) -> Any:
        try:
            request = reader.read(content)
        except BadRequestError as error:
            return str(error), error.kind, error.feature
        return request.values.tobytes(), request.rows, request.violations

    assert outcome(Reader(shop())) == outcome(plain(Reader(shop())))


@pytest.mark.parametrize("typecode", ["d", "f"])
def test_rows_are_counted_alike_with_and_without_it(typecode: str) -> None:
    features = (
        Feature(name="x", bins=(-1.0, 0.0, 0.5), missing=True),
        Feature(name="none"),
        Feature(name="c", kind="category", categories=("a", "b", "c"), missing=True),
    )
    rng = np.random.default_rng(2)
    rows = np.column_stack([rng.normal(size=900).round(1), rng.normal(size=900), rng.integers(0, 5, 900)])
    rows[rng.random(rows.shape) < 0.1] = np.nan
    counted = []
    for compiled in (True, False):
        drift = Drift(Metadata(format="trees", file="x", features=features), typecode, 2)
        assert drift._compiled.count
        if not compiled:
            drift._compiled.count = None
        for at in range(0, 900, 30):
            drift.observe(array(typecode, rows[at : at + 30].ravel().tolist()), 30, [0.25, 0.5] * 30)
        drift.observe(array(typecode, [1e38, 1e38 if typecode == "f" else 1e300, 2.0]), 1, [0.1, 0.2])
        counted.append({(s.name, *s.labels.values()): s.value for each in drift.collect() for s in each.samples})
    assert counted[0] == pytest.approx(counted[1], rel=1e-12)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 7, 8, 64])
@pytest.mark.parametrize("categories", [False, True], ids=["numbers", "categories"])
def test_rows_walked_together_give_what_each_gives_alone(rows: int, categories: bool) -> None:
    data, table, _ = models.lightgbm(8, "classes", {"objective": "multiclass", "num_class": 3}, categories=categories)
    evaluator = models.loaded(data, "lightgbm")
    for part in (table[:rows], np.nan_to_num(table[:rows])):
        together = models.answers(evaluator, part)
        alone = [models.answers(evaluator, part[at : at + 1])[0] for at in range(rows)]
        np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("old", [b"cat_boundaries=0 ", b"cat_threshold="])
def test_sets_of_categories_that_are_damaged_are_refused(old: bytes) -> None:
    data, _, _ = models.lightgbm(4, "binary", {"objective": "binary"}, categories=True)
    damaged = data.replace(old, b"cat_boundaries=0 99 " if old.startswith(b"cat_b") else b"cat_threshold=\nx=")
    assert damaged != data
    with pytest.raises(ModelError):
        forest.load(damaged, models.FEATURES)
