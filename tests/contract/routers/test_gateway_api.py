"""What only Gateway API routes have: the words of gateways, preview routes, classes with features, adopted rules."""

import asyncio
from typing import Any

import pytest

from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.resources import GRPC_ROUTES, HTTP_ROUTES
from modelrollout.core.split import COMPARER, Matched, Mirror, Split
from modelrollout.ports import ConflictError, TerminalError
from tests.contract.routers.case import CANDIDATE, STABLE, STRATEGIES, Case, Setting
from tests.contract.routers.gateway_api import CASES, PARENTS, accept, answer, parent
from tests.support.kube import Kube, Object

OWN, ADOPTED, GRPC, ADOPTED_GRPC = CASES
ALL, HALF = Split({STABLE: 100}), Split({STABLE: 50, CANDIDATE: 50})
BETA = Split({STABLE: 100}, matched=Matched(CANDIDATE, (("X-Canary", "yes"),), (("user", "a.b"),)))
GATEWAY = "gateway.networking.k8s.io/v1"


@pytest.fixture
def setting(api: Kube, connection: Api, namespace: str) -> Setting:
    return Setting(OWN, api, connection, namespace)


@pytest.fixture
def adopted(api: Kube, connection: Api, namespace: str) -> Setting:
    return Setting(ADOPTED, api, connection, namespace)


def of(case: Case, setting: Setting, **spec: Any) -> Setting:
    """Return another rollout's setting in a namespace of its own cluster."""
    return Setting(case, setting.api, setting.connection, setting.key.namespace, **spec)


async def test_a_rule_of_weights(setting: Setting) -> None:
    await setting.set(setting.case.split)
    spec = setting.raw()["spec"]
    (rule,) = spec["rules"]
    assert [(one["name"], one["weight"], one["port"]) for one in rule["backendRefs"]] == [
        (f"fraud-{STABLE}", 95, 80),
        (f"fraud-{CANDIDATE}", 5, 80),
    ]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/v1"}}]
    assert spec["hostnames"] == ["fraud.example.com"]


@pytest.mark.parametrize("target", [CANDIDATE, COMPARER])
async def test_a_mirror_is_a_filter_of_our_rule(setting: Setting, target: str) -> None:
    await setting.set(Split({STABLE: 100}, mirror=Mirror(20, target)))
    (rule,) = setting.raw()["spec"]["rules"]
    told = {"backendRef": {"group": "", "kind": "Service", "name": f"fraud-{target}", "port": 80}, "percent": 20}
    assert rule["filters"] == [{"type": "RequestMirror", "requestMirror": told}]
    assert [one["name"] for one in rule["backendRefs"]] == [f"fraud-{STABLE}"]


async def test_a_match_is_a_rule_before_ours(setting: Setting) -> None:
    await setting.set(BETA)
    match, rule = setting.raw()["spec"]["rules"]
    assert [one["name"] for one in match["backendRefs"]] == [f"fraud-{CANDIDATE}"]
    (one,) = match["matches"]
    assert one["path"] == rule["matches"][0]["path"]
    assert [(header["type"], header["name"]) for header in one["headers"]] == [
        ("Exact", "X-Canary"),
        ("RegularExpression", "cookie"),
    ]
    assert [one["name"] for one in rule["backendRefs"]] == [f"fraud-{STABLE}"]


async def test_a_rollout_without_host_names_answers_to_all(setting: Setting) -> None:
    setting.rollout = setting.with_spec(traffic={"gatewayAPI": {"parentRefs": PARENTS}})
    await setting.set(ALL)
    assert "hostnames" not in setting.raw()["spec"]
    setting.edit(lambda spec: spec.update(hostnames=["other.example.com"]))
    assert not setting.route().current
    await setting.set(ALL)
    assert setting.route().current


async def test_accepted_needs_every_parent(setting: Setting) -> None:
    await setting.set(ALL)
    first = parent(setting.raw(), PARENTS[0], Accepted="True", ResolvedRefs="True")
    answer(setting, setting.raw(), first)
    assert not setting.route().accepted
    # A gateway may spell out what we left to defaults.
    other = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": setting.key.namespace, **PARENTS[1]}
    answer(setting, setting.raw(), first, parent(setting.raw(), other, Accepted="True", ResolvedRefs="True"))
    assert (setting.route().accepted, setting.route().problem) == (True, None)


