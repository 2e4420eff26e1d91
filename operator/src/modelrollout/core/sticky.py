"""A split that clients keep, by the last two characters of a key that they send: an id of a user, a device, a session.

No gateway weighs by a hash, but all of them match headers by a pattern. Keys whose ends are evenly spread are their
own hash: each pair of characters is a bucket, and the candidate gets as many of the buckets as its weight asks for. A
revision says where to begin, so that it is not always the same clients who go first, and the set only grows with the
weight: nobody who has the candidate goes back to stable but by a rollback.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Final

from modelrollout.api.spec import Spec
from modelrollout.api.strategy import Sticky
from modelrollout.core.cookies import COOKIE, among_cookies, literal
from modelrollout.core.split import Pairs

Symbols = tuple[str, ...]
"""The digits of an ending in their order; the characters of one count the same."""

SYMBOLS: Final[Mapping[str, Symbols]] = {
    "Hex": (*digits, "aA", "bB", "cC", "dD", "eE", "fF"),
    "Decimal": tuple(digits),
    "Alphanumeric": (*digits, *ascii_lowercase, *ascii_uppercase),
    "Base64URL": (*digits, *ascii_lowercase, *ascii_uppercase, "-", "_"),
}
"""What keys may end in, by `strategy.sticky.endings`."""


def by_key(spec: Spec) -> Sticky | None:
    """Return what clients are told apart by where weights are made up of clients; None where of requests."""
    sticky = spec.strategy.sticky
    return sticky if sticky is not None and sticky.issued is None else None


def named(key: Sticky) -> str:
    """Return the key in words: `header x-user-id`."""
    return f"header {key.header}" if key.header is not None else f"cookie {key.cookie}"


def patterns(sticky: Sticky, weight: int, revision: str) -> Pairs:
    """Return the header to look at, and the pattern of its values that get a revision at a weight of 1 to 99.

    The pattern is RE2's, and anchored: it makes no difference whether a gateway searches or matches in full. A request
    without the header, or with a key that ends in anything else, does not match.
    """
    return (_pattern(sticky.header, sticky.cookie or "", sticky.endings, weight, revision),)


def weight_of(sticky: Sticky, revision: str, found: Pairs) -> int:
    """Return the weight of which these are the patterns; 0 where they are of none."""
    return next((weight for weight in range(1, 100) if patterns(sticky, weight, revision) == found), 0)


def buckets(endings: str, weight: int) -> int:
    """Return how many buckets a weight of 1 to 99 is: one more for each per cent at least, and never all."""
    return (len(SYMBOLS[endings]) ** 2 * weight + 50) // 100


@lru_cache(maxsize=4096)
def _pattern(header: str | None, cookie: str, endings: str, weight: int, revision: str) -> tuple[str, str]:
    symbols = SYMBOLS[endings]
    every = len(symbols) ** 2
    first = int(sha256(revision.encode()).hexdigest(), 16) % every
    end = first + buckets(endings, weight)
    runs = [(first, min(end, every)), (0, end - every)]
    ending = "|".join(piece for begin, stop in runs if begin < stop for piece in _pieces(symbols, begin, stop))
    if header is not None:
        return header, f"^.*(?:{ending})$"
    return COOKIE, among_cookies([f"{literal(cookie)}=[^;]*(?:{ending})"])


def _pieces(symbols: Symbols, begin: int, end: int) -> Iterator[str]:
    """Yield patterns of two characters, for the buckets from `begin` up to but not including `end`."""
    size = len(symbols)
    (first, low), (last, high) = divmod(begin, size), divmod(end - 1, size)
    if first == last:
        yield _one_of(symbols[first : first + 1]) + _one_of(symbols[low : high + 1])
        return
    if low > 0:
        yield _one_of(symbols[first : first + 1]) + _one_of(symbols[low:])
        first += 1
    if high < size - 1:
        yield _one_of(symbols[last : last + 1]) + _one_of(symbols[: high + 1])
        last -= 1
    if first <= last:
        yield _one_of(symbols[first : last + 1]) + _one_of(symbols)


def _one_of(symbols: Symbols) -> str:
    """Return the pattern of one character, as short as it can be: gateways limit how much a pattern may take."""
    characters = sorted(map(ord, "".join(symbols)))
    if len(characters) == 1:
        return chr(characters[0])
    runs: list[list[int]] = []
    for character in characters:
        if runs and character == runs[-1][-1] + 1:
            runs[-1].append(character)
        else:
            runs.append([character])
    return f"[{''.join(map(_run, runs))}]"


def _run(characters: list[int]) -> str:
    written = ["\\-" if one == ord("-") else chr(one) for one in characters]
    return f"{written[0]}-{written[-1]}" if len(written) > 2 else "".join(written)
