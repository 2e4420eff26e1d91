"""What only Istio has: DestinationRules, preview VirtualServices, and what owners of an adopted one do meanwhile."""

from typing import Any

import pytest

from modelrollout.adapters.kubernetes.client import Api
from modelrollout.core.split import COMPARER, Matched, Mirror, Split
from modelrollout.ports import TerminalError
from tests.contract.routers.case import CANDIDATE, STABLE, Setting
from tests.contract.routers.istio import CASES, POLICY
from tests.support.kube import Kube, Object

OWN, RULED, ADOPTED = CASES
ISTIO = "networking.istio.io/v1"
ALL, BOTH = Split({STABLE: 100}), Split({STABLE: 95, CANDIDATE: 5})
MATCHED = Split({STABLE: 100}, matched=Matched(CANDIDATE, (("X-Canary", "yes"),)))


@pytest.fixture
def setting(api: Kube, connection: Api, namespace: str) -> Setting:
    return Setting(RULED, api, connection, namespace)


@pytest.fixture
def adopted(api: Kube, connection: Api, namespace: str) -> Setting:
    return Setting(ADOPTED, api, connection, namespace)


def rules(setting: Setting) -> dict[str, Any]:
    """Return the trafficPolicy of each DestinationRule by its host."""
    found = setting.api.list("DestinationRule", api=ISTIO, namespace=setting.key.namespace)
    assert all(raw["metadata"]["name"] == raw["spec"]["host"] for raw in found)
    return {raw["spec"]["host"]: raw["spec"]["trafficPolicy"] for raw in found}


def hosts(*revisions: str) -> dict[str, Any]:
    return {f"fraud-{revision}": POLICY for revision in revisions}


async def test_each_revision_that_gets_requests_has_the_policy(setting: Setting) -> None:
    await setting.set(ALL)
    assert rules(setting) == hosts(STABLE)
    for split in (BOTH, MATCHED, Split({STABLE: 100}, mirror=Mirror(5, CANDIDATE))):
        await setting.set(split)
        assert rules(setting) == hosts(STABLE, CANDIDATE)
        setting.watch()
    await setting.set(Split({CANDIDATE: 100}))
    assert rules(setting) == hosts(CANDIDATE)
    setting.watch()
    await setting.set(Split({CANDIDATE: 100}, mirror=Mirror(5, COMPARER)))
    assert rules(setting) == hosts(CANDIDATE)