async def test_a_parent_that_says_nothing_of_the_backends_has_not_accepted(setting: Setting) -> None:
    await setting.set(ALL)
    answer(setting, setting.raw(), *(parent(setting.raw(), ref, Accepted="True") for ref in PARENTS))
    assert not setting.route().accepted


async def test_a_refusal_is_told_in_the_gateways_words(setting: Setting) -> None:
    await setting.set(ALL)
    raw = setting.raw()
    answer(setting, raw, parent(raw, PARENTS[0], Accepted="False"), parent(raw, PARENTS[1], Accepted="True"))
    found = setting.route()
    assert not found.accepted
    assert found.problem == "Gateway gateway/public: Accepted is False: NoMatchingParent: no listener named web"
    answer(setting, raw, *(parent(raw, ref, Accepted="True", ResolvedRefs="False") for ref in PARENTS))
    assert not setting.route().accepted
    assert "ResolvedRefs is False" in str(setting.route().problem)


async def test_what_was_said_of_an_older_generation_does_not_count(setting: Setting) -> None:
    await setting.set(ALL)
    accept(setting)
    assert setting.route().accepted
    await setting.set(HALF)
    assert not setting.route().accepted
    answer(setting, setting.raw(), *(parent(setting.raw(), ref, behind=1, Accepted="False") for ref in PARENTS))
    assert (setting.route().accepted, setting.route().problem) == (False, None)


def preview(setting: Setting) -> Object:
    return setting.api.get("HTTPRoute", "fraud-preview", api=GATEWAY, namespace=setting.key.namespace)


async def test_the_preview_has_a_route_beside_the_main_one(setting: Setting) -> None:
    traffic = {**OWN.traffic, "preview": {"hostnames": ["preview.example.com"]}}
    setting.rollout = setting.with_spec(traffic=traffic)
    await setting.set(ALL)
    spec = preview(setting)["spec"]
    assert spec["hostnames"] == ["preview.example.com"]
    assert spec["parentRefs"] == setting.raw()["spec"]["parentRefs"]
    assert [one["name"] for one in spec["rules"][0]["backendRefs"]] == ["fraud-preview"]
    assert setting.route().current
    # Both have to be accepted, and a change of either is seen.
    answer(
        setting,
        setting.raw(),
        *(parent(setting.raw(), ref, Accepted="True", ResolvedRefs="True") for ref in PARENTS),
    )
    assert not setting.route().accepted
    accept(setting)
    assert setting.route().accepted
    change = {"spec": {"hostnames": ["other.example.com"]}}
    setting.api.patch("HTTPRoute", "fraud-preview", change, api=GATEWAY, namespace=setting.key.namespace)
    assert not setting.route().current
    await setting.set(ALL)
    assert setting.route().current
    setting.api.delete("HTTPRoute", "fraud-preview", api=GATEWAY, namespace=setting.key.namespace)
    assert not setting.route().current


async def test_a_preview_without_host_names_is_taken_from_its_gateways(setting: Setting) -> None:
    without = setting.rollout
    setting.rollout = setting.with_spec(traffic={**OWN.traffic, "preview": {"hostnames": ["preview.example.com"]}})
    await setting.set(ALL)
    setting.rollout = without
    assert not setting.route().current
    await setting.set(ALL)
    assert setting.route().current
    assert preview(setting)["spec"].get("parentRefs", []) == []


async def test_a_preview_route_beside_an_adopted_one_is_refused(adopted: Setting) -> None:
    traffic = {**ADOPTED.traffic, "preview": {"hostnames": ["preview.example.com"]}}
    with pytest.raises(TerminalError, match=r"spec.traffic.preview.hostnames: router gatewayAPI makes no preview"):
        adopted.router.check(adopted.with_spec(traffic=traffic))


def make_gateway(setting: Setting, *features: str, name: str = "internal") -> None:
    """Create a Gateway in the rollout's namespace, of a class of its own that reports these features."""
    klass = f"class-{setting.key.namespace}-{name}"
    api, head = setting.api, {"apiVersion": GATEWAY}
    spec: Object = {"controllerName": "gateway.example/controller"}
    api.create({**head, "kind": "GatewayClass", "metadata": {"name": klass}, "spec": spec})
    listener = {"name": "web", "port": 80, "protocol": "HTTP"}
    meta = {"name": name, "namespace": setting.key.namespace}
    spec = {"gatewayClassName": klass, "listeners": [listener]}
    api.create({**head, "kind": "Gateway", "metadata": meta, "spec": spec})
    told = {"supportedFeatures": [{"name": feature} for feature in sorted(features)]}
    if features:
        api.patch("GatewayClass", klass, {"status": told}, api=GATEWAY, sub="status")


