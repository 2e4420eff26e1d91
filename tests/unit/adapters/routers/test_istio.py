"""VirtualServices as values: routes as Istio reads them, and what others make of them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.routers import istio_routes as http
from modelrollout.adapters.routers.istio import IstioRouter, preview_service, virtual_service
from modelrollout.api.patterns import COOKIE_NAME, HEADER_NAME
from modelrollout.api.resource import ModelRollout, parse
from modelrollout.api.strategy import Sticky
from modelrollout.core.split import COMPARER, Matched, Mirror, Split
from modelrollout.core.sticky import patterns
from modelrollout.ports import TerminalError
from tests.support.rollouts import document
from tests.unit.adapters.routers.test_lookup import Idle

STABLE, CANDIDATE = "bbbbbbbbbb", "cccccccccc"
HOSTS = {"hosts": ["fraud.example.com"], "gateways": ["gateway/public"]}


def rollout(istio: Any = None, *, preview: Any = None, **strategy: Any) -> ModelRollout:
    traffic = {"istio": istio or HOSTS, **({"preview": preview} if preview else {})}
    return parse(document("shop", traffic=traffic, strategy=strategy))


def target(name: str) -> dict[str, Any]:
    return {"host": f"fraud-{name}", "port": {"number": 80}}


def test_weights_are_one_named_route() -> None:
    spec = virtual_service(rollout(), Split({STABLE: 95, CANDIDATE: 5}), None)["spec"]
    routes = [
        {"destination": target(STABLE), "weight": 95},
        {"destination": target(CANDIDATE), "weight": 5},
    ]
    assert spec == {**HOSTS, "http": [{"name": "modelrollout", "route": routes}]}


def test_a_mirror_is_added_to_those_of_others() -> None:
    theirs = {"destination": {"host": "audit"}, "percentage": {"value": 0.5}}
    entry = {"name": "model", "mirrors": [theirs], "timeout": "3s"}
    mirrored = http.route("fraud", entry, Split({STABLE: 100}, mirror=Mirror(20, COMPARER)))
    assert mirrored["mirrors"] == [theirs, {"destination": target(COMPARER), "percentage": {"value": 20}}]
    plain = http.route("fraud", mirrored, Split({STABLE: 100}))
    assert plain == {**entry, "route": [{"destination": target(STABLE), "weight": 100}]}


def test_a_match_is_a_route_before_with_header_names_as_istio_wants_them() -> None:
    matched = Matched(CANDIDATE, (("X-Team", "risk"),), (("user", "7"),))
    before, after = virtual_service(rollout(), Split({STABLE: 100}, matched=matched), None)["spec"]["http"]
    assert after["name"] == "modelrollout"
    assert before["route"] == [{"destination": target(CANDIDATE), "weight": 100}]
    (match,) = before["match"]
    assert match["headers"]["x-team"] == {"exact": "risk"}
    assert set(match["headers"]) == {"x-team", "cookie"}
    assert match["name"] == "X-Team"


def test_a_match_of_an_adopted_route_asks_for_all_that_the_route_asks_for() -> None:
    matches = [{"uri": {"prefix": "/v2"}, "headers": {"x-region": {"exact": "eu"}}}, {"uri": {"prefix": "/v3"}}]
    entry = {"name": "model", "match": matches, "timeout": "3s", "route": [{"destination": {"host": "old"}}]}
    split = Split({STABLE: 100}, matched=Matched(CANDIDATE, (("X-Team", "risk"),)))
    after, before = http.adopted("fraud", "model-fraud", entry, split)
    assert before is not None
    assert (before["name"], before["timeout"]) == ("model-fraud", "3s")
    assert [match["uri"] for match in before["match"]] == [{"prefix": "/v2"}, {"prefix": "/v3"}]
    assert [set(match["headers"]) for match in before["match"]] == [{"x-region", "x-team"}, {"x-team"}]
    assert after["match"] == matches
    assert http.split_of("fraud", after, before) == split


def test_a_header_that_the_adopted_route_matches_itself_is_named() -> None:
    entry = {"name": "model", "match": [{"headers": {"X-Team": {"prefix": "r"}}}]}
    split = Split({STABLE: 100}, matched=Matched(CANDIDATE, (("x-team", "risk"),)))
    with pytest.raises(ValueError, match=r"^X-Team$"):
        http.adopted("fraud", "model-fraud", entry, split)


def test_the_preview_has_its_own_hosts() -> None:
    body = preview_service(rollout(preview={"hostnames": ["p.example"]}))
    assert body["metadata"]["name"] == "fraud-preview"
    assert body["spec"]["hosts"] == ["p.example"]
    assert body["spec"]["gateways"] == HOSTS["gateways"]
    assert body["spec"]["http"][0]["route"] == [{"destination": target("preview"), "weight": 100}]


NAMES = st.from_regex(HEADER_NAME.rstrip("$"), fullmatch=True).filter(lambda name: name.lower() != "cookie")
VALUES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
COOKIES = st.tuples(
    st.from_regex(COOKIE_NAME.strip("^$"), fullmatch=True), st.from_regex(r"[-!#-+./-:<-\[\]-~]{1,12}", fullmatch=True)
)
KEYS = st.sampled_from([Sticky(header="X-User-Id"), Sticky(cookie="u|id", endings="Base64URL")])


@settings(max_examples=60, deadline=None)
@given(
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=4, unique_by=lambda pair: pair[0].lower()),
    cookies=st.lists(COOKIES, max_size=3, unique_by=lambda pair: pair[0]),
)
def test_any_match_is_read_back_as_it_was_written(
    headers: list[tuple[str, str]], cookies: list[tuple[str, str]]
) -> None:
    matched = Matched(CANDIDATE, tuple(sorted(headers)), tuple(sorted(cookies)))
    split = Split({STABLE: 100}, matched=matched)
    if not headers and not cookies:
        return
    before, after = virtual_service(rollout(), split, None)["spec"]["http"]
    assert http.split_of("fraud", after, before) == split


@settings(max_examples=30, deadline=None)
@given(key=KEYS, weight=st.integers(1, 99))
def test_clients_by_their_keys_are_read_back_as_they_were_written(key: Sticky, weight: int) -> None:
    split = Split({STABLE: 100}, matched=Matched(CANDIDATE, patterns=patterns(key, weight, CANDIDATE)))
    before, after = virtual_service(rollout(), split, None)["spec"]["http"]
    ((name, asked),) = before["match"][0]["headers"].items()
    assert (name, asked) == (split.matched.patterns[0][0].lower(), {"regex": split.matched.patterns[0][1]})
    assert http.split_of("fraud", after, before) == split


@pytest.mark.parametrize(
    ("entry", "before", "split"),
    [
        ({}, None, Split({})),
        ({"route": None, "mirrors": None}, {}, Split({})),
        ({"route": [{}, {"destination": {"host": "other"}}]}, {"route": [{"destination": None}]}, Split({})),
        ({"route": [{"destination": target(STABLE)}]}, None, Split({STABLE: 100})),
        ({"mirrors": [{"destination": target(COMPARER)}]}, None, Split({}, mirror=Mirror(100, COMPARER))),
        ({}, {"route": [{"destination": target(CANDIDATE)}]}, Split({}, matched=Matched(CANDIDATE))),
        (
            {},
            {
                "route": [{"destination": target(CANDIDATE)}],
                "match": [{"name": "X", "headers": {"x": {"prefix": "a"}}}],
            },
            Split({}, matched=Matched(CANDIDATE)),
        ),
    ],
)
def test_what_others_made_of_it_is_read_without_a_fault(entry: Any, before: Any, split: Split) -> None:
    assert http.split_of("fraud", entry, before) == split


ADOPTED = {"virtualService": {"name": "shop", "rule": "model"}}


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (
            rollout(sticky={"issued": "server"}),
            "spec.strategy.sticky.issued: router istio issues no cookies for weights: it splits each request anew; "
            "write sticky.header or sticky.cookie: a key that clients send (or route by spec.traffic.traefik)",
        ),
        (
            rollout(steps=[{"match": {"headers": {"Cookie": "a=1"}, "cookies": {"b": "2"}}}]),
            "spec.strategy.steps[0] (match Cookie=a=1 b=2): router istio cannot match header cookie twice; "
            "ask for each header once",
        ),
        (
            rollout(ADOPTED, preview={"hostnames": ["p.example"]}),
            "spec.traffic.preview.hostnames: router istio makes no preview route beside a VirtualService that somebody "
            "else owns; remove hostnames, and let a route of yours lead to the Service of the preview",
        ),
    ],
    ids=["issued", "header twice", "preview"],
)
def test_what_istio_cannot_do_is_refused(one: ModelRollout, words: str) -> None:
    with pytest.raises(TerminalError) as error:
        IstioRouter(Api(Idle()), Routes(lambda _: None)).check(one)
    assert str(error.value) == f"ModelRollout shop/fraud: {words}"
