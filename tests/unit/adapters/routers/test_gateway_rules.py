"""Rules of Gateway API routes: what is written is read back, and says what it should of every request."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelrollout.adapters.routers.gateway_rules import rules_of, split_of
from modelrollout.api.strategy import Sticky
from modelrollout.core.split import COMPARER, Matched, Mirror, Split
from modelrollout.core.sticky import patterns

STABLE, CANDIDATE = "bbbbbbbbbb", "cccccccccc"
Object = dict[str, Any]

HEADERS = st.dictionaries(st.sampled_from(["X-A", "X-B", "X-C"]), st.sampled_from(["1", "2", "a|b"]), max_size=3)
COOKIES = st.dictionaries(st.sampled_from(["a", "b", "c|d"]), st.sampled_from(["1", "2.*"]), max_size=3)
SHARES = st.integers(0, 100)
MIRRORS = st.none() | st.builds(Mirror, st.integers(1, 100), st.sampled_from([CANDIDATE, COMPARER]))


def pairs(found: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(found.items()))


KEYS = st.builds(
    lambda key, weight: patterns(key, weight, CANDIDATE),
    st.sampled_from([Sticky(header="X-User-Id"), Sticky(cookie="c|d", endings="Alphanumeric")]),
    st.integers(1, 99),
)
MATCHES = (
    st.none()
    | st.builds(Matched, st.just(CANDIDATE), HEADERS.map(pairs), COOKIES.map(pairs)).filter(
        lambda one: bool(one.headers or one.cookies)
    )
    | st.builds(Matched, st.just(CANDIDATE), patterns=KEYS)
)
SPLITS = st.builds(
    lambda share, mirror, matched: Split({STABLE: 100 - share, CANDIDATE: share}, mirror, matched),
    SHARES,
    MIRRORS,
    MATCHES,
)
MODIFIER: Object = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["X-Secret"]}}
AUDIT: Object = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "fraud-audit", "port": 80}}}
BASES: tuple[Object, ...] = (
    {"name": "modelrollout", "matches": [{"path": {"type": "PathPrefix", "value": "/"}}]},
    {"name": "model"},
    {
        "name": "model",
        "matches": [{"headers": [{"type": "Exact", "name": "X-Region", "value": "eu"}]}, {"method": "POST"}],
        "filters": [MODIFIER, AUDIT],
        "timeouts": {"request": "10s"},
        "backendRefs": [{"name": "old", "port": 80}],
    },
)


@given(st.sampled_from(BASES), SPLITS)
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read_back(base: Object, split: Split) -> None:
    rule, before = rules_of("fraud", base, split, "before")
    found = split_of("fraud", [rule], before)
    assert found == split
    assert list(found.weights) == list(split.weights)
    # From what was written, and from what stood there before, comes the same.
    assert rules_of("fraud", rule, split, "before") == (rule, before)


@given(st.sampled_from(BASES), st.lists(SPLITS, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_what_is_not_ours_stays_whatever_is_written(base: Object, splits: list[Split]) -> None:
    first, rule = copy.deepcopy(base), base
    for split in splits:
        rule, _ = rules_of("fraud", rule, split, "before")
    assert base == first
    rule, before = rules_of("fraud", rule, Split({STABLE: 100}), "before")
    assert before is None
    assert {**rule, "backendRefs": None} == {**first, "backendRefs": None}


@given(SPLITS)
@settings(max_examples=100, deadline=None)
def test_a_mirror_never_changes_what_users_get(split: Split) -> None:
    without = Split(split.weights, None, split.matched)
    for base in BASES:
        rule, before = rules_of("fraud", base, split, "before")
        plain, plain_before = rules_of("fraud", base, without, "before")
        assert rule["backendRefs"] == plain["backendRefs"]
        # Requests that match are the candidate's already: nothing of them is copied.
        assert before == plain_before


@given(SPLITS, HEADERS)
@settings(max_examples=150, deadline=None)
def test_a_match_takes_the_requests_that_carry_all_of_it_and_no_other(split: Split, headers: dict[str, str]) -> None:
    matched = split.matched
    if matched is None or matched.cookies or matched.patterns:
        return
    for base in BASES:
        _, before = rules_of("fraud", base, split, "before")
        assert before is not None
        assert [one["name"] for one in before["backendRefs"]] == [f"fraud-{CANDIDATE}"]
        for narrowed, wide in zip(before["matches"], base.get("matches", [{}]), strict=True):
            asked = {one["name"]: one["value"] for one in narrowed["headers"]}
            theirs = {one["name"]: one["value"] for one in wide.get("headers", [])}
            carries = all(headers.get(name) == value for name, value in matched.headers)
            assert ({**headers, **theirs}.items() >= asked.items()) is carries
            assert {key: value for key, value in narrowed.items() if key != "headers"} == {
                key: value for key, value in wide.items() if key != "headers"
            }


def test_a_header_that_the_rule_asks_for_itself_is_named() -> None:
    split = Split({STABLE: 100}, matched=Matched(CANDIDATE, (("x-region", "us"),)))
    with pytest.raises(ValueError, match="x-region"):
        rules_of("fraud", BASES[2], split, "before")


def test_clients_by_their_keys_are_one_regular_expression_beside_what_the_rule_asks_for() -> None:
    asked = patterns(Sticky(header="X-User-Id"), 20, CANDIDATE)
    for base in BASES:
        _, before = rules_of("fraud", base, Split({STABLE: 100}, matched=Matched(CANDIDATE, patterns=asked)), "before")
        assert before is not None
        for match in before["matches"]:
            *_, added = match["headers"]
            assert added == {"type": "RegularExpression", "name": "X-User-Id", "value": asked[0][1]}


@pytest.mark.parametrize(
    ("rule", "split"),
    [
        ({}, Split()),
        ({"backendRefs": [{"name": "other", "weight": 3}, {"name": "fraud-web"}]}, Split()),
        ({"backendRefs": [{"name": f"fraud-{STABLE}"}]}, Split({STABLE: 1})),
        ({"filters": [AUDIT, {"type": "ExtensionRef"}]}, Split()),
        (
            {"filters": [{"requestMirror": {"backendRef": {"name": "fraud-comparer"}}}]},
            Split(mirror=Mirror(100, COMPARER)),
        ),
    ],
)
def test_what_others_write_is_read_as_far_as_it_is_about_us(rule: Object, split: Split) -> None:
    assert split_of("fraud", [rule], None) == split


def test_a_rule_before_ours_that_leads_elsewhere_is_no_match() -> None:
    before = {"matches": [{"headers": [{"name": "X-A", "value": "1"}]}], "backendRefs": [{"name": "theirs"}]}
    assert split_of("fraud", [{}], before) == Split()
    assert split_of("fraud", [], before) == Split()