SHADOW = STRATEGIES["mirror"]
WHOLE_SHADOW = {"steps": [{"shadow": {"percent": 100}}, {"switch": {}}]}
MIRRORS = ("HTTPRoute", "HTTPRouteRequestMirror")


@pytest.mark.parametrize(
    ("features", "strategy", "lacks"),
    [
        ((), SHADOW, ""),
        (("HTTPRoute",), SHADOW, "HTTPRouteRequestMirror"),
        (MIRRORS, SHADOW, "HTTPRouteRequestPercentageMirror"),
        (MIRRORS, WHOLE_SHADOW, ""),
        ((*MIRRORS, "HTTPRouteRequestPercentageMirror"), SHADOW, ""),
        (("HTTPRoute",), STRATEGIES["match"], ""),
    ],
    ids=["class tells nothing", "no mirror", "no share", "whole", "all", "no shadow"],
)
async def test_a_shadow_is_refused_where_the_class_cannot_mirror(
    setting: Setting, features: tuple[str, ...], strategy: Object, lacks: str
) -> None:
    make_gateway(setting, *features)
    rollout = setting.with_spec(strategy=strategy)
    setting.router.check(rollout)
    await setting.router.learn(rollout)
    if not lacks:
        setting.router.check(rollout)
        return
    klass = f"GatewayClass class-{setting.key.namespace}-internal .of Gateway {setting.key.namespace}/internal."
    said = rf"spec.strategy.steps\[1\] .shadow 20%.: router gatewayAPI cannot mirror: {klass} lacks {lacks}; use a gat"
    with pytest.raises(TerminalError, match=said):
        setting.router.check(rollout)


async def test_the_gateways_of_an_adopted_route_are_its_own(adopted: Setting) -> None:
    make_gateway(adopted, "HTTPRoute", name="theirs")
    adopted.edit(lambda spec: spec.update(parentRefs=[{"name": "theirs"}]))
    rollout = adopted.with_spec(strategy=SHADOW)
    await adopted.set(ALL)
    await adopted.router.learn(rollout)
    with pytest.raises(TerminalError, match="lacks HTTPRouteRequestMirror"):
        adopted.router.check(rollout)


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ({"headers": {"X-A": "1", "x-a": "2"}}, "cannot match header x-a twice; ask for each header once"),
        ({"headers": {"Cookie": "a=1"}, "cookies": {"b": "2"}}, "cannot match header cookie twice"),
        ({"cookies": {letter * 100: "x" * 250 for letter in "abcd"}}, "characters, of at most 4096; ask for fewer"),
    ],
    ids=["twice", "cookie header", "long"],
)
async def test_a_match_that_no_route_can_say_is_refused(setting: Setting, match: Object, said: str) -> None:
    wanted = setting.with_spec(strategy={"steps": [{"pause": {}}, {"match": match}, {"switch": {}}]})
    with pytest.raises(TerminalError, match=rf"spec.strategy.steps\[1\] .*router gatewayAPI .*{said}"):
        setting.router.check(wanted)


async def test_adoption_writes_where_it_must_and_nowhere_else(adopted: Setting) -> None:
    theirs = adopted.raw()
    await adopted.set(BETA, "7")
    raw = adopted.raw()
    first, extra, rule, last = raw["spec"]["rules"]
    assert (first, last) == (theirs["spec"]["rules"][0], theirs["spec"]["rules"][2])
    before = theirs["spec"]["rules"][1]
    assert {key for key in rule if rule[key] != before.get(key)} == {"backendRefs"}
    assert extra["name"] == "model-fraud"
    # Requests that match are treated as all others of the rule: its filters and timeouts hold for them too.
    assert {key for key in extra if extra[key] != rule.get(key)} == {"name", "matches", "backendRefs"}
    assert [[header["name"] for header in one["headers"]] for one in extra["matches"]] == [
        ["X-Canary", "cookie"],
        ["X-Region", "X-Canary", "cookie"],
    ]
    assert raw["metadata"]["annotations"] == {
        "team": "risk",
        "rollout.modelrollout.dev/fraud": "model",
        "latch.modelrollout.dev/fraud": "7",
    }
    assert raw["metadata"]["labels"] == {"modelrollout.dev/name": ""}
    assert "ownerReferences" not in raw["metadata"]


