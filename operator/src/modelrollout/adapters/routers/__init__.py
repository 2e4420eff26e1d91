"""Routers: one file for each way to split requests.

Another package brings one with an entry point in the group `modelrollout.routers`: a class made from an `Api` and a
`Routes`, with the methods of ports.TrafficRouter and `resources` that tell what to watch. A rollout asks for it by
`spec.traffic.plugin.name`. Under the name of a router that is here, it takes its place.
"""

from collections.abc import Callable, Collection, Mapping
from importlib.metadata import entry_points
from typing import Final, Protocol

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.resources import Resource
from modelrollout.adapters.routers.gateway_api import GatewayApiRouter
from modelrollout.adapters.routers.istio import IstioRouter
from modelrollout.adapters.routers.service import ServiceRouter
from modelrollout.adapters.routers.several import Several
from modelrollout.adapters.routers.traefik import TraefikRouter
from modelrollout.api.resource import ModelRollout
from modelrollout.ports import Key, TerminalError, TrafficRouter

GROUP: Final = "modelrollout.routers"


class Router(TrafficRouter, Protocol):
    """A TrafficRouter over objects of the API server."""

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The kinds of objects to watch for it, by the label modelrollout.dev/name."""


BUILT_IN: Final[Mapping[str, Callable[[Api, Routes], Router]]] = {
    "gatewayAPI": GatewayApiRouter,
    "istio": IstioRouter,
    "traefik": TraefikRouter,
    "service": ServiceRouter,
}


def installed() -> tuple[str, ...]:
    """Return the names of all routers that are here, those of other packages among them."""
    return tuple(sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))}))


class Routers:
    """Every router that the operator was started with, made once for a connection and a cache.

    `enabled` are names of routers; None: all that are installed.
    """

    def __init__(self, api: Api, routes: Routes, enabled: Collection[str] | None = None) -> None:
        self._installed = installed()
        names = self._installed if enabled is None else tuple(dict.fromkeys(enabled))
        theirs = {point.name: point for point in entry_points(group=GROUP) if point.name in names}
        makers = {**BUILT_IN, **{name: point.load() for name, point in theirs.items()}}
        self._routers: dict[str, Router] = {name: makers[name](api, routes) for name in names if name in makers}

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The kinds of objects to watch."""
        return tuple(dict.fromkeys(resource for router in self._routers.values() for resource in router.resources))

    def router_for(self, rollout: ModelRollout) -> TrafficRouter:
        """Return the router that a rollout's `spec.traffic` chooses; TerminalError where it is not there."""
        found = {name: self._named(rollout, name) for name in rollout.spec.traffic.routers}
        return next(iter(found.values())) if len(found) == 1 else Several(found)

    async def leave(self, key: Key) -> None:
        """Tidy up in objects of others after a rollout that is gone; see AdoptedRoutes.leave."""
        for router in self._routers.values():
            if isinstance(router, GatewayApiRouter):
                await router.leave(key)

    def _named(self, rollout: ModelRollout, name: str) -> TrafficRouter:
        if name in self._routers:
            return self._routers[name]
        what = f"ModelRollout {rollout.metadata.namespace}/{rollout.metadata.name}: spec.traffic: router {name}"
        if name in self._installed:
            raise TerminalError(f"{what} is not enabled; add it to the operator's --router (chart: routers)")
        raise TerminalError(f"{what} is not installed ({', '.join(self._installed)}); install its package")
