"""Quantities of a scenario as its file writes them: a number, or points with straight lines in between."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

from modelrollout.api.units import parse_duration, parse_percent

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """A quantity over time: straight between its points, level before the first and after the last."""

    times: tuple[float, ...]
    """Seconds after the new template was applied; never falling. Two equal times make a jump."""
    values: tuple[float, ...]

    def at(self, times: Floats) -> Floats:
        """Return the values at some times."""
        if len(self.values) == 1:
            return np.full(times.shape, self.values[0])
        return np.interp(times, self.times, self.values)


def level(value: float) -> Curve:
    """Return a quantity that never changes."""
    return Curve((0.0,), (value,))


def seconds(raw: object) -> float:
    """Read a duration as seconds: `20ms`, `10m1s`, or a plain number of seconds."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise ValueError(f"{raw!r} is not a duration; write for instance 30s, 10m or 20ms")
    value = parse_duration(raw).total_seconds() if isinstance(raw, str) else float(raw)
    return _bounded(value, 0.0, 1e7, "a duration", "30s")


def share(raw: object) -> float:
    """Read a rate as a fraction: `0.1%`, or a plain number from 0 to 1."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise ValueError(f"{raw!r} is not a rate; write for instance 0.1%")
    value = parse_percent(raw) if isinstance(raw, str) else float(raw)
    return _bounded(value, 0.0, 1.0, "a rate", "0.1% (a plain number is a fraction)")


def number(raw: object) -> float:
    """Read a plain number."""
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise ValueError(f"{raw!r} is not a number")
    return _bounded(float(raw), -1e9, 1e9, "a number", "1.5")


def not_negative(raw: object) -> float:
    """Read a plain number of 0 or more."""
    return _bounded(number(raw), 0.0, 1e7, "a number", "100")


def positive(raw: object) -> float:
    """Read a plain number above 0."""
    return _above(number(raw))


def some_seconds(raw: object) -> float:
    """Read a duration above 0, as seconds."""
    return _above(seconds(raw))


def _above(value: float) -> float:
    if value <= 0.0:
        raise ValueError("must be above 0")
    return value


def _bounded(value: float, low: float, high: float, what: str, example: str) -> float:
    if not low <= value <= high:
        raise ValueError(f"{value:g} is out of bounds for {what} ({low:g} to {high:g}); write for instance {example}")
    return value


def _curve(read: Callable[[object], float]) -> Callable[[Any], Curve]:
    def parse(raw: Any) -> Curve:
        if isinstance(raw, Curve):
            return raw
        if not isinstance(raw, list):
            return level(read(raw))
        if not raw or not all(isinstance(point, list) and len(point) == 2 for point in raw):
            raise ValueError("must be a value or a list of [time, value] points, for instance [[0s, 0.1%], [10m, 1%]]")
        times = tuple(seconds(point[0]) for point in raw)
        if any(later < earlier for earlier, later in pairwise(times)):
            raise ValueError("the times of the points must rise")
        return Curve(times, tuple(read(point[1]) for point in raw))

    return parse


Seconds = Annotated[float, BeforeValidator(seconds)]
SomeSeconds = Annotated[float, BeforeValidator(some_seconds)]
Share = Annotated[float, BeforeValidator(share)]
Positive = Annotated[float, BeforeValidator(positive)]
ShareCurve = Annotated[Curve, BeforeValidator(_curve(share))]
NumberCurve = Annotated[Curve, BeforeValidator(_curve(number))]
PositiveCurve = Annotated[Curve, BeforeValidator(_curve(positive))]
RateCurve = Annotated[Curve, BeforeValidator(_curve(not_negative))]
SecondsCurve = Annotated[Curve, BeforeValidator(_curve(some_seconds))]