async def test_a_rule_of_ours_in_the_wrong_place_is_put_right(adopted: Setting) -> None:
    await adopted.set(BETA)
    wanted = adopted.raw()["spec"]["rules"]
    adopted.edit(lambda spec: spec["rules"].append(spec["rules"].pop(1)))
    await adopted.set(BETA)
    assert adopted.raw()["spec"]["rules"] == wanted


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ({"name": "absent", "rule": "model"}, "HTTPRoute .*/absent does not exist; create it with an entry named"),
        ({"name": "shop", "rule": "absent"}, r"no entry named 'absent' in spec.rules .named are: other, model.; give"),
    ],
    ids=["route", "rule"],
)
async def test_what_is_not_there_cannot_be_adopted(adopted: Setting, route: Object, said: str) -> None:
    before = adopted.raw()
    rollout = adopted.with_spec(traffic={"gatewayAPI": {"route": route}})
    assert adopted.router.read(rollout) is None
    with pytest.raises(TerminalError, match=rf"ModelRollout .*/fraud: spec.traffic.gatewayAPI.route: .*{said}"):
        await adopted.router.set(rollout, ALL, None)
    assert adopted.raw() == before


async def test_a_rule_that_lost_its_name_is_asked_for(adopted: Setting) -> None:
    await adopted.set(HALF)
    adopted.edit(lambda spec: spec["rules"][1].update(name="renamed"))
    assert adopted.read() is None
    with pytest.raises(TerminalError, match="named are: other, renamed"):
        await adopted.set(HALF)


async def test_one_rule_has_one_rollout(adopted: Setting) -> None:
    await adopted.set(ALL)
    other = adopted.rollout.model_copy(update={"metadata": adopted.rollout.metadata.model_copy(update={"name": "b"})})
    with pytest.raises(TerminalError, match=r"entry 'model' of HTTPRoute .*/shop is adopted by rollout fraud already"):
        await adopted.router.set(other, ALL, None)


async def test_two_rollouts_share_a_route_by_rules(adopted: Setting) -> None:
    await adopted.set(BETA, "3")
    traffic = {"gatewayAPI": {"route": {"name": "shop", "rule": "other"}}}
    second = adopted.with_spec(traffic=traffic)
    second = second.model_copy(update={"metadata": second.metadata.model_copy(update={"name": "second"})})
    await adopted.router.set(second, HALF, "5")
    adopted.watch()
    found = adopted.router.read(second)
    assert found is not None
    assert (found.split, found.current, found.latch) == (HALF, True, "5")
    assert (adopted.route().split, adopted.route().current, adopted.route().latch) == (BETA, True, "3")


async def test_the_route_of_a_rollout_is_not_adopted(setting: Setting) -> None:
    await setting.set(ALL)
    traffic = {"gatewayAPI": {"route": {"name": "fraud", "rule": "modelrollout"}}}
    second = setting.with_spec(traffic=traffic)
    second = second.model_copy(update={"metadata": second.metadata.model_copy(update={"name": "second"})})
    with pytest.raises(TerminalError, match="was made by rollout fraud; name an object that no rollout made"):
        await setting.router.set(second, ALL, None)


async def test_a_header_that_the_rule_matches_itself_cannot_be_matched_again(adopted: Setting) -> None:
    split = Split({STABLE: 100}, matched=Matched(CANDIDATE, (("x-region", "us"),)))
    before = adopted.raw()
    with pytest.raises(TerminalError, match=r"matches header x-region itself; match another header in .*\.steps"):
        await adopted.set(split)
    split = Split({STABLE: 100}, matched=Matched(CANDIDATE, patterns=(("x-region", "^.*(?:7[0-9])$"),)))
    with pytest.raises(TerminalError, match=r"matches header x-region itself; match another header in .*\.sticky"):
        await adopted.set(split)
    assert adopted.raw() == before


async def test_both_kinds_are_watched(setting: Setting) -> None:
    assert {HTTP_ROUTES, GRPC_ROUTES} <= set(setting.routers.resources)


async def test_a_patch_of_an_older_state_is_a_conflict(adopted: Setting) -> None:
    version = adopted.raw()["metadata"]["resourceVersion"]
    adopted.annotate(team="other")
    before = adopted.raw()
    operation = {"op": "remove", "path": "/spec/rules/1/backendRefs"}
    with pytest.raises(ConflictError):
        await adopted.connection.patch(HTTP_ROUTES, adopted.key.namespace, "shop", version, [operation])
    assert adopted.raw() == before


