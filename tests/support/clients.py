"""Clients of a route: what they send, and which of them a match takes."""

import random
import re
import string
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from modelrollout.core.split import Matched

Headers = Mapping[str, str]
"""A request's headers, by name in lower case."""

ALPHABETS: Final = {
    "Hex": string.hexdigits,
    "Decimal": string.digits,
    "Alphanumeric": string.digits + string.ascii_letters,
    "Base64URL": string.digits + string.ascii_letters + "-_",
}
"""What keys are made of, by `strategy.sticky.endings`."""


def takes(matched: Matched, headers: Headers) -> bool:
    """Say whether a request carries all that a match asks for, as a gateway reads it."""
    exact = all(headers.get(name.lower()) == value for name, value in matched.headers)
    sent = headers.get("cookie", "").split("; ")
    cookies = all(f"{name}={value}" in sent for name, value in matched.cookies)
    patterns = all(fits(pattern, headers.get(name.lower())) for name, pattern in matched.patterns)
    return exact and cookies and patterns


def fits(pattern: str, value: str | None) -> bool:
    """Say whether a header's value matches a pattern, to gateways that search and to those that match in full."""
    searched = value is not None and re.search(pattern, value) is not None
    assert searched is (value is not None and re.fullmatch(pattern, value) is not None)
    return searched


def keyed(name: str, key: str, *, cookie: bool) -> Headers:
    """Return what a client sends that has a key: a header, or a cookie among others."""
    return {"cookie": f"theme=dark; {name}={key}; x{name}=00"} if cookie else {name.lower(): key}


def population(size: int, endings: str, seed: int = 0) -> list[str]:
    """Return random keys."""
    dice = random.Random(seed)  # noqa: S311 - a simulation
    return ["".join(dice.choices(ALPHABETS[endings], k=12)) for _ in range(size)]


@lru_cache(maxsize=256)
def taken(matched: Matched, clients: tuple[tuple[tuple[str, str], ...], ...]) -> frozenset[int]:
    """Return the places of the clients, each as pairs of what it sends, that a match takes."""
    return frozenset(place for place, sent in enumerate(clients) if takes(matched, dict(sent)))


def pairs(clients: Iterable[Headers]) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Return clients as plain values."""
    return tuple(tuple(sorted(sent.items())) for sent in clients)
