"""Cookies as one pattern for the whole Cookie header: gateways match headers, and each header once.

The patterns are RE2's (Envoy, Istio, Traefik), which cannot look ahead: several cookies stand in any order, so every
order is spelled out. They are anchored, so it makes no difference whether a gateway searches or matches in full.
"""

import re
from itertools import permutations
from typing import Final

from modelrollout.core.split import Pairs

_BEGIN: Final = r"^(?:.*;\s*)?(?:"
_BETWEEN: Final = r"\s*;(?:.*;)?\s*"
_END: Final = r")\s*(?:;.*)?$"
_SPECIAL: Final = re.compile(r"([\\.+*?()|\[\]{}^$])")


def cookie_pattern(cookies: Pairs) -> str:
    """Return the pattern of Cookie headers that carry all of these cookies; names and values are taken literally."""
    pairs = [_SPECIAL.sub(r"\\\1", f"{name}={value}") for name, value in cookies]
    return _BEGIN + "|".join(_BETWEEN.join(order) for order in permutations(pairs)) + _END


def cookies_of(pattern: str) -> Pairs | None:
    """Return the cookies that a pattern was made of; None for one that was not made here."""
    first = re.split(r"(?<!\\)\|", pattern.removeprefix(_BEGIN).removesuffix(_END), maxsplit=1)[0]
    pairs = [re.sub(r"\\(.)", r"\1", part).partition("=") for part in first.split(_BETWEEN)]
    cookies = tuple((name, value) for name, _, value in pairs)
    return cookies if cookie_pattern(cookies) == pattern else None
