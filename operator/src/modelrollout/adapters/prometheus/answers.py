"""One series of a Prometheus answer, believed only as far as it can be a counter."""

import math
import re
from collections.abc import Mapping
from typing import Final

LARGEST: Final = 2.0**53
"""Above this a float no longer holds each whole number, and differences of counters mean nothing."""

_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_SHOWN: Final = 40


class Garbage(ValueError):
    """An answer that cannot be what was asked for; the text says why."""


def labels_of(entry: object) -> Mapping[str, str]:
    """Return the labels of a series."""
    labels = entry.get("metric") if isinstance(entry, dict) else None
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise Garbage("a series without labels")
    return labels


def values_of(entry: object, position: Mapping[float, int]) -> tuple[float | None, ...]:
    """Return the value at each instant that was asked for, None where the series did not exist.

    `position` maps each instant (Unix seconds) to its place in the result.
    """
    samples = entry.get("values") if isinstance(entry, dict) else None
    if not isinstance(samples, list):
        raise Garbage("a series without values")
    result: list[float | None] = [None] * len(position)
    for sample in samples:
        if not isinstance(sample, list) or len(sample) != 2:
            raise Garbage(f"a sample {_short(sample)}")
        place = position.get(sample[0]) if isinstance(sample[0], int | float) else None
        if place is None or result[place] is not None:
            raise Garbage(f"a sample at {_short(sample[0])}, which was not asked for")
        result[place] = counter(sample[1])
    return tuple(result)


def counter(value: object) -> float:
    """Return the value of a counter: finite, not negative, small enough to be exact."""
    number = float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else math.nan
    if not 0.0 <= number <= LARGEST:
        raise Garbage(f"{_short(value)} as the value of a counter")
    return number


def upper_bound(text: str | None, scale: float) -> float:
    """Return the bound of a bucket in seconds from its label `le`; `scale` is seconds in its unit."""
    if text == "+Inf":
        return math.inf
    if text is None or not _NUMBER.fullmatch(text):
        raise Garbage(f"a bucket with le={_short(text)}")
    bound = float(text)
    if not math.isfinite(bound):
        raise Garbage(f"a bucket with le={_short(text)}")
    # Rounded: 0.3 of Prometheus and 300 ms must be the same bound.
    return float(f"{bound * scale:.12g}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
