"""Routes that somebody else owns, and rollouts that are reached in several ways at once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from lab.paths import ENVOY_GATEWAY, GATEWAY

from tests.e2e.conftest import Begin
from tests.support.cells import BUDGET, Cell, cell
from tests.support.kube import Kube
from tests.support.lab import available, eventually
from tests.support.story import API, NAME, Story, template

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

RATE = 40
ROUTES = "gateway.networking.k8s.io/v1"
ENTRIES = {"traefik": ("gateway", GATEWAY, "traefik"), "envoy": ("envoy", ENVOY_GATEWAY, "envoy-gateway")}
"""Gateway -> the namespace of its Gateway, where it answers, and the preset that reads its metrics."""
RULES = [
    {
        "name": "old",
        "matches": [{"path": {"type": "PathPrefix", "value": "/old"}}],
        "filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "new.example.com", "statusCode": 302}}],
    },
    {
        "name": "fraud",
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "filters": [
            {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "X-Shop", "value": "yes"}]}}
        ],
        "backendRefs": [{"name": "legacy", "port": 80}],
    },
]


def shop(namespace: str) -> Callable[[Story], None]:
    """Return what a shop has before anything is rolled out: a model, and a route to it with a redirect beside."""

    def begin(story: Story) -> None:
        kube, place = story.kube, {"name": "legacy", "namespace": story.namespace}
        labels = {"app": "legacy"}
        pod = template(MODEL_VERSION=0)
        pod["metadata"]["labels"] = labels
        spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}
        kube.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": place, "spec": spec})
        ports = [{"port": 80, "targetPort": 8080}]
        kube.apply(
            {"apiVersion": "v1", "kind": "Service", "metadata": place, "spec": {"selector": labels, "ports": ports}}
        )
        eventually("the shop's model is ready", lambda: available(kube, story.namespace, "legacy"), 60)
        metadata = {"name": "shop", "namespace": story.namespace, "annotations": {"shop.example.com/owner": "web"}}
        parents = [{"name": "public", "namespace": namespace}]
        route = {"parentRefs": parents, "hostnames": [story.host], "rules": RULES}
        kube.apply({"apiVersion": ROUTES, "kind": "HTTPRoute", "metadata": metadata, "spec": route}, manager="shop")
        story.start_load(RATE).wait_for_answers(2 * RATE)

    return begin


def theirs(kube: Kube, story: Story) -> dict[str, Any]:
    """Return all of the route that is not the rollout's."""
    route = kube.get("HTTPRoute", "shop", api=ROUTES, namespace=story.namespace)
    ours = ("fraud-fraud", "fraud-fraud-keep")  # as the page of the Gateway API calls them
    others = [rule for rule in route["spec"]["rules"] if rule["name"] not in ours]
    rules = [{key: value for key, value in rule.items() if key != "backendRefs"} for rule in others]
    notes = {key: value for key, value in route["metadata"]["annotations"].items() if "modelrollout.dev" not in key}
    return {"rules": rules, "notes": notes, **{key: route["spec"][key] for key in ("parentRefs", "hostnames")}}


@pytest.mark.parametrize("gateway", ["traefik", "envoy"])
def test_a_rule_of_somebody_elses_route(begin: Begin, lab: Kube, gateway: str) -> None:
    namespace, address, preset = ENTRIES[gateway]
    before: dict[str, Any] = {}

    def prepare(story: Story) -> None:
        shop(namespace)(story)
        before.update(theirs(lab, story))

    traffic = {"gatewayAPI": {"route": {"name": "shop", "rule": "fraud"}}}
    analysis = {"preset": preset, "metrics": [{"name": "errors"}], "harmBudget": BUDGET}
    story = begin(
        f"shop-{gateway}",
        cell=cell("canary", f"gateway-api/{gateway}"),
        before=prepare,
        traffic=traffic,
        analysis=analysis,
    )
    story.until(120, phase="Promoted")
    assert story.load is not None
    story.release(2)
    story.until_weight(20)
    with httpx.Client(base_url=address, trust_env=False, timeout=5, headers={"Host": story.host}) as client:
        assert client.get("/v2/models/fraud").headers["X-Shop"] == "yes"
        moved = client.get("/old")
        assert (moved.status_code, moved.headers["Location"].rstrip("/")) == (302, "http://new.example.com/old")
    story.until_move("Completed", 120)
    assert theirs(lab, story) == before

    story.release(3, ERROR_RATE=0.5)
    story.until_move("RolledBack", 120)
    story.until(10, phase="RolledBack")
    assert theirs(lab, story) == before

    lab.delete("ModelRollout", NAME, api=API, namespace=story.namespace)
    named = lambda: lab.list("ModelRollout", api=API, namespace=story.namespace)  # noqa: E731
    eventually("the rollout is gone", lambda: not named(), 30)
    story.load.wait_for_answers(story.load.tally.requests + 10 * RATE)
    assert theirs(lab, story) == before
    tally = story.stop_load()
    failed = {version: count.failed for version, count in tally.versions.items() if count.failed}
    assert failed.keys() <= {"3"}, tally
    assert tally.versions.keys() == {"0", "1", "2", "3"}


@pytest.mark.parametrize(
    ("first", "second"),
    [("gateway-api/envoy", "service"), ("gateway-api/traefik", "service"), ("gateway-api/envoy", "traefik")],
)
def test_several_ways_at_once(begin: Begin, first: str, second: str) -> None:
    one, two = cell("canary", first), cell("canary", second)

    def both(host: str) -> dict[str, Any]:
        return {**one.router.traffic(host), **two.router.traffic(host)}

    # Where all requests come together, as the page of several routers says.
    way = replace(one.router, traffic=both, preset="model-server")
    name = f"both-{first.rpartition('/')[2]}-{second}"
    story = begin(name, cell=Cell(one.strategy, way, BUDGET), strategy=two.strategy.spec(two.router))
    story.until(120, phase="Promoted")
    story.start_load(RATE).wait_for_answers(2 * RATE)
    story.start_more(second, RATE).wait_for_answers(2 * RATE)
    story.release(2)
    story.until_move("Completed", 180)
    for tally in (story.stop_load(), story.others.pop().stop()):
        assert tally.failed == 0, tally
        assert tally.versions.keys() == {"1", "2"}, tally
