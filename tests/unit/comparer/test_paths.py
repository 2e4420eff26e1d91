"""JSON paths: what they name, and what is none."""

from typing import Any

import pytest

from modelrollout.comparer.paths import REDACTED, Location, Paths, written

DOCUMENT: dict[str, Any] = {"a": {"b": [1, {"c": 2}]}, "b": 3, "x y": {"c": 4}}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", {(): DOCUMENT}),
        ("$.b", {("b",): 3}),
        ("b", {("a", "b"): [1, {"c": 2}], ("b",): 3}),
        ("c", {("a", "b", 1, "c"): 2, ("x y", "c"): 4}),
        ("a.b", {("a", "b"): [1, {"c": 2}]}),
        ("$.a.b[0]", {("a", "b", 0): 1}),
        ("$.a.b[*].c", {("a", "b", 1, "c"): 2}),
        ("$.*.c", {("x y", "c"): 4}),
        ('$["x y"].c', {("x y", "c"): 4}),
        ("['x y']", {("x y",): {"c": 4}}),
        ("$.nothing", {}),
    ],
)
def test_a_path_names(path: str, expected: dict[Location, Any]) -> None:
    assert Paths([path]).found(DOCUMENT) == expected


@pytest.mark.parametrize("path", ["", "$.", "a..b", "a[", "a[x]", "$b", "a b", "a[-1]", "$(HOME)"])
def test_no_path(path: str) -> None:
    with pytest.raises(ValueError, match=r"is no JSON path; write for instance \$\.outputs"):
        Paths([path])


def test_what_is_named_is_replaced() -> None:
    found = Paths(["c", "$.b"]).redacted(DOCUMENT)
    assert found == {"a": {"b": [1, {"c": REDACTED}]}, "b": REDACTED, "x y": {"c": REDACTED}}
    assert DOCUMENT["b"] == 3


def test_places_are_written_as_paths() -> None:
    assert written(("outputs", 0, "data", 12)) == "$.outputs[0].data[12]"
    assert written(()) == "$"
