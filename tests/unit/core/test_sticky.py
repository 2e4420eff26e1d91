"""A split that clients keep: which of them get the candidate, at every weight and for every key that there is."""

import re
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelrollout.api.patterns import COOKIE_NAME
from modelrollout.api.strategy import Sticky
from modelrollout.core.sticky import SYMBOLS, buckets, named, patterns, weight_of
from tests.support.clients import ALPHABETS, fits, population

WEIGHTS = st.integers(1, 99)
REVISIONS = st.from_regex("[0-9a-z]{10}", fullmatch=True)
ENDINGS = st.sampled_from(sorted(SYMBOLS))
COOKIES = st.from_regex(COOKIE_NAME.strip("^$"), fullmatch=True)


def header(endings: str, weight: int, revision: str) -> str:
    """Return the pattern of the header `x-user-id`."""
    ((name, pattern),) = patterns(Sticky.model_validate({"header": "x-user-id", "endings": endings}), weight, revision)
    assert name == "x-user-id"
    return pattern


def chosen(endings: str, weight: int, revision: str) -> set[str]:
    """Return every ending that gets the candidate."""
    compiled = re.compile(header(endings, weight, revision))
    every = map("".join, product(ALPHABETS[endings], repeat=2))
    return {ending for ending in every if compiled.search(ending)}


def share(endings: str, weight: int, revision: str) -> float:
    """Return the part of all buckets that gets the candidate; a letter of a hexadecimal number counts once."""
    found = chosen(endings, weight, revision)
    return len({one.lower() for one in found} if endings == "Hex" else found) / len(SYMBOLS[endings]) ** 2


@settings(max_examples=60, deadline=None)
@given(ENDINGS, WEIGHTS, REVISIONS)
def test_the_share_of_evenly_spread_keys_is_the_weight_within_one_bucket(endings, weight, revision):
    every = len(SYMBOLS[endings]) ** 2
    assert abs(share(endings, weight, revision) - weight / 100) <= 1 / every
    assert 0 < buckets(endings, weight) < every


@settings(max_examples=40, deadline=None)
@given(ENDINGS, st.tuples(WEIGHTS, WEIGHTS).filter(lambda pair: pair[0] < pair[1]), REVISIONS)
def test_nobody_goes_back_as_the_weight_grows(endings, pair, revision):
    low, high = (chosen(endings, weight, revision) for weight in pair)
    assert low < high


@pytest.mark.parametrize("endings", SYMBOLS)
def test_every_step_of_one_per_cent_brings_somebody(endings):
    found = [share(endings, weight, "r2") for weight in range(1, 100)]
    assert found == sorted(set(found))


@settings(max_examples=40, deadline=None)
@given(ENDINGS, WEIGHTS, REVISIONS, st.text(st.characters(exclude_characters="\n"), max_size=20))
def test_only_the_last_two_characters_count(endings, weight, revision, before):
    pattern, found = header(endings, weight, revision), chosen(endings, weight, revision)
    for ending in population(20, endings):
        assert fits(pattern, before + ending) is (ending[-2:] in found)


def test_capital_letters_of_hexadecimal_keys_are_the_same_clients():
    for ending in chosen("Hex", 50, "r2"):
        assert fits(header("Hex", 50, "r2"), ending.upper())
        assert fits(header("Hex", 50, "r2"), ending.lower())


@pytest.mark.parametrize("value", ["", "7", "12345 ", "a-", "Zz", "ä7", "7é", '"7f"', "7f;", "xy"])
def test_a_key_that_ends_otherwise_stays_with_stable(value):
    for weight in (1, 50, 99):
        assert not fits(header("Hex", weight, "r2"), value)


def test_a_request_without_the_key_stays_with_stable():
    assert not fits(header("Hex", 99, "r2"), None)


@settings(max_examples=60, deadline=None)
@given(ENDINGS, WEIGHTS, REVISIONS, COOKIES)
def test_a_cookie_counts_as_a_header_does_wherever_it_stands(endings, weight, revision, name):
    key = Sticky.model_validate({"cookie": name, "endings": endings})
    ((where, pattern),) = patterns(key, weight, revision)
    assert where == "cookie"
    wanted = header(endings, weight, revision)
    for value in population(8, endings):
        gets = fits(wanted, value)
        places = ("{}", "a=b; {}; c=d", "a=b;{}", "{} ; c=d", "a=b;  {};c", f"x{name}=; {{}}")
        for place in places:
            assert fits(pattern, place.format(f"{name}={value}")) is gets


@settings(max_examples=60, deadline=None)
@given(ENDINGS, WEIGHTS, COOKIES, st.sampled_from(["x{}", "{}x", "a={}", " x {}", "{} "]))
def test_a_cookie_whose_name_is_merely_alike_is_another_one(endings, weight, name, other):
    ((_, pattern),) = patterns(Sticky.model_validate({"cookie": name, "endings": endings}), weight, "r2")
    for value in population(20, endings):
        assert not fits(pattern, f"{other.format(name)}={value}")
        assert not fits(pattern, f"a=b; {other.format(name)}={value}; c={value}")


@settings(max_examples=80, deadline=None)
@given(ENDINGS, WEIGHTS, REVISIONS, st.text(st.sampled_from("^$|.*+a"), min_size=90, max_size=100))
def test_patterns_are_short_and_of_plain_parts(endings, weight, revision, name):
    ((_, pattern),) = patterns(Sticky.model_validate({"cookie": name, "endings": endings}), weight, revision)
    assert len(pattern) <= 512  # a header's value in a route may have 4096
    ((_, pattern),) = patterns(Sticky.model_validate({"header": "x", "endings": endings}), weight, revision)
    # Nothing that RE2 lacks, and nothing that repeats a part: gateways bound what a pattern compiles to.
    assert re.fullmatch(r"\^\.\*\(\?:([-\w]|\\-|[\[\]|])+\)\$", pattern)


@settings(max_examples=40, deadline=None)
@given(ENDINGS, WEIGHTS, REVISIONS)
def test_a_pattern_tells_its_weight(endings, weight, revision):
    key = Sticky.model_validate({"cookie": "uid", "endings": endings})
    assert weight_of(key, revision, patterns(key, weight, revision)) == weight
    assert weight_of(key, revision, (("cookie", "uid=7"),)) == 0
    assert weight_of(key, revision, ()) == 0


def test_a_revision_always_begins_with_the_same_clients_and_another_with_others():
    first = {revision: frozenset(chosen("Hex", 10, revision)) for revision in ("0123456789", "abcdefghij", "r2")}
    assert len(set(first.values())) == len(first)
    assert chosen("Hex", 10, "r2") == first["r2"]


def test_keys_are_named_as_people_do():
    assert named(Sticky(header="x-user-id")) == "header x-user-id"
    assert named(Sticky(cookie="uid")) == "cookie uid"
