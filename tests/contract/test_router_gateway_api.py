"""HTTPRoutes as we write them, and as others leave them."""

from collections.abc import Mapping
from typing import Any

import pytest

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.resources import HTTP_ROUTES
from modelrollout.adapters.routers import Routers
from modelrollout.api.resource import ModelRollout
from modelrollout.core.observed import Route
from modelrollout.core.split import Split
from modelrollout.ports import Key, TerminalError
from tests.support.kube import Kube
from tests.support.rollouts import rollout_in

GATEWAY = "gateway.networking.k8s.io/v1"
STABLE, CANDIDATE = "bbbbbbbbbb", "cccccccccc"
PARENTS = [{"name": "public", "namespace": "gateway", "sectionName": "web"}, {"name": "internal"}]


class Setting:
    """A rollout with its route, and what the cache holds of it."""

    def __init__(self, api: Kube, connection: Api, rollout: ModelRollout) -> None:
        self.api = api
        self.rollout = rollout
        self.key = Key(rollout.metadata.namespace, rollout.metadata.name)
        self.changed: list[Key] = []
        self.routes = Routes(self.changed.append)
        self.router = Routers(connection, self.routes).router_for(rollout)

    async def set(self, weights: Mapping[str, int], latch: str | None = None) -> None:
        await self.router.set(self.rollout, Split(weights), latch)

    def raw(self) -> dict[str, Any]:
        return self.api.get("HTTPRoute", "fraud", api=GATEWAY, namespace=self.key.namespace)

    def route(self) -> Route:
        """Read the route back as a watch would bring it."""
        self.routes.event(HTTP_ROUTES, "MODIFIED", self.raw())
        found = self.router.read(self.rollout)
        assert found is not None
        return found

    def edit(self, patch: dict[str, Any]) -> None:
        self.api.patch("HTTPRoute", "fraud", patch, api=GATEWAY, namespace=self.key.namespace)

    def answer(self, *parents: dict[str, Any]) -> None:
        """Play the gateway."""
        status = {"status": {"parents": list(parents)}}
        self.api.patch("HTTPRoute", "fraud", status, api=GATEWAY, namespace=self.key.namespace, sub="status")

    def parent(self, ref: dict[str, Any], behind: int = 0, **conditions: str) -> dict[str, Any]:
        """Return what a gateway says of one parent: Accepted="True" or Accepted="False"."""
        generation = self.raw()["metadata"]["generation"] - behind
        return {
            "parentRef": ref,
            "controllerName": "gateway.example/controller",
            "conditions": [
                {
                    "type": name,
                    "status": status,
                    "reason": "NoMatchingParent" if status == "False" else name,
                    "message": "no listener named web" if status == "False" else "",
                    "observedGeneration": generation,
                    "lastTransitionTime": "2026-01-02T03:04:05Z",
                }
                for name, status in conditions.items()
            ],
        }


@pytest.fixture
def setting(api: Kube, connection: Api, namespace: str) -> Setting:
    gateway = {"parentRefs": PARENTS, "hostnames": ["fraud.example.com"], "pathPrefix": "/v1"}
    return Setting(api, connection, rollout_in(api, namespace, traffic={"gatewayAPI": gateway}))


async def test_weights_are_written_in_order_and_read_back(setting: Setting) -> None:
    await setting.set({STABLE: 95, CANDIDATE: 5})

    spec = setting.raw()["spec"]
    (rule,) = spec["rules"]
    assert [(backend["name"], backend["weight"]) for backend in rule["backendRefs"]] == [
        (f"fraud-{STABLE}", 95),
        (f"fraud-{CANDIDATE}", 5),
    ]
    assert {backend["port"] for backend in rule["backendRefs"]} == {80}
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/v1"}}]
    assert spec["hostnames"] == ["fraud.example.com"]
    found = setting.route()
    assert dict(found.weights) == {STABLE: 95, CANDIDATE: 5}
    assert list(found.weights) == [STABLE, CANDIDATE]
    assert (found.current, found.accepted, found.latch, found.problem) == (True, False, None, None)


async def test_our_own_write_is_in_the_cache_at_once(setting: Setting) -> None:
    await setting.set({STABLE: 100})
    found = setting.router.read(setting.rollout)
    assert found is not None
    assert dict(found.weights) == {STABLE: 100}
    assert setting.changed == [setting.key]


async def test_writing_the_same_again_changes_nothing(setting: Setting) -> None:
    await setting.set({STABLE: 95, CANDIDATE: 5}, "3")
    before = setting.raw()
    await setting.set({STABLE: 95, CANDIDATE: 5}, "3")
    assert setting.raw() == before
    assert setting.changed == [setting.key]


async def test_the_latch_comes_with_the_write_and_goes_with_the_next(setting: Setting) -> None:
    await setting.set({STABLE: 100, CANDIDATE: 0}, "7")
    assert setting.route().latch == "7"
    await setting.set({STABLE: 100}, None)
    assert setting.route().latch is None


async def test_a_rollout_without_host_names_answers_to_all(api: Kube, connection: Api, namespace: str) -> None:
    setting = Setting(api, connection, rollout_in(api, namespace))
    await setting.set({STABLE: 100})
    assert "hostnames" not in setting.raw()["spec"]
    assert setting.route().current


BACKEND = {"name": f"fraud-{STABLE}", "port": 80, "weight": 95}


