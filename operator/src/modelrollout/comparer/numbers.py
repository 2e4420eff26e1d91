"""Comparing numbers, one by one or many at a time."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelrollout.comparer.rules import Rules

FEW: Final = 32
"""Up to so many numbers a plain loop is faster than arrays."""

Numbers = list[Any] | npt.NDArray[Any]
Array = npt.NDArray[Any]


def distance(one: float, other: float) -> float:
    """Return how far two numbers are apart: infinitely, where only one of them is finite or a number at all."""
    if one == other or (_is_nan(one) and _is_nan(other)):
        return 0.0
    try:
        apart = float(abs(one - other))
    except OverflowError:
        return math.inf
    return math.inf if math.isnan(apart) else apart


def too_far(apart: float, one: float, other: float, rules: Rules) -> bool:
    """Say whether two numbers are further apart than allowed; infinities allow nothing."""
    return apart > rules.tolerance and not apart <= rules.allowed(one, other) < math.inf


def compare(one: Numbers, other: Numbers, rules: Rules) -> tuple[float, Sequence[int]]:
    """Return the largest distance of equally many numbers, and the positions of those further apart than allowed."""
    if len(one) > FEW:
        try:
            return _compare_many(np.asarray(one), np.asarray(other), rules)
        except OverflowError:  # a whole number that no float can hold
            pass
    return _compare_few(one, other, rules)


def plain(values: Sequence[Any]) -> bool:
    """Say whether a list holds numbers only (truth values are none)."""
    return set(map(type, values)) <= {int, float}


def tops(one: Array, other: Array, rules: Rules) -> Sequence[int]:
    """Return the rows of two tables whose highest column is not the same.

    Columns that share the highest place within what is allowed are the same. Rows must have no NaN.
    """
    rows = np.arange(len(one))
    first, second = one.argmax(1), other.argmax(1)
    return np.flatnonzero(
        (one[rows, first] - one[rows, second] > _allowed(one[rows, first], one[rows, second], rules))
        | (other[rows, second] - other[rows, first] > _allowed(other[rows, second], other[rows, first], rules))
    ).tolist()


def _compare_few(one: Numbers, other: Numbers, rules: Rules) -> tuple[float, Sequence[int]]:
    largest, beyond = 0.0, []
    for at, (a, b) in enumerate(zip(_items(one), _items(other), strict=True)):
        apart = distance(a, b)
        largest = max(largest, apart)
        if too_far(apart, a, b, rules):
            beyond.append(at)
    return largest, beyond


def _compare_many(one: Array, other: Array, rules: Rules) -> tuple[float, Sequence[int]]:
    whole = one.dtype.kind in "iu" and other.dtype.kind in "iu"
    unequal = one != other
    one, other = one.astype(float), other.astype(float)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(one - other)
        if whole:
            # Large whole numbers that differ may be the same in floating point.
            apart[unequal & (apart < 1.0)] = 1.0
        apart[~unequal | (np.isnan(one) & np.isnan(other))] = 0.0
        apart[np.isnan(apart)] = np.inf
        allowed = _allowed(one, other, rules)
        beyond = ~((apart <= rules.tolerance) | ((apart <= allowed) & (allowed < np.inf)))
    return float(apart.max()), np.flatnonzero(beyond).tolist()


def _allowed(one: Array, other: Array, rules: Rules) -> Any:
    if not rules.relative_tolerance:
        return rules.tolerance
    return rules.tolerance + rules.relative_tolerance * np.maximum(np.abs(one), np.abs(other))


def _is_nan(value: float) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _items(values: Numbers) -> list[Any]:
    return values if isinstance(values, list) else values.tolist()
