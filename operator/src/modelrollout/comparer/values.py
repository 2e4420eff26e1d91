"""Comparing JSON documents."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from modelrollout.comparer import numbers
from modelrollout.comparer.paths import Location
from modelrollout.comparer.rules import Compared, Findings, Kind, Rules

MISSING: Final = object()
_ROWS: Final = "predictions"
_LABELS: Final = ("label", "class", "class_name", "name", "id")
_SCORES: Final = ("score", "probability", "confidence", "prob")


def compare(one: Any, other: Any, rules: Rules) -> Compared:
    """Compare two documents.

    A list at the root, or under `predictions`, holds rows. Raises RecursionError where they are nested too deeply.
    """
    walk = _Walk(rules)
    if rules.paths:
        first, second = rules.paths.found(one), rules.paths.found(other)
        for location in {**first, **second}:
            walk.one(first.get(location, MISSING), second.get(location, MISSING), location)
        return walk.findings.outcome()
    for location in ((), (_ROWS,)):
        first, second = _at(one, location), _at(other, location)
        if isinstance(first, list) and isinstance(second, list):
            return _rows(one, other, first, second, location, walk)
    walk.one(one, other, ())
    return walk.findings.outcome()


def _rows(  # noqa: PLR0913, PLR0917
    one: Any, other: Any, first: list[Any], second: list[Any], location: Location, walk: "_Walk"
) -> Compared:
    if location:
        walk.one({**one, _ROWS: None}, {**other, _ROWS: None}, ())
        if walk.findings.difference:
            walk.findings.bad_rows.update(range(len(first)))
    if walk.ignored(location):
        return walk.findings.outcome()
    if len(first) != len(second):
        walk.findings.differ(Kind.SHAPE, location)
        walk.findings.bad_rows.update(range(len(first)))
        return walk.findings.outcome(len(first))
    if first and numbers.plain(first) and numbers.plain(second) and not walk.rules.ignore:
        walk.findings.bad_rows.update(walk.numbers(first, second, location, rows=True))
        return walk.findings.outcome(len(first))
    for row, (a, b) in enumerate(zip(first, second, strict=True)):
        walk.findings.row = row
        walk.one(a, b, (*location, row))
    return walk.findings.outcome(len(first))


class _Walk:
    """Walks through two documents at once."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.findings = Findings()

    def ignored(self, location: Location) -> bool:
        return bool(self.rules.ignore) and self.rules.ignore.cover(location)

    def one(self, a: Any, b: Any, location: Location) -> None:
        """Compare two values."""
        if self.ignored(location):
            return
        if a is MISSING or b is MISSING:
            self.findings.differ(Kind.MISSING, location)
        elif isinstance(a, dict) and isinstance(b, dict):
            self._objects(a, b, location)
        elif isinstance(a, list) and isinstance(b, list):
            self._lists(a, b, location)
        elif _is_number(a) and _is_number(b):
            self._number(a, b, location)
        elif isinstance(a, dict | list) or isinstance(b, dict | list):
            self.findings.differ(Kind.SHAPE, location)
        elif type(a) is not type(b) or a != b:
            self.findings.differ(Kind.VALUE, location)

    def numbers(self, a: list[Any], b: list[Any], location: Location, *, rows: bool = False) -> Sequence[int]:
        """Compare equally many numbers, each of them a row or not; return the positions of those that differ."""
        largest, beyond = numbers.compare(a, b, self.rules)
        self.findings.apart(largest)
        if beyond:
            self.findings.row = beyond[0] if rows else self.findings.row
            self.findings.differ(Kind.VALUE, (*location, beyond[0]))
        return beyond

    def _number(self, a: float, b: float, location: Location) -> None:
        apart = numbers.distance(a, b)
        self.findings.apart(apart)
        if numbers.too_far(apart, a, b, self.rules):
            self.findings.differ(Kind.VALUE, location)

    def _objects(self, a: dict[str, Any], b: dict[str, Any], location: Location) -> None:
        if self._ranked(a, b, location):
            return
        for key in {**a, **b}:
            self.one(a.get(key, MISSING), b.get(key, MISSING), (*location, key))

    def _lists(self, a: list[Any], b: list[Any], location: Location) -> None:
        if self._ranked(a, b, location):
            return
        if len(a) != len(b):
            self.findings.differ(Kind.SHAPE, location)
        elif a and not self.rules.ignore and numbers.plain(a) and numbers.plain(b):
            self.numbers(a, b, location)
        else:
            for at, (first, second) in enumerate(zip(a, b, strict=True)):
                self.one(first, second, (*location, at))

    def _ranked(self, a: Any, b: Any, location: Location) -> bool:
        """Compare only the highest class where both are scores of classes; return whether they are."""
        if not self.rules.top1 or not (first := _scores(a)) or not (second := _scores(b)):
            return False
        if first.keys() == second.keys():
            one, other = np.array([list(first.values())], float), np.array([[second[key] for key in first]], float)
            same = not numbers.tops(one, other, self.rules)
        elif isinstance(a, list) and not isinstance(a[0], dict):
            return False  # another number of classes
        else:
            same = max(first, key=first.__getitem__) == max(second, key=second.__getitem__)
        if not same:
            self.findings.differ(Kind.VALUE, location)
        return True


def _scores(value: Any) -> dict[Any, float] | None:
    """Return the score of each class, where a value is scores of at least two classes."""
    scores: dict[Any, float] | None = None
    if isinstance(value, dict):
        scores = value
    elif value and isinstance(value[0], dict):
        scores = _labelled(value)
    elif isinstance(value, list):
        scores = dict(enumerate(value))
    if scores is None or len(scores) < 2 or not numbers.plain(list(scores.values())):
        return None
    try:
        return scores if all(map(math.isfinite, scores.values())) else None
    except OverflowError:
        return None


def _labelled(value: list[Any]) -> dict[Any, float] | None:
    """Read a list such as `[{"label": "cat", "score": 0.9}, ...]`."""
    label = next((key for key in _LABELS if key in value[0]), None)
    score = next((key for key in _SCORES if key in value[0]), None)
    found: dict[Any, float] = {}
    for each in value:
        if label is None or score is None or not isinstance(each, dict) or not isinstance(each.get(label), str | int):
            return None
        found[each[label]] = each.get(score)  # type: ignore[assignment]  # plain() looks at it
    return found if len(found) == len(value) else None


def _at(document: Any, location: Location) -> Any:
    for key in location:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