ENVOY = "gateway.envoyproxy.io/gatewayclass-controller"


def taken(setting: Setting, controller: str) -> None:
    """Play a gateway of some kind, which takes the route as it is."""
    raw = setting.raw()
    refs = raw["spec"]["parentRefs"]
    answer(
        setting, raw, *(parent(raw, ref, controller=controller, Accepted="True", ResolvedRefs="True") for ref in refs)
    )


async def warmed(setting: Setting) -> None:
    """Play the gateway, and wait until the router has the rollout looked at again."""
    taken(setting, ENVOY)
    setting.watch()
    setting.woken.clear()
    async with asyncio.timeout(10):
        await setting.woken.wait()


@pytest.mark.parametrize("case", [OWN, GRPC], ids=lambda case: case.name)
async def test_envoy_gateway_keeps_naming_what_it_took_requests_from(
    api: Kube, connection: Api, namespace: str, case: Case
) -> None:
    """A Service that no rule names loses its cluster before Envoy hears of the new rules: requests would fail."""
    setting = Setting(case, api, connection, namespace)
    await setting.set(ALL)
    taken(setting, ENVOY)
    setting.watch()
    await setting.set(Split({CANDIDATE: 100}))
    assert setting.route().split == ALL, "the candidate is named before it gets requests"
    assert setting.route().kept == {CANDIDATE}
    await warmed(setting)
    await setting.set(Split({CANDIDATE: 100}))

    rule, keep = setting.raw()["spec"]["rules"]
    assert [(one["name"], one["weight"]) for one in rule["backendRefs"]] == [(f"fraud-{CANDIDATE}", 100)]
    assert [one["name"] for one in keep["backendRefs"]] == [f"fraud-{STABLE}"]
    assert keep["matches"][0]["headers"][0]["value"] == setting.rollout.metadata.uid
    taken(setting, ENVOY)
    route = setting.route()
    assert (route.split, route.kept) == (Split({CANDIDATE: 100}), {STABLE})
    assert route.current
    assert route.accepted

    setting.watch()
    await setting.set(Split({STABLE: 100}), "1")
    assert (setting.route().split, setting.route().kept) == (ALL, {CANDIDATE}), "the way back is one write"


async def test_an_adopted_rule_keeps_its_backends_on_envoy_gateway(adopted: Setting) -> None:
    theirs = adopted.raw()["spec"]["rules"]
    taken(adopted, ENVOY)
    await adopted.set(ALL)
    *rules, keep = adopted.raw()["spec"]["rules"]
    assert rules == theirs, "stable is named before it gets requests"
    assert (keep["name"], [one["name"] for one in keep["backendRefs"]]) == ("model-fraud-keep", [f"fraud-{STABLE}"])
    assert adopted.route().kept == {STABLE}
    await warmed(adopted)
    await adopted.set(ALL)
    *_, keep = adopted.raw()["spec"]["rules"]
    assert [one["name"] for one in keep["backendRefs"]] == ["old"], "what had the requests until now"
    assert (adopted.route().split, adopted.route().current) == (ALL, True)

    for told, now in ((ALL, HALF), (HALF, HALF)):
        adopted.watch()
        await adopted.set(HALF, "1")
        assert (adopted.route().split, adopted.route().latch) == (told, None if told == ALL else "1")
        if told != now:
            await warmed(adopted)
    assert [rule.get("name") for rule in adopted.raw()["spec"]["rules"]] == ["other", "model", None]

    adopted.watch()
    await adopted.set(ALL, "2")
    assert (adopted.route().split, adopted.route().kept) == (ALL, {CANDIDATE}), "the way back is one write"


async def test_a_match_that_ends_is_kept_too(setting: Setting) -> None:
    await setting.set(BETA)
    taken(setting, ENVOY)
    setting.watch()
    await setting.set(ALL)
    assert setting.route().kept == {CANDIDATE}


async def test_other_gateways_are_told_nothing_more_than_they_need(setting: Setting) -> None:
    await setting.set(ALL)
    accept(setting)
    setting.watch()
    await setting.set(Split({CANDIDATE: 100}))
    assert len(setting.raw()["spec"]["rules"]) == 1
