"""What a check answered: JSON with a verdict, a message and numbers, read with limits to all of them.

{"verdict": "Pass", "message": "AUC 0.93, no slice worse", "numbers": {"auc": 0.93}}
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

LONGEST: Final = 300
"""Characters of a message."""
MOST_NUMBERS: Final = 32
LONGEST_NAME: Final = 60

Word = Literal["Pass", "Fail", "Wait"]
_WORDS: Final[Mapping[str, Word]] = {"pass": "Pass", "warn": "Pass", "fail": "Fail", "wait": "Wait"}


@dataclass(frozen=True, slots=True)
class Said:
    """A verdict in the check's own words."""

    verdict: Word
    message: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)


def said(text: str | bytes) -> Said | None:
    """Return the verdict that a text holds; None for a text that is none."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    word = content.get("verdict") if isinstance(content, dict) else None
    verdict = _WORDS.get(word.lower()) if isinstance(word, str) else None
    if verdict is None:
        return None
    message = content.get("message")
    return Said(verdict, one_line(message) if isinstance(message, str) else "", _numbers(content.get("numbers")))


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return a text of somebody else as one line of bounded length."""
    words = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * longest]).split())
    return words if len(words) <= longest else words[: longest - 3] + "..."


def _numbers(found: Any) -> dict[str, float]:
    """Return the finite numbers among the values; what is none is left out, a broken number says nothing."""
    numbers: dict[str, float] = {}
    for name, value in found.items() if isinstance(found, dict) else ():
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            numbers[one_line(str(name), LONGEST_NAME)] = float(value)
    return dict(list(numbers.items())[:MOST_NUMBERS])
