"""One series of a Prometheus answer, believed only as far as it can be a counter."""

import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, TypeVar

LARGEST: Final = 2.0**53
"""Above this a float no longer holds each whole number, and differences of counters mean nothing."""

_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_SIGNED: Final = re.compile(r"-?" + _NUMBER.pattern, re.ASCII)
_WHOLE: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_SHOWN: Final = 40

T = TypeVar("T")


class Garbage(ValueError):
    """An answer that cannot be what was asked for; the text says why."""


def labels_of(entry: object) -> Mapping[str, str]:
    """Return the labels of a series."""
    labels = entry.get("metric") if isinstance(entry, dict) else None
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise Garbage("a series without labels")
    return labels


def values_of(
    entry: object, position: Mapping[float, int], read: Callable[[object], float | None] | None = None
) -> tuple[float | None, ...]:
    """Return the value at each instant that was asked for, None where the series did not exist.

    `position` maps each instant (Unix seconds) to its place in the result; `read` makes a number of a sample's text,
    `counter` when left out.
    """
    return tuple(samples_of(entry, "values", position, read or counter))


def samples_of(
    entry: object, kind: str, position: Mapping[float, int], read: Callable[[object], T | None]
) -> list[T | None]:
    """Return what `read` makes of the sample at each instant that was asked for; None where there is none."""
    samples = entry.get(kind) if isinstance(entry, dict) else None
    if not isinstance(samples, list):
        raise Garbage(f"a series without {kind}")
    result: list[T | None] = [None] * len(position)
    seen: set[int] = set()
    for sample in samples:
        if not isinstance(sample, list) or len(sample) != 2:
            raise Garbage(f"a sample {shown(sample)}")
        place = position.get(sample[0]) if isinstance(sample[0], int | float) else None
        if place is None or place in seen:
            raise Garbage(f"a sample at {shown(sample[0])}, which was not asked for")
        seen.add(place)
        result[place] = read(sample[1])
    return result


def counter(value: object) -> float:
    """Return the value of a counter: finite, not negative, small enough to be exact."""
    number = float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else math.nan
    if not 0.0 <= number <= LARGEST:
        raise Garbage(f"{shown(value)} as the value of a counter")
    return number


def gauge(value: object) -> float | None:
    """Return a plain value; None where it is no number (0/0) or infinite (1/0): nothing can be concluded from it."""
    if value in ("NaN", "Inf", "+Inf", "-Inf"):
        return None
    number = float(value) if isinstance(value, str) and _SIGNED.fullmatch(value) else math.nan
    if not math.isfinite(number):
        raise Garbage(f"{shown(value)} as a value")
    return number


def whole(text: str, label: str) -> int:
    """Return the whole number that a label holds."""
    if not _WHOLE.fullmatch(text):
        raise Garbage(f"a series with {label}={shown(text)}, which is no whole number")
    return int(text)


def bound_of(text: str | None) -> float:
    """Return the bound of a bucket as its label `le` has it; it may be negative."""
    if text == "+Inf":
        return math.inf
    number = float(text) if text is not None and _SIGNED.fullmatch(text) else math.nan
    if not math.isfinite(number):
        raise Garbage(f"a bucket with le={shown(text)}")
    return number


@lru_cache(maxsize=4096)
def upper_bound(text: str | None, scale: float) -> float:
    """Return the bound of a bucket in seconds from its label `le`; `scale` is seconds in its unit."""
    bound = bound_of(text)
    if bound < 0.0:
        raise Garbage(f"a bucket with le={shown(text)}")
    return scaled(bound, scale)


def scaled(bound: float, scale: float) -> float:
    """Return a bound in seconds, rounded: 0.3 of Prometheus and 300 ms must be the same bound."""
    return float(f"{bound * scale:.12g}")


def shown(value: object) -> str:
    """Return a value for people, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
