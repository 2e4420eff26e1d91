"""What only Traefik has: TraefikServices around others, and IngressRoutes of our own."""

from typing import Any

import pytest

from modelrollout.adapters.kubernetes.client import Api
from modelrollout.core.split import COMPARER, Matched, Mirror, Split
from tests.contract.routers.case import CANDIDATE, STABLE, Setting
from tests.contract.routers.traefik import CASES
from tests.support.kube import Kube, KubeError, Object

ALONE, ROUTED = CASES
TRAEFIK = "traefik.io/v1alpha1"
ALL = Split({STABLE: 100})
MIRRORED = Split({STABLE: 100}, mirror=Mirror(20, COMPARER))
MATCHED = Split({STABLE: 100}, matched=Matched(CANDIDATE, (("X-Canary", "yes"),)))


@pytest.fixture
def setting(api: Kube, connection: Api, namespace: str) -> Setting:
    return Setting(ROUTED, api, connection, namespace)


def found(setting: Setting, kind: str, name: str) -> Object | None:
    try:
        return setting.api.get(kind, name, api=TRAEFIK, namespace=setting.key.namespace)
    except KubeError as error:
        assert error.code == 404  # noqa: PT017
        return None


def entry(setting: Setting, name: str = "fraud") -> Any:
    raw = found(setting, "IngressRoute", name)
    return raw["spec"] if raw else None


def versions(setting: Setting) -> tuple[int, int]:
    """Return when TraefikService and IngressRoute were written last."""
    both = (found(setting, kind, "fraud") for kind in ("TraefikService", "IngressRoute"))
    service, route = (int(raw["metadata"]["resourceVersion"]) for raw in both if raw is not None)
    return service, route


async def test_those_who_matched_are_joined_by_all_others_before_the_match_ends(setting: Setting) -> None:
    await setting.set(MATCHED)
    before = versions(setting)
    await setting.set(Split({CANDIDATE: 100}))
    half = versions(setting)
    assert (half[0] > before[0], half[1]) == (True, before[1])
    assert setting.route().split == Split({CANDIDATE: 100}, matched=MATCHED.matched)
    setting.woken.clear()
    await setting.woken.wait()
    await setting.set(Split({CANDIDATE: 100}))
    assert (setting.route().split, setting.route().current) == (Split({CANDIDATE: 100}), True)


@pytest.mark.parametrize("split", [ALL, Split({STABLE: 50, CANDIDATE: 50})], ids=["rollback", "weights"])
async def test_a_match_ends_with_the_first_write_where_others_do_not_join(setting: Setting, split: Split) -> None:
    await setting.set(MATCHED)
    await setting.set(Split({CANDIDATE: 100}))
    await setting.set(split)
    assert (setting.route().split, setting.route().current) == (split, True)
    service, route = versions(setting)
    assert route < service


async def test_a_mirror_leaves_nothing_behind(setting: Setting) -> None:
    await setting.set(MIRRORED)
    assert set(setting.raw()["spec"]) == {"mirroring"}
    assert found(setting, "TraefikService", "fraud-weighted") is not None
    await setting.set(ALL)
    assert set(setting.raw()["spec"]) == {"weighted"}
    assert found(setting, "TraefikService", "fraud-weighted") is None


async def test_an_edit_of_what_a_mirror_is_around_is_seen(setting: Setting) -> None:
    await setting.set(MIRRORED)
    patch = {"spec": {"weighted": {"services": [{"name": f"fraud-{CANDIDATE}", "port": 80, "weight": 1}]}}}
    setting.api.patch("TraefikService", "fraud-weighted", patch, api=TRAEFIK, namespace=setting.key.namespace)
    assert setting.route().split.weights == {CANDIDATE: 1}
    await setting.set(MIRRORED)
    assert (setting.route().split, setting.route().current) == (MIRRORED, True)


async def test_weights_of_others_beside_our_mirror_would_win_and_are_taken_out(setting: Setting) -> None:
    await setting.set(MIRRORED)
    setting.edit(lambda spec: spec.update(weighted={"services": [{"name": "theirs", "port": 80}]}))
    assert not setting.route().current
    await setting.set(MIRRORED)
    assert setting.route().current
    assert set(setting.raw()["spec"]) == {"mirroring"}


async def test_a_route_of_our_own_leads_to_the_weights(setting: Setting) -> None:
    await setting.set(ALL)
    spec = entry(setting)
    assert spec["entryPoints"] == ["web"]
    assert [one["services"] for one in spec["routes"]] == [[{"name": "fraud", "kind": "TraefikService"}]]
    await setting.set(MATCHED)
    assert [one["services"][0]["name"] for one in entry(setting)["routes"]] == [f"fraud-{CANDIDATE}", "fraud"]
    await setting.set(ALL)
    assert entry(setting) == spec


async def test_tls_and_middlewares_are_the_business_of_others(setting: Setting) -> None:
    await setting.set(ALL)
    tls = {"secretName": "fraud-tls"}
    patch = {"spec": {"tls": tls}}
    setting.api.patch("IngressRoute", "fraud", patch, api=TRAEFIK, namespace=setting.key.namespace)
    assert setting.route().current
    await setting.set(MATCHED)
    assert entry(setting)["tls"] == tls
    assert (setting.route().split, setting.route().current) == (MATCHED, True)


async def test_an_edit_of_our_route_is_seen(setting: Setting) -> None:
    await setting.set(MATCHED)
    spec = entry(setting)
    for routes in ([spec["routes"][1]], spec["routes"][::-1], []):
        patch = {"spec": {"routes": routes}}
        setting.api.patch("IngressRoute", "fraud", patch, api=TRAEFIK, namespace=setting.key.namespace)
        assert not (setting.route().current and setting.route().split == MATCHED)
        await setting.set(MATCHED)
        assert (setting.route().split, setting.route().current) == (MATCHED, True)
    setting.api.delete("IngressRoute", "fraud", api=TRAEFIK, namespace=setting.key.namespace)
    assert not setting.route().current


async def test_a_route_that_is_no_longer_wanted_goes_but_not_that_of_others(setting: Setting) -> None:
    await setting.set(ALL)
    setting.rollout = setting.with_spec(traffic=ALONE.traffic)
    assert not setting.route().current
    await setting.set(ALL)
    assert entry(setting) is None
    assert setting.route().current
    theirs = {
        "apiVersion": TRAEFIK,
        "kind": "IngressRoute",
        "metadata": {
            "name": "fraud",
            "namespace": setting.key.namespace,
            "labels": {"modelrollout.dev/name": "fraud"},
        },
        "spec": {"routes": [{"match": "Host(`a`)", "kind": "Rule", "services": [{"name": "fraud"}]}]},
    }
    setting.api.create(theirs)
    assert setting.route().current
    await setting.set(Split({CANDIDATE: 100}))
    assert entry(setting) == theirs["spec"]


async def test_the_preview_has_a_route_beside_ours(setting: Setting) -> None:
    setting.rollout = setting.with_spec(traffic={**ROUTED.traffic, "preview": {"hostnames": ["p.example"]}})
    await setting.set(ALL)
    assert entry(setting, "fraud-preview")["routes"][0]["match"] == 'Host("p.example")'
    assert setting.route().current
    setting.api.delete("IngressRoute", "fraud-preview", api=TRAEFIK, namespace=setting.key.namespace)
    assert not setting.route().current
    await setting.set(ALL)
    assert setting.route().current
    setting.rollout = setting.with_spec()
    assert not setting.route().current
    await setting.set(ALL)
    assert entry(setting, "fraud-preview") is None
    assert setting.route().current