async def test_a_policy_that_others_changed_or_took_away_is_a_difference(setting: Setting) -> None:
    await setting.set(BOTH)
    name = f"fraud-{CANDIDATE}"
    patch = {"spec": {"trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}}
    setting.api.patch("DestinationRule", name, patch, api=ISTIO, namespace=setting.key.namespace)
    assert not setting.route().current
    await setting.set(BOTH)
    assert setting.route().current
    assert rules(setting) == hosts(STABLE, CANDIDATE)
    setting.api.delete("DestinationRule", name, api=ISTIO, namespace=setting.key.namespace)
    assert not setting.route().current
    await setting.set(BOTH)
    assert setting.route().current


async def test_without_a_policy_its_rules_go_but_not_those_of_others(setting: Setting) -> None:
    await setting.set(BOTH)
    labels = {"modelrollout.dev/name": "fraud"}
    meta = {"name": "theirs", "namespace": setting.key.namespace, "labels": labels}
    spec = {"host": "theirs", "trafficPolicy": POLICY}
    setting.api.create({"apiVersion": ISTIO, "kind": "DestinationRule", "metadata": meta, "spec": spec})
    setting.watch()
    setting.rollout = setting.with_spec(traffic=OWN.traffic)
    await setting.set(BOTH)
    assert set(rules(setting)) == {"theirs"}
    assert setting.route().current


async def test_what_others_add_beside_http_stays(setting: Setting) -> None:
    await setting.set(ALL)
    tcp = [{"route": [{"destination": {"host": "other"}}]}]

    def add(spec: Object) -> None:
        spec.update(tcp=tcp, exportTo=["."])

    setting.edit(add)
    assert setting.route().current
    await setting.set(BOTH)
    spec = setting.raw()["spec"]
    assert (spec["tcp"], spec["exportTo"]) == (tcp, ["."])


async def test_the_preview_has_a_virtual_service_of_its_own(setting: Setting) -> None:
    setting.rollout = setting.with_spec(traffic={**RULED.traffic, "preview": {"hostnames": ["p.example"]}})
    await setting.set(ALL)
    found = setting.api.get("VirtualService", "fraud-preview", api=ISTIO, namespace=setting.key.namespace)
    assert found["spec"]["hosts"] == ["p.example"]
    assert setting.route().current
    setting.api.delete("VirtualService", "fraud-preview", api=ISTIO, namespace=setting.key.namespace)
    assert not setting.route().current
    await setting.set(ALL)
    setting.rollout = setting.with_spec()
    assert not setting.route().current
    await setting.set(ALL)
    names = setting.api.list("VirtualService", api=ISTIO, namespace=setting.key.namespace)
    assert [raw["metadata"]["name"] for raw in names] == ["fraud"]
    assert setting.route().current


def model(setting: Setting) -> Object:
    return next(one for one in setting.raw()["spec"]["http"] if one.get("name") == "model")


async def test_a_match_goes_before_the_adopted_route_and_leaves_no_trace(adopted: Setting) -> None:
    await adopted.set(ALL)
    before = adopted.raw()["spec"]
    await adopted.set(MATCHED)
    names = [one.get("name") for one in adopted.raw()["spec"]["http"]]
    assert names == ["other", "model-fraud", "model", None]
    ours = adopted.raw()["spec"]["http"][1]
    assert [match["uri"] for match in ours["match"]] == [match["uri"] for match in model(adopted)["match"]]
    assert ours["timeout"] == "10s"
    await adopted.set(ALL)
    assert adopted.raw()["spec"] == before


async def test_what_the_owner_changes_in_a_matched_route_is_taken_over(adopted: Setting) -> None:
    await adopted.set(MATCHED)

    def change(spec: Object) -> None:
        next(one for one in spec["http"] if one.get("name") == "model")["timeout"] = "20s"

    adopted.edit(change)
    assert not adopted.route().current
    await adopted.set(MATCHED)
    assert adopted.route().current
    assert {one["timeout"] for one in adopted.raw()["spec"]["http"] if "timeout" in one} == {"20s"}


async def test_a_header_that_the_adopted_route_matches_itself_is_refused(adopted: Setting) -> None:
    await adopted.set(ALL)
    split = Split({STABLE: 100}, matched=Matched(CANDIDATE, (("X-Region", "eu"),)))
    words = "virtualService: route 'model' of VirtualService shop matches header x-region itself; match another header"
    with pytest.raises(TerminalError, match=rf"{words} in spec.strategy.steps"):
        await adopted.set(split)
    split = Split({STABLE: 100}, matched=Matched(CANDIDATE, patterns=(("X-Region", "^.*(?:7[0-9])$"),)))
    with pytest.raises(TerminalError, match=rf"{words} in spec.strategy.sticky"):
        await adopted.set(split)
    assert (adopted.route().split, adopted.route().current) == (ALL, True)
    # Should its owner begin to match it later, that is a difference, and the next write says so.
    await adopted.set(MATCHED)

    def change(spec: Object) -> None:
        entry = next(one for one in spec["http"] if one.get("name") == "model")
        entry["match"][1]["headers"] = {"x-canary": {"exact": "no"}}

    adopted.edit(change)
    assert not adopted.route().current
    with pytest.raises(TerminalError, match="matches header x-canary itself"):
        await adopted.set(MATCHED)
    await adopted.set(ALL)
    assert (adopted.route().split, adopted.route().current) == (ALL, True)
