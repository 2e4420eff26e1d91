"""Traffic by a Gateway API HTTPRoute or GRPCRoute: our own, of the rollout's name, or one rule of somebody else's."""

from collections.abc import Iterable
from typing import Final

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.resources import GRPC_ROUTES, HTTP_ROUTES, Resource
from modelrollout.adapters.routers.features import Features, Place
from modelrollout.adapters.routers.gateway_adopted import AdoptedRoutes
from modelrollout.adapters.routers.gateway_own import OwnRoutes
from modelrollout.adapters.routers.gateway_rules import LONGEST_VALUE
from modelrollout.adapters.routers.refusing import PREVIEW, asked, check_issued, preview_hostnames, refusal, steps
from modelrollout.api.resource import ModelRollout
from modelrollout.api.strategy import Match
from modelrollout.api.traffic import GatewayAPI
from modelrollout.core.cookies import COOKIE, cookie_pattern
from modelrollout.core.observed import Route
from modelrollout.core.split import Split
from modelrollout.ports import Key

NAME: Final = "gatewayAPI"
MIRROR: Final = "HTTPRouteRequestMirror"
MIRROR_SHARE: Final = "HTTPRouteRequestPercentageMirror"


class GatewayApiRouter:
    """Writes and reads routes, and refuses what the class of their gateways cannot do."""

    resources: tuple[Resource, ...] = (HTTP_ROUTES, GRPC_ROUTES)

    def __init__(self, api: Api, routes: Routes) -> None:
        self._own = OwnRoutes(api, routes)
        self._adopted = AdoptedRoutes(api, routes)
        self._features = Features(api)

    async def learn(self, rollout: ModelRollout) -> None:
        """Read the features of the gateways, for a rollout that needs more than every gateway can do."""
        if any(steps(rollout, "shadow")):
            await self._features.learn(self._gateways(rollout))

    def check(self, rollout: ModelRollout) -> None:
        """Refuse what routes cannot say, and what the class of the gateways says that it cannot do."""
        gateway = _settings(rollout)
        check_issued(rollout, NAME, "issues no cookies: no stable field of the Gateway API says so")
        if gateway.route is not None and preview_hostnames(rollout):
            why = "makes no preview route beside a route that somebody else owns"
            remedy = "remove hostnames, and let a route of yours lead to the Service of the preview"
            raise refusal(rollout, NAME, PREVIEW, why, remedy)
        for place, step in steps(rollout, "match"):
            _check_match(rollout, place, step.match or Match.model_construct())
        if gateway.kind == "HTTPRoute":
            self._check_mirrors(rollout)
        else:
            _check_comparers(rollout)

    def _check_mirrors(self, rollout: ModelRollout) -> None:
        # Of GRPCRoutes no class tells whether they mirror.
        for place, step in steps(rollout, "shadow"):
            share = step.shadow is not None and step.shadow.percent < 100
            for feature in (MIRROR, MIRROR_SHARE) if share else (MIRROR,):
                lacking = self._features.lacking(self._gateways(rollout), feature)
                if lacking is not None:
                    raise refusal(rollout, NAME, place, f"cannot mirror: {lacking} lacks {feature}", _NO_MIRROR)

    async def set(self, rollout: ModelRollout, split: Split, latch: str | None) -> None:
        """Write the route; TerminalError where it is somebody else's, or not there to be adopted."""
        gateway = _settings(rollout)
        if gateway.route is None:
            await self._own.set(rollout, gateway, split, latch)
        else:
            await self._adopted.set(rollout, gateway, gateway.route, split, latch)

    def read(self, rollout: ModelRollout) -> Route | None:
        """Interpret the route as last watched or written; None where there is none yet."""
        gateway = _settings(rollout)
        if gateway.route is None:
            return self._own.read(rollout, gateway)
        return self._adopted.read(rollout, gateway, gateway.route)

    async def leave(self, key: Key) -> None:
        """Tidy up in routes of others after a rollout that is gone."""
        await self._adopted.leave(key)

    def _gateways(self, rollout: ModelRollout) -> Iterable[Place]:
        gateway = _settings(rollout)
        if gateway.route is not None:
            return list(self._adopted.gateways(rollout, gateway, gateway.route))
        return [(ref.namespace or rollout.metadata.namespace, ref.name) for ref in gateway.parent_refs]


_NO_MIRROR: Final = (
    "use a gateway that mirrors (Envoy Gateway does), route by spec.traffic.traefik or spec.traffic.istio, "
    "or take the shadow out"
)


def _check_comparers(rollout: ModelRollout) -> None:
    for place, step in steps(rollout, "shadow"):
        if step.shadow is not None and step.shadow.comparer.enabled:
            why = "cannot bring gRPC calls to the comparer, which asks by HTTP/1.1 alone"
            raise refusal(rollout, NAME, place, why, "set shadow.comparer.enabled to false, or take the shadow out")


def _settings(rollout: ModelRollout) -> GatewayAPI:
    return asked(rollout, NAME, rollout.spec.traffic.gateway_api)


def _check_match(rollout: ModelRollout, place: str, match: Match) -> None:
    names = [*(name.lower() for name in match.headers), *([COOKIE] if match.cookies else [])]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise refusal(rollout, NAME, place, f"cannot match header {twice[0]} twice", "ask for each header once")
    length = len(cookie_pattern(tuple(match.cookies.items()))) if match.cookies else 0
    if length > LONGEST_VALUE:
        why = f"cannot match these cookies: their pattern has {length} characters, of at most {LONGEST_VALUE}"
        raise refusal(rollout, NAME, place, why, "ask for fewer or shorter cookies, or for a header")
