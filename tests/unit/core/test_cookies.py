"""Cookies as a pattern for the whole Cookie header."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelrollout.api.patterns import COOKIE_NAME
from modelrollout.core.cookies import cookie_pattern, cookies_of
from modelrollout.core.split import Pairs


@pytest.mark.parametrize(
    ("cookies", "header", "fits"),
    [
        ((("user", "7"),), "user=7", True),
        ((("user", "7"),), "a=b; user=7; c=d", True),
        ((("user", "7"),), "a=b;user=7", True),
        ((("user", "7"),), "user=7 ; c=d", True),
        ((("user", "7"),), "user=77", False),
        ((("user", "7"),), "xuser=7", False),
        ((("user", "7"),), "a=user=7", False),
        ((("user", "7"),), "", False),
        ((("user", "7"),), "USER=7", False),
        ((("user", ".*"),), "user=77", False),
        ((("user", ".*"),), "user=.*", True),
        ((("a", "1"), ("b", "2")), "a=1; b=2", True),
        ((("a", "1"), ("b", "2")), "b=2; x=y; a=1", True),
        ((("a", "1"), ("b", "2")), "b=2;a=1", True),
        ((("a", "1"), ("b", "2")), "a=1", False),
        ((("a", "1"), ("b", "2")), "a=1; b=3", False),
        ((("a", "1"), ("b", "2")), "a=1 b=2", False),
    ],
)
def test_headers_that_carry_the_cookies_fit(cookies: Pairs, header: str, fits: bool) -> None:
    # Some gateways search, others match in full; both must come to the same.
    assert (re.search(cookie_pattern(cookies), header) is not None) is fits
    assert (re.fullmatch(cookie_pattern(cookies), header) is not None) is fits


NAME = st.text(st.sampled_from("ab|$^*+.7"), min_size=1, max_size=4).filter(
    lambda text: re.fullmatch(COOKIE_NAME, text)
)
VALUE = st.text(st.sampled_from("ab|()[]{}?*+.^$=-/9"), min_size=1, max_size=5)
COOKIES = st.dictionaries(NAME, VALUE, min_size=1, max_size=4).map(lambda found: tuple(sorted(found.items())))


@given(COOKIES, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_every_order_of_the_cookies_fits_and_none_may_be_missing(cookies: Pairs, random: object) -> None:
    pattern, texts = cookie_pattern(cookies), [f"{name}={value}" for name, value in cookies]
    shuffled = sorted(texts, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert re.fullmatch(pattern, "; ".join(["session=1", *shuffled]))
    for missing in texts:
        assert not re.search(pattern, "; ".join(text for text in texts if text != missing))


@given(COOKIES)
@settings(max_examples=150, deadline=None)
def test_a_pattern_tells_its_cookies(cookies: Pairs) -> None:
    assert cookies_of(cookie_pattern(cookies)) == cookies


@pytest.mark.parametrize("pattern", ["", "user=7", ".*", r"^(?:.*;\s*)?(?:user=.*)\s*(?:;.*)?$", "("])
def test_a_pattern_of_somebody_else_tells_nothing(pattern: str) -> None:
    assert cookies_of(pattern) is None
