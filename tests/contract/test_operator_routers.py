"""The whole operator on a real API server, and what is special to routers in it."""

import asyncio

from tests.contract.operator_story import GATEWAY, operator, rollout
from tests.contract.test_operator import begin, condition, serves
from tests.support.kube import Kube, Object

SHADOW = {"steps": [{"shadow": {"percent": 20}}, {"weight": 50}], "minStepDuration": "1s", "guard": {"duration": "2s"}}


def make_gateway(api: Kube, namespace: str) -> None:
    """Create the Gateway `public`, of a class that tells what it supports, and no mirror."""
    klass = f"class-{namespace}"
    spec: Object = {"controllerName": "gateway.example/controller"}
    api.create({"apiVersion": GATEWAY, "kind": "GatewayClass", "metadata": {"name": klass}, "spec": spec})
    features = {"status": {"supportedFeatures": [{"name": "Gateway"}, {"name": "HTTPRoute"}]}}
    api.patch("GatewayClass", klass, features, api=GATEWAY, sub="status")
    spec = {"gatewayClassName": klass, "listeners": [{"name": "web", "port": 80, "protocol": "HTTP"}]}
    meta = {"name": "public", "namespace": namespace}
    api.create({"apiVersion": GATEWAY, "kind": "Gateway", "metadata": meta, "spec": spec})


async def test_a_shadow_that_the_gateway_cannot_carry_is_refused_before_anything_moves(
    api: Kube, namespace: str
) -> None:
    await asyncio.to_thread(make_gateway, api, namespace)
    async with operator(api, namespace) as story:
        stable = await begin(story)
        before = story.writes()
        await story.apply(rollout(namespace, "model:2", strategy=SHADOW))
        raw = await story.until(
            "refused", lambda status: "lacks HTTPRouteRequestMirror" in condition(status, "Stalled").get("message", "")
        )
        assert (
            "spec.strategy.steps[0] (shadow 20%): router gatewayAPI" in condition(raw["status"], "Stalled")["message"]
        )
        assert raw["status"]["stable"] == stable
        written = {name for name, count in story.writes().items() if count != before.get(name)}
        assert not {name for name in written if "deployments" in name or "httproutes" in name}

        await story.apply(rollout(namespace, "model:2"))
        done = await story.until("promoted", lambda status: serves(status) and status["stable"] != stable)
        assert condition(done["status"], "Stalled")["status"] == "False"


async def test_a_canary_over_a_rule_of_somebody_else(api: Kube, namespace: str) -> None:
    rules: list[Object] = [
        {"name": "health", "matches": [{"path": {"type": "Exact", "value": "/health"}}], "backendRefs": []},
        {"name": "fraud", "matches": [{"path": {"type": "PathPrefix", "value": "/v2"}}], "timeouts": {"request": "9s"}},
    ]
    meta = {"name": "shop", "namespace": namespace}
    spec: Object = {"parentRefs": [{"name": "public"}], "hostnames": ["shop.example.com"], "rules": rules}
    theirs = {"apiVersion": GATEWAY, "kind": "HTTPRoute", "metadata": meta, "spec": spec}
    before = await asyncio.to_thread(api.create, theirs)
    traffic = {"gatewayAPI": {"route": {"name": "shop", "rule": "fraud"}}}
    async with operator(api, namespace) as story:
        stable = await begin(story, traffic=traffic)
        await story.apply(rollout(namespace, "model:2", traffic=traffic))
        done = await story.until("promoted", lambda status: serves(status) and status["stable"] != stable)
        moves = [move["move"] for move in done["status"]["history"]]
        assert moves[-5:] == ["Started", "Weight", "Weight", "Promoted", "Completed"]
        after = await asyncio.to_thread(api.get, "HTTPRoute", "shop", api=GATEWAY, namespace=namespace)
        (backend,) = after["spec"]["rules"][1].pop("backendRefs")
        assert (backend["name"], backend["weight"]) == (f"fraud-{done['status']['stable']}", 100)
        assert after["spec"] == before["spec"]


async def test_a_router_that_was_not_asked_for_is_refused_by_name(api: Kube, namespace: str) -> None:
    async with operator(api, namespace, routers=("service",)) as story:
        await story.apply(rollout(namespace))
        said = "router gatewayAPI is not enabled; add it to the operator's --router"
        await story.until("refused", lambda status: said in condition(status, "Stalled").get("message", ""))


async def test_ports_that_change_at_rest_reach_the_services(api: Kube, namespace: str) -> None:
    def traffic(port: int | str, outside: int) -> Object:
        return {"service": {"name": "public", "port": outside}, "port": port, "preview": {}}

    def ports(name: str) -> tuple[int, int | str]:
        (port,) = api.get("Service", name, api="v1", namespace=namespace)["spec"]["ports"]
        return port["port"], port["targetPort"]

    strategy = {"steps": [{"switch": {}}]}
    async with operator(api, namespace) as story:
        stable = await begin(story, traffic=traffic("http", 80), strategy=strategy)
        await story.eventually("the Service", lambda: ports("public") == (80, "http"))
        for port, outside in ((80, 80), (80, 8000), (8080, 9000)):
            await story.apply(rollout(namespace, traffic=traffic(port, outside), strategy=strategy))
            await story.eventually("the Service follows", lambda: ports("public") == (outside, port))  # noqa: B023
            await story.eventually("so does the preview", lambda: ports("fraud-preview") == (80, port))  # noqa: B023
            assert ports(f"fraud-{stable}") == (80, port)
        status = (await story.get())["status"]
        assert (status["stable"], status["phase"], status.get("attempt", 0)) == (stable, "Promoted", 0)
