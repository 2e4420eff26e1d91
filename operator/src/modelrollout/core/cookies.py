"""Cookies as one pattern for the whole Cookie header: gateways match headers, and each header once.

The patterns are RE2's (Envoy, Istio, Traefik), which cannot look ahead: several cookies stand in any order, so every
order is spelled out. They are anchored, so it makes no difference whether a gateway searches or matches in full.
"""

import re
from collections.abc import Iterable
from itertools import permutations
from typing import Final

from modelrollout.core.split import Pairs

COOKIE: Final = "cookie"
"""The header."""
_BEGIN: Final = r"^(?:.*;\s*)?(?:"
_BETWEEN: Final = r"\s*;(?:.*;)?\s*"
_END: Final = r")\s*(?:;.*)?$"
_SPECIAL: Final = re.compile(r"([\\.+*?()|\[\]{}^$])")


def among_cookies(patterns: Iterable[str]) -> str:
    """Return the pattern of Cookie headers in which one of these stands where a cookie does: `name=value`."""
    return _BEGIN + "|".join(patterns) + _END


def literal(text: str) -> str:
    """Return the pattern of a text itself."""
    return _SPECIAL.sub(r"\\\1", text)


def cookie_pattern(cookies: Pairs) -> str:
    """Return the pattern of Cookie headers that carry all of these cookies; names and values are taken literally."""
    pairs = [literal(f"{name}={value}") for name, value in cookies]
    return among_cookies(_BETWEEN.join(order) for order in permutations(pairs))


def cookies_of(pattern: str) -> Pairs | None:
    """Return the cookies that a pattern was made of; None for one that was not made here."""
    first = re.split(r"(?<!\\)\|", pattern.removeprefix(_BEGIN).removesuffix(_END), maxsplit=1)[0]
    pairs = [re.sub(r"\\(.)", r"\1", part).partition("=") for part in first.split(_BETWEEN)]
    cookies = tuple((name, value) for name, _, value in pairs)
    return cookies if cookie_pattern(cookies) == pattern else None