@pytest.mark.parametrize(
    ("patch", "weights"),
    [
        ({"spec": {"hostnames": ["other.example.com"]}}, {STABLE: 95, CANDIDATE: 5}),
        ({"spec": {"hostnames": None}}, {STABLE: 95, CANDIDATE: 5}),
        ({"spec": {"parentRefs": [{"name": "other"}]}}, {STABLE: 95, CANDIDATE: 5}),
        ({"spec": {"rules": [{"backendRefs": [BACKEND]}]}}, {STABLE: 95}),
        ({"spec": {"rules": [{"backendRefs": [BACKEND, {"name": "theirs", "port": 80}]}]}}, {STABLE: 95}),
        ({"spec": {"rules": []}}, {}),
    ],
    ids=["hostnames", "no hostnames", "parents", "matches", "foreign backend", "no rules"],
)
async def test_an_edit_of_what_we_own_is_seen_and_written_over(
    setting: Setting, patch: dict[str, Any], weights: dict[str, int]
) -> None:
    await setting.set({STABLE: 95, CANDIDATE: 5})
    ours = setting.raw()["spec"]
    if patch["spec"].get("rules") == []:
        patch = {"spec": {"rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/v1"}}]}]}}
    setting.edit(patch)

    found = setting.route()
    assert not found.current
    assert dict(found.weights) == weights

    await setting.set({STABLE: 95, CANDIDATE: 5})
    assert setting.route().current
    assert setting.raw()["spec"] == ours


async def test_changed_weights_alone_leave_the_route_current(setting: Setting) -> None:
    """Whether weights are the right ones is for the plan to say."""
    await setting.set({STABLE: 95, CANDIDATE: 5})
    rules = setting.raw()["spec"]["rules"]
    rules[0]["backendRefs"][0]["weight"] = 1
    setting.edit({"spec": {"rules": rules}})
    found = setting.route()
    assert (dict(found.weights), found.current) == ({STABLE: 1, CANDIDATE: 5}, True)


async def test_what_others_add_beside_ours_stays(setting: Setting) -> None:
    await setting.set({STABLE: 100})
    setting.edit({"metadata": {"annotations": {"team": "risk"}, "labels": {"team": "risk"}}})
    await setting.set({STABLE: 95, CANDIDATE: 5})
    meta = setting.raw()["metadata"]
    assert (meta["annotations"]["team"], meta["labels"]["team"]) == ("risk", "risk")
    assert setting.route().current


async def test_accepted_needs_every_parent(setting: Setting) -> None:
    await setting.set({STABLE: 100})
    setting.answer(setting.parent(PARENTS[0], Accepted="True", ResolvedRefs="True"))
    assert not setting.route().accepted
    # A gateway may spell out what we left to defaults.
    other = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": setting.key.namespace, **PARENTS[1]}
    setting.answer(
        setting.parent(PARENTS[0], Accepted="True", ResolvedRefs="True"),
        setting.parent(other, Accepted="True", ResolvedRefs="True"),
    )
    found = setting.route()
    assert (found.accepted, found.problem) == (True, None)


async def test_accepted_speaks_of_this_very_generation(setting: Setting) -> None:
    await setting.set({STABLE: 100})
    setting.answer(*(setting.parent(ref, Accepted="True", ResolvedRefs="True") for ref in PARENTS))
    assert setting.route().accepted

    await setting.set({STABLE: 95, CANDIDATE: 5})
    assert not setting.route().accepted

    setting.answer(*(setting.parent(ref, Accepted="True", ResolvedRefs="True") for ref in PARENTS))
    assert setting.route().accepted


async def test_a_refusal_is_told_in_the_gateways_words(setting: Setting) -> None:
    await setting.set({STABLE: 100})
    setting.answer(setting.parent(PARENTS[0], Accepted="False"), setting.parent(PARENTS[1], Accepted="True"))
    found = setting.route()
    assert not found.accepted
    assert found.problem == "Gateway gateway/public: Accepted is False: NoMatchingParent: no listener named web"


async def test_backends_that_do_not_resolve_are_no_acceptance(setting: Setting) -> None:
    await setting.set({STABLE: 100})
    setting.answer(*(setting.parent(ref, Accepted="True", ResolvedRefs="False") for ref in PARENTS))
    found = setting.route()
    assert not found.accepted
    assert found.problem is not None
    assert "ResolvedRefs" in found.problem


async def test_a_refusal_of_an_older_generation_is_no_problem(setting: Setting) -> None:
    await setting.set({STABLE: 100})
    await setting.set({STABLE: 95, CANDIDATE: 5})
    setting.answer(*(setting.parent(ref, behind=1, Accepted="False") for ref in PARENTS))
    found = setting.route()
    assert (found.accepted, found.problem) == (False, None)


async def test_the_route_of_somebody_else_is_not_taken_over(setting: Setting) -> None:
    theirs = {
        "apiVersion": GATEWAY,
        "kind": "HTTPRoute",
        "metadata": {"name": "fraud", "namespace": setting.key.namespace},
        "spec": {"hostnames": ["theirs.example.com"]},
    }
    before = setting.api.create(theirs)
    with pytest.raises(TerminalError, match="exists and was not made by this rollout; delete it, label it"):
        await setting.set({STABLE: 100})
    assert setting.raw() == before

    setting.edit({"metadata": {"labels": {"modelrollout.dev/name": "fraud"}}})
    await setting.set({STABLE: 100})
    assert setting.route().current


async def test_a_route_that_was_never_watched_reads_as_none(setting: Setting) -> None:
    assert setting.router.read(setting.rollout) is None


async def test_deletion_policy_delete_makes_the_rollout_the_owner(api: Kube, connection: Api, namespace: str) -> None:
    setting = Setting(api, connection, rollout_in(api, namespace, deletionPolicy="Delete"))
    await setting.set({STABLE: 100})
    (owner,) = setting.raw()["metadata"]["ownerReferences"]
    assert owner["uid"] == setting.rollout.metadata.uid
