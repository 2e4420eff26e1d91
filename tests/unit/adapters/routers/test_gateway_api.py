"""Routes of the Gateway API: what is refused before anything is written."""

from typing import Any

import pytest

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.routers.gateway_api import GatewayApiRouter
from modelrollout.api.resource import ModelRollout, parse
from modelrollout.ports import TerminalError
from tests.support.rollouts import document
from tests.unit.adapters.routers.test_lookup import Idle


def rollout(kind: str, comparer: bool) -> ModelRollout:
    traffic = {"gatewayAPI": {"kind": kind, "parentRefs": [{"name": "public"}]}}
    shadow: dict[str, Any] = {"percent": 20, "comparer": {"enabled": comparer}}
    return parse(document("shop", traffic=traffic, strategy={"type": "Shadow", "steps": [{"shadow": shadow}]}))


def router() -> GatewayApiRouter:
    return GatewayApiRouter(Api(Idle()), Routes(lambda _: None))


def test_a_comparer_of_grpc_is_refused() -> None:
    with pytest.raises(TerminalError) as refused:
        router().check(rollout("GRPCRoute", comparer=True))
    assert str(refused.value).endswith(
        "spec.strategy.steps[0] (shadow 20%): router gatewayAPI cannot bring gRPC calls to the comparer, which asks by "
        "HTTP/1.1 alone; set shadow.comparer.enabled to false, or take the shadow out"
    )


@pytest.mark.parametrize(("kind", "comparer"), [("GRPCRoute", False), ("HTTPRoute", True), ("HTTPRoute", False)])
def test_other_shadows_are_not(kind: str, comparer: bool) -> None:
    router().check(rollout(kind, comparer))
