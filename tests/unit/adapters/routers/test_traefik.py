"""Traefik's objects as values: rules as Traefik reads them, and what others make of them."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.routers.traefik import TraefikRouter
from modelrollout.adapters.routers.traefik_objects import (
    ingress_route,
    preview_route,
    split_of,
    traefik_service,
    weighted_service,
)
from modelrollout.api.patterns import COOKIE_NAME, HEADER_NAME
from modelrollout.api.resource import ModelRollout, parse
from modelrollout.api.strategy import Sticky
from modelrollout.api.traffic import Traefik
from modelrollout.core.split import COMPARER, Matched, Mirror, Split
from modelrollout.core.sticky import patterns
from modelrollout.ports import TerminalError
from tests.support.rollouts import document
from tests.unit.adapters.routers.test_lookup import Idle

STABLE, CANDIDATE = "bbbbbbbbbb", "cccccccccc"
RULE = "Host(`a.example`) || Host(`b.example`)"
OURS = Traefik(match=RULE)


def rollout(traefik: Mapping[str, Any], *, preview: Any = None, **strategy: Any) -> ModelRollout:
    traffic = {"traefik": dict(traefik), **({"preview": preview} if preview else {})}
    return parse(document("shop", traffic=traffic, strategy=strategy))


def read(split: Split) -> Split:
    """Write a split down and read it back."""
    one = rollout({"match": RULE})
    main = traefik_service(one, split, None)["spec"]
    inner = main if split.mirror is None else weighted_service(one, "fraud-weighted", split)["spec"]
    return split_of("fraud", main, inner, ingress_route(one, OURS, split)["spec"])


def test_weights_are_one_object() -> None:
    spec = traefik_service(rollout({}), Split({STABLE: 95, CANDIDATE: 5}, sticky="server"), None)["spec"]
    assert spec == {
        "weighted": {
            "services": [
                {"name": f"fraud-{STABLE}", "kind": "Service", "port": 80, "weight": 95},
                {"name": f"fraud-{CANDIDATE}", "kind": "Service", "port": 80, "weight": 5},
            ],
            "sticky": {"cookie": {"name": "server"}},
        }
    }


def test_a_mirror_is_around_the_weights() -> None:
    spec = traefik_service(rollout({}), Split({STABLE: 100}, mirror=Mirror(20, COMPARER)), None)["spec"]
    mirroring = spec.pop("mirroring")
    assert spec == {}
    assert (mirroring["name"], mirroring["kind"]) == ("fraud-weighted", "TraefikService")
    assert mirroring["mirrors"] == [{"name": "fraud-comparer", "kind": "Service", "port": 80, "percent": 20}]
    assert mirroring["maxBodySize"] > 0


def test_a_match_asks_for_more_than_the_rule_and_comes_just_before_it() -> None:
    matched = Matched(CANDIDATE, (("X-Team", 'a "b" \\ `c`'),), (("user", "7"),))
    before, after = ingress_route(rollout({}), OURS, Split({STABLE: 100}, matched=matched))["spec"]["routes"]
    assert after == {"kind": "Rule", "match": RULE, "services": [{"name": "fraud", "kind": "TraefikService"}]}
    assert before["match"].startswith(
        f"({RULE}) && " + r'Header("X-Team", "a \"b\" \\ `c`") && HeaderRegexp("Cookie", '
    )
    # Traefik's own priority is the length of a rule; one more, and nothing else gets between.
    assert before["priority"] == len(RULE) + 1
    # A second Service, without weight, so that Traefik counts the first under its own name.
    assert [(one["name"], one["weight"]) for one in before["services"]] == [
        (f"fraud-{CANDIDATE}", 100),
        (f"fraud-{STABLE}", 0),
    ]


def test_the_preview_answers_to_its_host_names() -> None:
    body = preview_route(rollout({}), Traefik(match=RULE, entry_points=["web"]), ["p.example", "*.p.example"])
    assert body["metadata"]["name"] == "fraud-preview"
    assert body["spec"]["entryPoints"] == ["web"]
    (route,) = body["spec"]["routes"]
    assert [one["name"] for one in route["services"]] == ["fraud-preview"]
    first, second = route["match"].split(" || ")
    assert first == 'Host("p.example")'
    pattern = json.loads(second.removeprefix("HostRegexp(").removesuffix(")"))
    assert [
        bool(re.search(pattern, host)) for host in ("x.p.example", "p.example", "a.x.p.example", "x.pzexample")
    ] == [
        True,
        False,
        False,
        False,
    ]


NAMES = st.from_regex(HEADER_NAME.rstrip("$"), fullmatch=True).filter(lambda name: name.lower() != "cookie")
VALUES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
COOKIES = st.tuples(
    st.from_regex(COOKIE_NAME.strip("^$"), fullmatch=True), st.from_regex(r"[-!#-+./-:<-\[\]-~]{1,12}", fullmatch=True)
)


@settings(max_examples=60, deadline=None)
@given(
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=4, unique_by=lambda pair: pair[0]),
    cookies=st.lists(COOKIES, max_size=3, unique_by=lambda pair: pair[0]),
)
def test_any_match_is_read_back_as_it_was_written(
    headers: list[tuple[str, str]], cookies: list[tuple[str, str]]
) -> None:
    matched = Matched(CANDIDATE, tuple(sorted(headers)), tuple(sorted(cookies)))
    split = Split({STABLE: 100}, matched=matched)
    assert read(split) == split


@settings(max_examples=30, deadline=None)
@given(
    key=st.sampled_from([Sticky(header="X-User-Id"), Sticky(cookie="u|id", endings="Base64URL")]),
    weight=st.integers(1, 99),
)
def test_clients_by_their_keys_are_read_back_as_they_were_written(key: Sticky, weight: int) -> None:
    split = Split({STABLE: 100}, matched=Matched(CANDIDATE, patterns=patterns(key, weight, CANDIDATE)))
    assert read(split) == split


@pytest.mark.parametrize(
    ("main", "entry", "split"),
    [
        ({}, {}, Split({})),
        ({"weighted": {"services": None}}, {"routes": None}, Split({})),
        ({"weighted": {"services": [{"name": "other"}]}}, {"routes": [{"match": "Host(`a`)"}]}, Split({})),
        ({"weighted": {"services": [{"name": f"fraud-{STABLE}"}]}}, {}, Split({STABLE: 1})),
        ({"mirroring": {"name": "x", "mirrors": [{"name": "other", "percent": 3}]}}, {}, Split({})),
        ({"mirroring": {"mirrors": [{"name": "fraud-comparer"}]}}, {}, Split({}, mirror=Mirror(0, COMPARER))),
        ({"highestRandomWeight": {}}, {"routes": [{"match": "x"}, {"services": [{"name": "fraud"}]}]}, Split({})),
        ({}, {"routes": [{"match": "x", "services": [{"name": f"fraud-{CANDIDATE}"}]}, {}]}, None),
    ],
)
def test_what_others_made_of_it_is_read_without_a_fault(main: Any, entry: Any, split: Split | None) -> None:
    found = split_of("fraud", main, main, entry)
    assert found == (split or Split({}, matched=Matched(CANDIDATE)))


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (
            rollout({}, steps=[{"weight": 5}, {"match": {"headers": {"X-A": "1"}}}][::-1]),
            "ModelRollout shop/fraud: spec.strategy.steps[0] (match X-A=1): router traefik cannot match where it "
            "writes no IngressRoute; give spec.traffic.traefik.match, or use weight",
        ),
        (
            rollout({}, sticky={"header": "x-user-id"}),
            "ModelRollout shop/fraud: spec.strategy.sticky: router traefik cannot match where it writes no "
            "IngressRoute; give spec.traffic.traefik.match, or write sticky.issued: a cookie that Traefik issues",
        ),
        (
            rollout({}, preview={"hostnames": ["p.example"]}),
            "ModelRollout shop/fraud: spec.traffic.preview.hostnames: router traefik makes no preview route where it "
            "writes no IngressRoute; give spec.traffic.traefik.match, or remove hostnames and let a route lead to the "
            "preview's Service",
        ),
    ],
    ids=["match", "sticky", "preview"],
)
def test_what_needs_an_ingress_route_is_refused_without_one(one: ModelRollout, words: str) -> None:
    router = TraefikRouter(Api(Idle()), Routes(lambda _: None))
    with pytest.raises(TerminalError) as error:
        router.check(one)
    assert str(error.value) == words
    traffic = one.spec.traffic.model_copy(update={"traefik": OURS})
    router.check(one.model_copy(update={"spec": one.spec.model_copy(update={"traffic": traffic})}))
