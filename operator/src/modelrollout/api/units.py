"""Quantities as users write them: durations (`90s`, `1h30m`) and percentages (`1%`, `0.02%`)."""

import re
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Final

from pydantic import AfterValidator, WithJsonSchema

DURATION_PATTERN: Final = r"^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$"
PERCENT_PATTERN: Final = r"^[0-9]{1,4}(\.[0-9]{1,6})?%$"

_DURATION = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?(?:([0-9]{1,6})ms)?")
_PERCENT = re.compile(r"[0-9]{1,4}(\.[0-9]{1,6})?%")


@lru_cache(1024)
def parse_duration(text: str) -> timedelta:
    """Read a duration such as `30s`, `10m` or `1h30m`.

    Raises ValueError, saying what a duration looks like, for anything else.
    """
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"{text!r} is not a duration; write for instance 30s, 10m or 1h30m")
    hours, minutes, seconds, millis = (int(part or 0) for part in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds, milliseconds=millis)


@lru_cache(1024)
def parse_percent(text: str) -> float:
    """Read a percentage such as `1%` as a fraction (0.01).

    Raises ValueError, saying what a percentage looks like, for anything else.
    """
    if not _PERCENT.fullmatch(text):
        raise ValueError(f"{text!r} is not a percentage; write for instance 1% or 0.02%")
    return float(text[:-1]) / 100.0


def format_duration(value: timedelta) -> str:
    """Write a duration for people: at most two units, never a fraction of a second."""
    seconds = max(0, round(value.total_seconds()))
    hours, rest = divmod(seconds, 3600)
    minutes, secs = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    if minutes:
        return f"{minutes}m{secs}s" if secs else f"{minutes}m"
    return f"{secs}s"


def _checked_duration(text: str) -> str:
    parse_duration(text)
    return text


def _checked_percent(text: str) -> str:
    parse_percent(text)
    return text


def percent_between(low: float, high: float, *, inclusive: bool = False) -> AfterValidator:
    """Demand a percentage above `low` and below `high` per cent (or up to it)."""

    def check(text: str) -> str:
        value = parse_percent(text) * 100.0
        if not low < value < high and not (inclusive and value == high):
            limit = "at most" if inclusive else "below"
            raise ValueError(f"must be above {low:g}% and {limit} {high:g}%, for instance 1%")
        return text

    return AfterValidator(check)


Duration = Annotated[
    str,
    AfterValidator(_checked_duration),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "minLength": 2, "maxLength": 20}),
]
Percent = Annotated[
    str,
    AfterValidator(_checked_percent),
    WithJsonSchema({"type": "string", "pattern": PERCENT_PATTERN, "maxLength": 12}),
]
